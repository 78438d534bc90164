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
    pub(in super::super) async fn send(&self, message: &[u8]) -> io::Result<Sent> {
        let sent = match self {
            Self::Unix(socket) => socket.send(message).await,
            Self::Udp { socket, .. } => socket.send(message).await,
        };
        match sent {
            Ok(_) => Ok(Sent::Whole),
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => Ok(Sent::TooLarge),
            Err(error) => Err(error),
        }
    }

    /// Ends a batch. After the first one over UDP, waits a moment for the host to say that nothing listens there.
    ///
    /// Example: the collector is down. Batch 1 is sent, and ICMP says "port unreachable" within the moment: an error, not a loss.
    /// Later on there is no wait: a collector that goes down is noticed at the batch after the lost one.
    pub(in super::super) async fn finish_batch(&mut self) -> io::Result<()> {
        let Self::Udp { socket, is_proven } = self else { return Ok(()) };
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

/// Longer than a refusal takes within a site.
const REFUSAL_WAIT: Duration = Duration::from_millis(20);
