//! Local sockets.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tokio::net::{UnixDatagram, UnixStream};

use super::UnixSocket;

/// A connected local socket of either kind.
pub(super) enum Socket {
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

/// Connects to the socket at a path.
pub(super) async fn connect(path: &Path, kind: UnixSocket) -> io::Result<Socket> {
    let datagram = || {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path).map(|()| Socket::Datagram(socket))
    };
    match kind {
        UnixSocket::Datagram => datagram(),
        UnixSocket::Stream => UnixStream::connect(path).await.map(Socket::Stream),
        UnixSocket::Any => match datagram() {
            Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
                UnixStream::connect(path).await.map(Socket::Stream)
            }
            other => other,
        },
    }
}

/// The socket's file, to notice that another one has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    pub(super) fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }

    /// Returns true if another file, or none, is at the path by now.
    pub(super) fn is_replaced(&self) -> bool {
        identity(&self.path) != self.identity
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
