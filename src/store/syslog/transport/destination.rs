//! The place of the collector.

use std::fmt;
use std::path::PathBuf;

use super::super::error::config;
use super::Certificates;
use crate::store::StoreError;

/// The kind of a local socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnixSocket {
    /// The kind that the collector has.
    #[default]
    Any,
    /// One message a datagram, as `/dev/log` has it on Linux.
    Datagram,
    /// A stream, each message with a line feed behind it.
    Stream,
}

/// The borders of messages in a TCP stream (RFC 6587).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// The length before each message.
    OctetCounting,
    /// A line feed behind each message. No message has one inside.
    Newline,
}

/// The place of the collector. `Debug` shows its kind alone.
#[derive(Clone)]
pub(in super::super) enum Destination {
    Unix { path: PathBuf, socket: UnixSocket },
    Udp(Server),
    Tcp { server: Server, framing: Framing },
    Tls { server: Server, certificates: Certificates },
}

/// A host and its port.
#[derive(Clone)]
pub(in super::super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Server {
    pub(in super::super) fn new(host: &str, port: u16) -> Result<Self, StoreError> {
        let is_host = !host.is_empty()
            && host.len() <= 255
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:%".contains(&b));
        if !is_host || port == 0 {
            return Err(config(
                "the host or the port cannot be one, and is not shown: expected a name or an address, and a port from 1 to 65535",
            ));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Destination {
    /// Returns the transport in a word.
    pub(in super::super) fn transport(&self) -> &'static str {
        match self {
            Self::Unix { .. } => "a local socket",
            Self::Udp(_) => "UDP",
            Self::Tcp { .. } => "TCP",
            Self::Tls { .. } => "TLS",
        }
    }

    /// Returns true if others may read and change messages on their way: over a network, without TLS.
    pub(in super::super) fn is_readable_on_the_way(&self) -> bool {
        match self {
            Self::Unix { .. } | Self::Tls { .. } => false,
            Self::Udp(server) | Self::Tcp { server, .. } => {
                server.host != "localhost"
                    && !server.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
        }
    }

    /// Returns the largest message unless told, in bytes: what most collectors take without a setting.
    pub(in super::super) fn default_max_bytes(&self) -> usize {
        match self {
            // RFC 5426 section 3.2: a collector should take this. Larger ones would be in more than two packets.
            Self::Udp(_) => 2048,
            // rsyslog takes 8,096 bytes by default, and drops the end of a larger message with its mark.
            _ => 8000,
        }
    }

    /// Returns the largest message that may be asked for, in bytes.
    pub(in super::super) fn largest_max_bytes(&self) -> usize {
        match self {
            // 65,535 less the headers of IPv4 and UDP.
            Self::Udp(_) => 65_507,
            _ => 1 << 20,
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.transport())
    }
}
