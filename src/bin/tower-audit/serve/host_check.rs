//! The names that the server answers to.
//!
//! A page of the internet can have its name resolve to 127.0.0.1 once its scripts run; for the browser this server is
//! then of the same origin as they are. But the browser says by which name it asks.
//!
//! A cookie belongs to a name and to all ports of it. So the browser gets a name that nobody else has: below
//! `.localhost` (RFC 6761), which browsers resolve to the loopback themselves. Whoever serves something else on another
//! port of 127.0.0.1 is never sent the cookie.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

/// The name and port of the server.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The name that the printed address has, and the cookie.
    name: String,
    port: u16,
}

impl Host {
    /// A server on this port with a name of its own.
    pub(crate) fn of_its_own(port: u16) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; NAME_BYTES];
        getrandom::fill(&mut bytes)?;
        let label: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: format!("{label}.localhost"), port })
    }

    /// A server on this port whose name is its address.
    pub(crate) fn numeric(port: u16) -> Self {
        Self { name: LOOPBACK.to_owned(), port }
    }

    /// The name and the port, as a URL has them.
    pub(crate) fn authority(&self) -> String {
        if self.port == HTTP_PORT { self.name.clone() } else { format!("{}:{}", self.name, self.port) }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the request's `Host` is the name that the cookie belongs to.
    pub(super) fn is_named_in(&self, headers: &HeaderMap) -> bool {
        headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(|host| self.is(&self.name, host))
    }

    /// Returns true if `authority` is this name on the server's port, in any letter case.
    fn is(&self, name: &str, authority: &str) -> bool {
        match authority.rsplit_once(':') {
            Some((host, port)) => host.eq_ignore_ascii_case(name) && port == self.port.to_string(),
            None => authority.eq_ignore_ascii_case(name) && self.port == HTTP_PORT,
        }
    }

    fn answers_to(&self, authority: &str) -> bool {
        [self.name.as_str(), LOOPBACK, "localhost"].into_iter().any(|name| self.is(name, authority))
    }
}

const NAME_BYTES: usize = 8;
const LOOPBACK: &str = "127.0.0.1";
/// The port that a client leaves out.
const HTTP_PORT: u16 = 80;

/// Refuses requests for a host of another name, or of none.
pub(super) async fn require_local_host(State(server): State<Host>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named_in_line = request.uri().authority().map(Authority::as_str);
    if host.is_some_and(|host| server.answers_to(host))
        && named_in_line.is_none_or(|name| server.answers_to(name))
        && request.headers().get_all(HOST).iter().count() == 1
    {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "Unknown host. Use 127.0.0.1, localhost or the printed name, with this port.\n")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ours_in_any_letter_case_and_on_our_port() {
        let host = Host::of_its_own(8377).unwrap();
        for authority in ["127.0.0.1:8377", "localhost:8377", "LOCALHOST:8377", &host.authority()] {
            assert!(host.answers_to(authority), "{authority}");
        }
        assert!(host.answers_to(&host.authority().to_ascii_uppercase()));
        let others =
            ["localhost", "localhost:80", "localhost:8378", "localhost:+8377", "x.localhost:8377", "", ":8377"];
        for authority in others {
            assert!(!host.answers_to(authority), "{authority}");
        }
        assert_ne!(host.authority(), Host::of_its_own(8377).unwrap().authority());
    }

    #[test]
    fn clients_leave_the_default_port_out() {
        let host = Host::numeric(80);
        assert_eq!(host.authority(), "127.0.0.1");
        for authority in ["127.0.0.1", "127.0.0.1:80", "localhost"] {
            assert!(host.answers_to(authority), "{authority}");
        }
        assert!(!host.answers_to("127.0.0.1:443"));
        assert!(Host::numeric(443).answers_to("127.0.0.1:443"));
    }
}
