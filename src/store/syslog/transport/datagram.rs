//! Messages as datagrams, one each.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{UdpSocket, UnixDatagram};

use super::Server;

/// A connected socket for datagrams.
#[derive(Debug)]
pub(in super::super) enum Datagrams {
    Unix(UnixDatagram),
    Udp {
        socket: UdpSocket,
        /// True once a batch was sent without a refusal.
        is_proven: bool,
    },
}

/// The result of sending a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Sent {
    Whole,
    /// It is larger than the socket takes. Nothing was sent.
    TooLarge,
}

impl Datagrams {
    pub(super) async fn udp(server: &Server) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in tokio::net::lookup_host((server.host.as_str(), server.port)).await? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let connected = async {
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(socket)
            };
            match connected.await {
                Ok(socket) => return Ok(Self::Udp { socket, is_proven: false }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends a message as one datagram.
    ///
    /// # Errors
    /// Also if an earlier datagram was dropped, because it was larger than the way takes: the next call says so once.
    pub(in super::super) async fn send(&self, message: &[u8]) -> io::Result<Sent> {
        match self.send_once(message).await {
            Err(error) if is_too_large(&error) => match self.send_once(message).await {
                Err(again) if is_too_large(&again) => Ok(Sent::TooLarge),
                Err(again) => Err(again),
                Ok(()) => Err(error),
            },
            Err(error) => Err(error),
            Ok(()) => Ok(Sent::Whole),
        }
    }

    async fn send_once(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).await,
            Self::Udp { socket, .. } => socket.send(message).await,
        }
        .map(|_| ())
    }

    /// Ends a batch of this many datagrams. After the first one over UDP, waits a moment for the host to say that nothing listens
    /// there.
    ///
    /// Example: the collector is down. Batch 1 is sent, and ICMP says "port unreachable" within the moment: an error, not a loss.
    /// Later on there is no wait: a collector that goes down is noticed at the batch after the lost one.
    pub(in super::super) async fn finish_batch(&mut self, sent: usize) -> io::Result<()> {
        let Self::Udp { socket, is_proven } = self else { return Ok(()) };
        if sent == 0 {
            return Ok(());
        }
        if !*is_proven {
            tokio::time::sleep(REFUSAL_WAIT).await;
        }
        if let Some(error) = socket.take_error()? {
            *is_proven = false;
            return Err(error);
        }
        *is_proven = true;
        Ok(())
    }

    /// Returns the error that an earlier datagram has met since.
    pub(super) fn take_error(&self) -> io::Result<()> {
        let error = match self {
            Self::Unix(socket) => socket.take_error()?,
            Self::Udp { socket, .. } => socket.take_error()?,
        };
        error.map_or(Ok(()), Err)
    }
}

fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error())
}

/// Longer than a refusal takes within a site.
const REFUSAL_WAIT: Duration = Duration::from_millis(20);

#[cfg(test)]
pub(in super::super) mod tests {
    use std::net::{IpAddr, SocketAddr};

    use socket2::{Domain, Protocol, SockAddr, Socket, Type};

    use super::*;

    /// A way from a socket to a collector, which refuses datagrams as a router or the host would.
    pub(in super::super::super) struct Way {
        raw: Socket,
        collector: SocketAddr,
    }

    /// The code of ICMP's "destination unreachable".
    #[derive(Debug, Clone, Copy)]
    pub(in super::super::super) enum Refusal {
        Port = 3,
        TooLarge = 4,
    }

    impl Way {
        /// Returns none if this process may not send ICMP: that takes root.
        pub(in super::super::super) fn to(collector: SocketAddr) -> Option<Self> {
            match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) {
                Ok(raw) => Some(Self { raw, collector }),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
                Err(error) => panic!("{error}"),
            }
        }

        /// Refuses a datagram of this sender.
        pub(in super::super::super) fn refuse(&self, sender: SocketAddr, refusal: Refusal) {
            let (IpAddr::V4(from), IpAddr::V4(to)) = (sender.ip(), self.collector.ip()) else { panic!("IPv4") };
            // RFC 792: type, code, checksum, the next hop's MTU, and the beginning of the refused packet.
            let mut packet = vec![3, refusal as u8, 0, 0, 0, 0, 0xff, 0xff];
            packet.extend([0x45, 0, 0, 128, 0, 1, 0x40, 0, 64, 17, 0, 0]);
            packet.extend(from.octets().into_iter().chain(to.octets()));
            packet.extend(sender.port().to_be_bytes().into_iter().chain(self.collector.port().to_be_bytes()));
            packet.extend([0, 108, 0, 0]);
            let mut sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            packet[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            let host = SocketAddr::new(sender.ip(), 0);
            self.raw.send_to(&packet, &SockAddr::from(host)).unwrap();
        }
    }

    #[tokio::test]
    async fn a_datagram_that_the_way_has_dropped_makes_no_later_one_too_large() {
        let collector = UdpSocket::bind("127.45.0.1:0").await.unwrap();
        let address = collector.local_addr().unwrap();
        let Some(way) = Way::to(address) else { return };
        let datagrams = Datagrams::udp(&Server { host: address.ip().to_string(), port: address.port() }).await.unwrap();
        let Datagrams::Udp { socket, .. } = &datagrams else { panic!("it is UDP") };
        assert_eq!(datagrams.send(b"first").await.unwrap(), Sent::Whole);
        way.refuse(socket.local_addr().unwrap(), Refusal::TooLarge);
        let error = datagrams.send(b"second").await.unwrap_err();
        assert!(is_too_large(&error), "{error}");
        assert_eq!(datagrams.send(b"third").await.unwrap(), Sent::Whole);
        // One that is too large for the socket is so each time.
        assert_eq!(datagrams.send(&[b'x'; 70_000]).await.unwrap(), Sent::TooLarge);
    }
}
