//! TCP connections that notice a collector that has vanished.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Server;

/// Connects to the first address of a server that answers, until the deadline. `connect` makes the connection to one address.
pub(super) async fn connect_to<T, F>(
    server: &Server,
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let addresses: Vec<_> = tokio::net::lookup_host((server.host.as_str(), server.port)).await?.collect();
    connect_to_any(&addresses, deadline, connect).await
}

/// Tries the addresses in turn, each for an equal share of the time that is left.
///
/// Example: packets to the first of two addresses are dropped, and the deadline is in 5 s. The second one is tried after 2.5 s.
async fn connect_to_any<T, F>(
    addresses: &[SocketAddr],
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let share = deadline.saturating_duration_since(Instant::now()) / untried;
        untried -= 1;
        match timeout(share, connect(*address)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "the collector does not answer"),
        }
    }
    Err(last)
}

/// Connects to an address. `silence`: the longest time that sent bytes may stay without an acknowledgement.
pub(super) async fn connect(address: SocketAddr, silence: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    // A host that vanishes ends nothing. The kernel waits for its acknowledgement for 15 minutes unless told.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(silence.max(MIN_SILENCE)))?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = silence;
    Ok(stream)
}

/// The time after which an idle connection is probed, so that a firewall does not forget it, and the time between two probes.
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Room for packets that are lost and sent again.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MIN_SILENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    /// Returns an address that answers no further connection: its queue is full.
    async fn stuck() -> (SocketAddr, TcpListener, Vec<tokio::task::JoinHandle<()>>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        loop {
            match timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
                Ok(stream) => waiting.push(tokio::spawn(async move {
                    let _open = stream;
                    std::future::pending::<()>().await;
                })),
                Err(_) => return (address, listener, waiting),
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let (stuck, _listener, waiting) = stuck().await;
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let well = collector.local_addr().unwrap();
        let time = Duration::from_secs(2);
        let addresses = [stuck, well];
        let connected = connect_to_any(&addresses, Instant::now() + time, |address| connect(address, time));
        assert_eq!(timeout(time, connected).await.expect("in time").unwrap().peer_addr().unwrap(), well);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_asks_for_a_collector_that_is_silent() {
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(collector.local_addr().unwrap(), Duration::from_secs(5)).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(5)));
    }
}
