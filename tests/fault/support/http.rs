//! A client of HTTP/1.1 that shows everything: the status even if the rest never comes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request without a body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    target: String,
    headers: String,
}

impl Request {
    pub(crate) fn get(target: &str) -> Self {
        Self { method: "GET", target: target.to_owned(), headers: String::new() }
    }

    /// An upload; `fate` is the query.
    pub(crate) fn upload(id: &str, fate: &str) -> Self {
        Self { method: "POST", target: format!("/scans?{fate}"), headers: format!("x-request-id: {id}\r\n") }
    }

    /// An action of the administrator.
    pub(crate) fn admin(id: &str) -> Self {
        Self {
            method: "DELETE",
            target: format!("/auth/admin/users/{id}"),
            headers: format!("x-request-id: {id}\r\nauthorization: Bearer admin-token\r\n"),
        }
    }

    fn text(&self) -> String {
        let Self { method, target, headers } = self;
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n{headers}\r\n")
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header whose name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }
}

/// A response that did not come, or not whole.
#[derive(Debug)]
pub(crate) struct Cut {
    /// If that much of it came.
    pub(crate) status: Option<u16>,
    pub(crate) error: io::Error,
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self { status: None, error }
    }
}

/// A client with one connection, kept alive and opened when there is none.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends the request and waits for its response.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Answer, Cut> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        connection.get_mut().write_all(request.text().as_bytes())?;
        let status = read_status(&mut connection)?;
        match read_rest(&mut connection, status) {
            Ok(answer) => {
                if answer.header("connection") != Some("close") {
                    self.connection = Some(connection);
                }
                Ok(answer)
            }
            Err(error) => Err(Cut { status: Some(status), error }),
        }
    }

    /// Sends the request and does not wait. The connection ends when what is returned is dropped.
    pub(crate) fn send_only(&mut self, request: &Request) -> io::Result<TcpStream> {
        let mut connection = connect(self.address)?;
        connection.get_mut().write_all(request.text().as_bytes())?;
        Ok(connection.into_inner())
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(BufReader::new(stream))
}

fn read_status(connection: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let line = read_line(connection)?;
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no status line: {line:?}")))
}

fn read_rest(connection: &mut BufReader<TcpStream>, status: u16) -> io::Result<Answer> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(connection)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: String::new() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a response without its length"))?;
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}

fn read_line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    if !line.ends_with("\r\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.len() - 2);
    Ok(line)
}

/// Beyond every deadline of a server in these tests.
const TIMEOUT: Duration = Duration::from_secs(30);
