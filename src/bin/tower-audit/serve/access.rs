//! Who may look: whoever has the token, as a cookie or as a bearer.
//!
//! Every user of the machine can connect to a loopback address, and every page that a browser shows can send requests
//! to it. The token keeps out the former; the latter are kept out because the cookie is sent by pages of this very
//! address only (`SameSite=Strict`), and scripts do not see it (`HttpOnly`).

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

/// The token and the name of its cookie.
pub(crate) struct Access {
    token: String,
    /// Cookies know no ports: this one is of the server on this port.
    cookie: String,
}

impl Access {
    /// Access by a new token, to the server on this port.
    pub(crate) fn new(port: u16) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { token, cookie: format!("tower-audit-{port}") })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether this is the token. Takes as long for every text of its length.
    pub(super) fn is_token(&self, text: &str) -> bool {
        text.len() == self.token.len() && text.bytes().zip(self.token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }

    /// Whether a request has it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let of_cookies = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        });
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        of_cookies.chain(bearer).any(|text| self.is_token(text))
    }

    /// What gives the token to a browser. It forgets it when it is closed.
    pub(super) fn set_cookie(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token)).ok()
    }
}

const TOKEN_BYTES: usize = 32;
