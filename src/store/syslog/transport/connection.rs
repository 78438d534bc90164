//! Connections to a collector.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::datagram::Datagrams;
use super::stream::Stream;
use super::unix::{Socket, SocketFile, connect};
use super::{Destination, Framing, tls};

/// An open connection.
#[derive(Debug)]
pub(in super::super) struct Connection {
    pub(in super::super) channel: Channel,
    /// The file of a local socket.
    file: Option<SocketFile>,
}

/// The two ways to send messages.
#[derive(Debug)]
pub(in super::super) enum Channel {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Connection {
    /// Connects to the collector.
    pub(in super::super) async fn open(destination: &Destination) -> io::Result<Self> {
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
                let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
                stream.set_nodelay(true)?;
                Channel::Stream(Stream::new(stream, *framing))
            }
            Destination::Tls { server, certificates } => {
                let begin = Instant::now();
                let stream = tls::connect(server, certificates).await?;
                let mut stream = Stream::new(stream, Framing::OctetCounting);
                // With TLS 1.3 the collector judges the sink's certificate behind the sink's handshake. What is sent until then
                // would be lost in silence.
                let verdict = (begin.elapsed() * 2).clamp(MIN_VERDICT, MAX_VERDICT);
                match tokio::time::timeout(verdict, stream.ended()).await {
                    Ok(error) => return Err(error),
                    Err(_) => Channel::Stream(stream),
                }
            }
        };
        Ok(Self { channel, file })
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

/// The least and the longest wait for a collector to refuse the sink's certificate; in between, twice the handshake's time.
const MIN_VERDICT: Duration = Duration::from_millis(50);
const MAX_VERDICT: Duration = Duration::from_secs(1);
