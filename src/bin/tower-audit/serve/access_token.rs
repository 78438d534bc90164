//! Access for a browser with the cookie, or for a program with the bearer token.
//!
//! Every user of the machine can connect to a loopback address, and every page that a browser shows can send requests
//! to it. The token keeps out the former; the latter are kept out because the cookie is of a name that is this server's
//! alone, is sent by pages of this very address only (`SameSite=Strict`), and is hidden from scripts (`HttpOnly`).

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::host_check::Host;

/// The token, and the cookie that has it.
pub(crate) struct AccessToken {
    token: String,
    /// The name that the cookie belongs to.
    host: Host,
    /// The name of the cookie. Cookies know no ports: this one is of the server on this port.
    cookie: String,
}

impl AccessToken {
    /// Access by a new token, to the server of this name.
    pub(crate) fn new(host: Host) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let cookie = format!("tower-audit-{}", host.port());
        Ok(Self { token, host, cookie })
    }

    /// The address that lets a browser in.
    pub(crate) fn address(&self) -> String {
        format!("http://{}/?token={}", self.host.authority(), self.token)
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Compares `text` with the token, in constant time for texts of its length.
    pub(super) fn is_token(&self, text: &str) -> bool {
        text.len() == self.token.len() && text.bytes().zip(self.token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }

    /// Returns true if the request has the token: as a bearer token for any name of the server, as a cookie only for
    /// the name that the cookie belongs to.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let is_for_browsers = self.host.is_named_in(headers);
        let cookies = headers.get_all(COOKIE).iter().filter(|_| is_for_browsers);
        let of_cookies =
            cookies.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';')).filter_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                (name == self.cookie).then_some(value)
            });
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        of_cookies.chain(bearer).any(|text| self.is_token(text))
    }

    /// Returns the session cookie with the token. The browser deletes it when it is closed.
    pub(super) fn set_cookie(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token)).ok()
    }
}

const TOKEN_BYTES: usize = 32;
