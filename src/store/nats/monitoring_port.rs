//! The answer of a monitoring port.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::url_settings::MonitoringPort;

/// Asks for `/varz`. HTTP/1.0, so that the answer ends with the connection and has no chunks.
pub(super) async fn varz(monitor: &MonitoringPort, within: Duration) -> io::Result<Vec<u8>> {
    match timeout(within, ask(monitor)).await {
        Ok(answer) => answer,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn ask(monitor: &MonitoringPort) -> io::Result<Vec<u8>> {
    let address = monitor.server.address();
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!("GET {}/varz HTTP/1.0\r\nHost: {address}\r\n\r\n", monitor.path);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    if read as u64 == MAX_ANSWER_BYTES {
        return Err(io::Error::other("its answer is larger than 1 MiB"));
    }
    body(&answer).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("its answer is none of `/varz`"))
}

/// The body of an answer with the status 200.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let status = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?;
    (status == b" 200").then(|| &answer[end + 4..])
}

const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn only_an_answer_with_the_status_200_has_a_body() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some(&b"{}"[..]));
        for none in [
            &b"HTTP/1.0 404 Not Found\r\n\r\n{}"[..],
            b"HTTP/1.1 200 OK\r\n",
            b"220 mail\r\n\r\n",
            b"",
            b"HTTP/1.\r\n\r\n",
        ] {
            assert_eq!(body(none), None);
        }
    }
}
