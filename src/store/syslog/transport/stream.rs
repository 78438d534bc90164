//! Messages in a stream.

use std::fmt;
use std::io;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Framing;

/// A stream to a collector: a local socket, TCP or TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

/// An open stream.
pub(in super::super) struct Stream {
    io: Box<dyn Duplex>,
    framing: Framing,
}

impl Stream {
    pub(super) fn new(io: impl Duplex + 'static, framing: Framing) -> Self {
        Self { io: Box::new(io), framing }
    }

    /// Appends a message with its border to the bytes of a batch.
    pub(in super::super) fn push_frame(&self, batch: &mut Vec<u8>, message: &str) {
        match self.framing {
            Framing::OctetCounting => {
                batch.extend_from_slice(format!("{} ", message.len()).as_bytes());
                batch.extend_from_slice(message.as_bytes());
            }
            Framing::Newline => {
                batch.extend_from_slice(message.as_bytes());
                batch.push(b'\n');
            }
        }
    }

    /// Hands a batch over to the system.
    pub(in super::super) async fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        self.io.write_all(batch).await?;
        self.io.flush().await
    }

    /// Returns the error of a stream that the collector has ended by now. A collector says nothing else.
    pub(super) fn loss(&mut self) -> Option<io::Error> {
        self.ended().now_or_never()
    }

    /// Waits until the collector has ended the stream.
    pub(super) async fn ended(&mut self) -> io::Error {
        let mut buffer = [0; 256];
        loop {
            match self.io.read(&mut buffer).await {
                Ok(0) => return io::ErrorKind::ConnectionAborted.into(),
                Err(error) => return error,
                Ok(_) => {}
            }
        }
    }

    /// Ends the stream in order.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.io.shutdown().await
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("framing", &self.framing).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_have_their_borders() {
        for (framing, bytes) in [(Framing::OctetCounting, "4 <1>a5 <1>é"), (Framing::Newline, "<1>a\n<1>é\n")] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            let mut stream = Stream::new(ours, framing);
            let mut batch = Vec::new();
            for message in ["<1>a", "<1>é"] {
                stream.push_frame(&mut batch, message);
            }
            stream.send(&batch).await.unwrap();
            assert!(stream.loss().is_none());
            stream.close().await.unwrap();
            let mut read = String::new();
            theirs.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, bytes);
        }
    }

    #[tokio::test]
    async fn a_stream_that_was_ended_is_closed_whatever_came_before() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let mut stream = Stream::new(ours, Framing::Newline);
        theirs.write_all(&[b'x'; 1000]).await.unwrap();
        assert!(stream.loss().is_none());
        drop(theirs);
        assert!(stream.loss().is_some());
    }
}
