//! The error code of a failed request.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EventError;
use super::truncate::truncate;

/// The error code of a failed request: one of a closed list.
///
/// ```
/// use http::StatusCode;
/// use tower_audit::ErrorCode;
///
/// assert_eq!(ErrorCode::from_status(StatusCode::FORBIDDEN), Some(ErrorCode::UNAUTHORIZED));
/// assert_eq!(ErrorCode::from_status(StatusCode::OK), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ErrorCode(Cow<'static, str>);

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        impl ErrorCode {
            $($(#[$meta])* pub const $name: Self = Self(Cow::Borrowed($text));)*

            /// The whole list.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// The server failed; any 5xx without a code of its own, a panic, an error of the inner service.
    SERVER_ERROR = "server-error",
    /// The request was at fault; any 4xx without a code of its own.
    CLIENT_ERROR = "client-error",
    /// A licence is missing.
    UNLICENSED = "unlicensed",
    /// 401: nobody is logged in.
    UNAUTHENTICATED = "unauthenticated",
    /// 403: the principal may not do this.
    UNAUTHORIZED = "unauthorized",
    /// The credentials are wrong.
    BAD_AUTHENTICATION = "bad-authentication",
    /// The session is unknown or has ended.
    BAD_SESSION = "bad-session",
    /// The token against cross-site requests is wrong.
    BAD_CSRF_TOKEN = "bad-csrf-token",
    /// 400.
    BAD_REQUEST = "bad-request",
    /// 502.
    BAD_GATEWAY = "bad-gateway",
    /// 504.
    GATEWAY_TIMEOUT = "gateway-timeout",
    /// 503.
    SERVICE_UNAVAILABLE = "service-unavailable",
    /// 404.
    NOT_FOUND = "not-found",
}

impl ErrorCode {
    /// The code of a status, or `None` below 400.
    pub fn from_status(status: StatusCode) -> Option<Self> {
        Some(match status.as_u16() {
            400 => Self::BAD_REQUEST,
            401 => Self::UNAUTHENTICATED,
            403 => Self::UNAUTHORIZED,
            404 => Self::NOT_FOUND,
            502 => Self::BAD_GATEWAY,
            503 => Self::SERVICE_UNAVAILABLE,
            504 => Self::GATEWAY_TIMEOUT,
            405..=499 | 402 => Self::CLIENT_ERROR,
            500.. => Self::SERVER_ERROR,
            _ => return None,
        })
    }

    /// The name in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Truncates the name. Only one of a later version, or of another program, is too long.
    pub(super) fn truncate_name(&mut self, max_bytes: usize) {
        if let Cow::Owned(truncated) = truncate(&self.0, max_bytes) {
            self.0 = truncated.into();
        }
    }
}

impl FromStr for ErrorCode {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        Self::ALL.iter().find(|code| code.as_str() == text).cloned().ok_or_else(|| EventError::error_code(text))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({self})")
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A code is read as it was stored: the list of a later version may be longer than this one's.
impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self(Cow::Owned(text))))
    }
}
