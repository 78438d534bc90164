//! Connections to a collector.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::datagram::Datagrams;
use super::stream::Stream;
use super::unix::{Socket, SocketFile, connect};
use super::{Destination, Framing, tcp, tls};

/// An open connection.
#[derive(Debug)]
pub(in super::super) struct Connection {
    pub(in super::super) channel: Channel,
    /// The file of a local socket.
    file: Option<SocketFile>,
    opened: Instant,
}

/// The times of an attempt to connect.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Times {
    pub(in super::super) deadline: Instant,
    /// The wait for the other end of a new stream to end it.
    pub(in super::super) verdict: Duration,
    /// The longest time that sent bytes may stay without an acknowledgement.
    pub(in super::super) silence: Duration,
}

/// The two ways to send messages.
#[derive(Debug)]
pub(in super::super) enum Channel {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Connection {
    /// Connects to the collector.
    pub(in super::super) async fn open(destination: &Destination, times: Times) -> io::Result<Self> {
        let Times { deadline, silence, verdict } = times;
        let mut file = None;
        let channel = match destination {
            Destination::Unix { path, socket } => {
                // Before the connection: a socket that is replaced in between is noticed at the next batch.
                file = Some(SocketFile::look(path));
                match connect(path, *socket).await? {
                    Socket::Datagram(socket) => Channel::Datagrams(Datagrams::Unix(socket)),
                    Socket::Stream(stream) => Channel::Stream(Stream::new(stream, Framing::Newline)),
                }
            }
            Destination::Udp(server) => Channel::Datagrams(Datagrams::udp(server).await?),
            Destination::Tcp { server, framing } => {
                let connected = tcp::connect_to(server, deadline, |address| async move {
                    let stream = Stream::new(tcp::connect(address, silence).await?, *framing);
                    judged(stream, verdict).await
                });
                Channel::Stream(connected.await?)
            }
            Destination::Tls { server, certificates } => {
                let client = &tls::Client::new(server, certificates)?;
                let connected = tcp::connect_to(server, deadline, |address| async move {
                    let begin = Instant::now();
                    let stream = client.connect(tcp::connect(address, silence).await?).await?;
                    // With TLS 1.3 the collector judges the sink's certificate behind the sink's handshake.
                    let verdict = (begin.elapsed() * 2).clamp(verdict, MAX_VERDICT.max(verdict));
                    judged(Stream::new(stream, Framing::OctetCounting), verdict).await
                });
                Channel::Stream(connected.await?)
            }
        };
        Ok(Self { channel, file, opened: Instant::now() })
    }

    /// Returns true if the connection was made moments ago.
    pub(in super::super) fn is_young(&self) -> bool {
        self.opened.elapsed() < YOUNG
    }

    /// Returns an error if an earlier UDP datagram was refused; none for a connection that is not of UDP.
    pub(in super::super) fn udp_refusal(&self) -> Option<io::Result<()>> {
        match &self.channel {
            Channel::Datagrams(datagrams @ Datagrams::Udp { .. }) => Some(datagrams.take_error()),
            _ => None,
        }
    }

    /// Returns true if both are UDP sockets to the same address.
    pub(in super::super) fn has_peer_of(&self, other: &Self) -> bool {
        let peer = |connection: &Self| match &connection.channel {
            Channel::Datagrams(Datagrams::Udp { socket, .. }) => socket.peer_addr().ok(),
            _ => None,
        };
        peer(self).is_some_and(|address| peer(other) == Some(address))
    }

    /// Returns the reason why the next batch needs another connection, if so: the collector has ended this one, has refused a
    /// datagram, or another socket is at the path.
    pub(in super::super) fn loss(&mut self) -> Option<io::Error> {
        let is_replaced = self.file.as_ref().is_some_and(SocketFile::is_replaced);
        match &mut self.channel {
            _ if is_replaced => Some(io::Error::other("another socket is at the path")),
            Channel::Stream(stream) => stream.loss(),
            Channel::Datagrams(datagrams) => datagrams.take_error().err(),
        }
    }

    /// Ends the connection in order.
    pub(in super::super) async fn close(self) -> io::Result<()> {
        match self.channel {
            Channel::Stream(stream) => stream.close().await,
            Channel::Datagrams(_) => Ok(()),
        }
    }
}

/// Returns the stream if the other end does not end it within the time: what is sent until then would be lost in silence.
///
/// Example: a proxy accepts, dials its backend, which is down, and closes.
async fn judged(mut stream: Stream, verdict: Duration) -> io::Result<Stream> {
    match tokio::time::timeout(verdict, stream.ended()).await {
        Ok(error) => Err(error),
        Err(_) => Ok(stream),
    }
}

/// The least and the longest wait for the other end of a new stream to end it. Over TLS it is twice the handshake's time.
pub(in super::super) const MIN_VERDICT: Duration = Duration::from_millis(50);
pub(in super::super) const MAX_VERDICT: Duration = Duration::from_secs(1);
/// The age below which the end of a stream makes the next one be watched for longer.
const YOUNG: Duration = Duration::from_secs(3);
