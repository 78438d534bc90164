//! `serve`: the API for clients with the token, on this machine, under its own host name.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{Run, Store, json, many, samples};

#[test]
fn the_address_it_prints_lets_in() {
    let server = Server::start(Store::of(&samples()));
    let answer = server.ask(&format!("/?token={}", server.token), &[]);
    assert_eq!(answer.status, 303);
    assert_eq!((answer.header("location"), answer.header("cache-control")), (Some("/audit/ui/"), Some("no-store")));
    let cookie = answer.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.split("; ").any(|found| found == part), "{cookie}");
    }
    assert!(!cookie.contains("Expires") && !cookie.contains("Max-Age") && !cookie.contains("Domain"), "{cookie}");
    let cookie = format!("cookie: other=1; {}", cookie.split(';').next().expect("a pair"));
    let page = server.ask("/audit/ui/", &[&cookie]);
    assert!(page.status == 200 && page.body.contains("<td"), "{}", page.body);
    let events = server.ask("/audit/", &[&cookie]);
    assert_eq!((events.status, json(&events.body).as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(server.ask("/", &[&cookie]).status, 303);
    let bearer = format!("authorization: Bearer {}", server.token);
    assert_eq!(server.ask("/audit/count?outcome=4xx", &[&bearer]).body, "1\n");
}

#[test]
fn nobody_else_is_let_in() {
    let server = Server::start(Store::of(&samples()));
    let (token, name) = (&server.token, format!("tower-audit-{}", server.port));
    let shorter = &token[1..];
    let cookies = [
        "cookie: nothing".to_owned(),
        format!("cookie: {name}="),
        format!("cookie: {name}={shorter}"),
        format!("cookie: {name}={}", "0".repeat(token.len())),
        format!("cookie: other={token}"),
        format!("authorization: Bearer {shorter}"),
        format!("authorization: {token}"),
    ];
    for header in &cookies {
        for path in ["/audit/", "/audit/ui/", "/audit/count", "/audit/export", "/", "/?x=1"] {
            let answer = server.ask(path, &[header]);
            assert_eq!(answer.status, 401, "{header} {path}");
            assert!(answer.header("set-cookie").is_none() && !answer.body.contains("alice"), "{header} {path}");
        }
    }
    for query in
        ["token=", "token=0", &format!("token={shorter}"), &format!("Token={token}"), &format!("token={token}x")]
    {
        assert_eq!(server.ask(&format!("/?{query}"), &[]).status, 401, "{query}");
    }
    // The token gives a cookie, and is not accepted in its place.
    assert_eq!(server.ask(&format!("/audit/count?token={token}"), &[]).status, 401);
    assert_ne!(Server::start(Store::of(&[])).token, *token);
}

#[test]
fn a_page_whose_name_leads_here_gets_nothing() {
    let server = Server::start(Store::of(&samples()));
    let bearer = format!("authorization: Bearer {}", server.token);
    let port = server.port;
    for (host, status) in [
        (format!("host: 127.0.0.1:{port}"), 200),
        (format!("host: localhost:{port}"), 200),
        (format!("host: LocalHost:{port}"), 200),
        (format!("host: {}:{port}", server.host), 200),
        (format!("host: x.localhost:{port}"), 421),
        (format!("host: evil.example:{port}"), 421),
        ("host: 127.0.0.1".to_owned(), 421),
        (format!("host: 127.0.0.1:{}", port ^ 1), 421),
        (format!("host: 127.0.0.1.evil.example:{port}"), 421),
        (format!("host: localhost:{port}@evil.example"), 421),
        (format!("host: localhost:{port}\r\nhost: evil.example"), 421),
        ("x-nothing: 1".to_owned(), 421),
    ] {
        let answer =
            server.send(&format!("GET /audit/count HTTP/1.1\r\n{host}\r\n{bearer}\r\nconnection: close\r\n\r\n"));
        // hyper refuses some of these by itself.
        let expected = if status == 421 && answer.status == 400 { 400 } else { status };
        assert_eq!(answer.status, expected, "{host}");
    }
    let absolute = format!(
        "GET http://evil.example/audit/count HTTP/1.1\r\nhost: localhost:{port}\r\n{bearer}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(server.send(&absolute).status, 421);
    assert_eq!(server.ask(&format!("/?token={}", server.token), &["origin: http://evil.example"]).status, 303);
}

/// A browser sends a cookie to every port of its host, also to the server of another user.
#[test]
fn the_cookie_is_of_a_name_that_nobody_else_has() {
    let server = Server::start(Store::of(&samples()));
    assert!(server.host.len() > 16 && server.host.ends_with(".localhost"), "{}", server.host);
    assert_ne!(Server::start(Store::of(&[])).host, server.host);
    let answer = server.ask(&format!("/?token={}", server.token), &[]);
    let cookie = format!("cookie: {}", answer.header("set-cookie").expect("a cookie"));
    assert_eq!(server.ask("/audit/count", &[&cookie]).status, 200);
    let bearer = format!("authorization: Bearer {}", server.token);
    for host in ["127.0.0.1", "localhost"] {
        let answer = server.ask_as(host, &format!("/?token={}", server.token), &[]);
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{host}");
        assert_eq!(server.ask_as(host, "/audit/count", &[&cookie]).status, 401, "{host}");
        assert_eq!(server.ask_as(host, "/audit/count", &[&bearer]).status, 200, "{host}");
    }

    let numeric = Server::start_as(Store::of(&samples()), &["serve", "--numeric"]);
    assert_eq!(numeric.host, "127.0.0.1");
    let answer = numeric.ask(&format!("/?token={}", numeric.token), &[]);
    let cookie = format!("cookie: {}", answer.header("set-cookie").expect("a cookie"));
    assert_eq!(numeric.ask("/audit/count", &[&cookie]).status, 200);
}

#[cfg(target_os = "linux")]
#[test]
fn it_listens_on_loopback_alone() {
    let server = Server::start(Store::of(&[]));
    let port = format!(":{:04X}", server.port);
    let listening = |table: &str| -> Vec<String> {
        let table = std::fs::read_to_string(table).expect("a table of sockets");
        let local = table.lines().filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned));
        local.filter(|local| local.ends_with(&port)).collect()
    };
    assert_eq!(listening("/proc/net/tcp"), [format!("0100007F{port}")]);
    assert_eq!(listening("/proc/net/tcp6"), [""; 0]);
}

#[test]
fn it_ends_well_when_it_is_told_to() {
    let server = Server::start(Store::of(&many(20_000, "2026-01-01T00:00:00Z")));
    // A connection without a request, and a client that does not read its export.
    let _idle = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    let mut stuck = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    let request = format!(
        "GET /audit/export HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {}\r\n\r\n",
        server.port, server.token
    );
    stuck.write_all(request.as_bytes()).expect("it is sent");
    stuck.read_exact(&mut [0; 100]).expect("the answer begins");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn what_cannot_be_served_is_told() {
    let store = Store::of(&[]);
    Store::none().run(&["serve"]).failed(3);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    assert!(store.run(&["serve", "--port", &port]).failed(1).contains("cannot listen"));
    assert!(store.run(&["serve", "--host", "0.0.0.0"]).failed(2).contains("--host"));
    for port in ["+1", "-1", "65536", ""] {
        assert!(store.run(&["serve", "--port", port]).failed(2).contains("a port from 0 to 65535"), "{port}");
    }
}

pub(crate) struct Server {
    child: Child,
    /// The name that the printed address has.
    host: String,
    port: u16,
    pub(crate) token: String,
    store: Store,
}

impl Server {
    pub(crate) fn start(store: Store) -> Self {
        Self::start_as(store, &["serve"])
    }

    fn start_as(store: Store, words: &[&str]) -> Self {
        let mut command = store.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let rest = line.trim_end().strip_prefix("http://").expect("an address");
        let (authority, token) = rest.split_once("/?token=").expect("a token");
        let (host, port) = authority.split_once(':').expect("a port");
        assert!(token.len() >= 32, "{token}");
        let (host, port, token) = (host.to_owned(), port.parse().expect("a port"), token.to_owned());
        Self { child, host, port, token, store }
    }

    /// The store that it serves.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn ask(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask_as(&self.host, path, headers)
    }

    /// The answer to a client that calls the server by this name.
    fn ask_as(&self, host: &str, path: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}:{}\r\n{headers}connection: close\r\n\r\n", self.port))
    }

    fn send(&self, request: &str) -> Answer {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        connection.write_all(request.as_bytes()).expect("it is sent");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Tells it to end, and says with which code it did.
    fn end(mut self) -> Option<i32> {
        let mut kill = Command::new("kill");
        kill.arg(self.child.id().to_string());
        Run::of(kill).ok();
        self.child.wait().expect("the program ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}
