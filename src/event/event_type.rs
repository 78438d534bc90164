//! The type of an event.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::truncate::truncate;
use super::{BorrowedText, EventError};

/// The type of an event: one of [this crate's](Self::ALL), or an app's own `domain.action`.
///
/// ```
/// use tower_audit::EventType;
///
/// let own: EventType = "user.password-reset".parse()?;
/// assert_ne!(own, EventType::AUTH);
/// assert!("User.Reset".parse::<EventType>().is_err());
/// # Ok::<(), tower_audit::EventError>(())
/// ```
#[derive(Clone)]
pub struct EventType(Name);

#[derive(Clone)]
enum Name {
    BuiltIn(&'static str),
    Custom(Arc<str>),
}

impl EventType {
    /// Data came in through the app's upload routes.
    pub const UPLOAD: Self = Self(Name::BuiltIn("upload"));
    /// A request with an unsafe method, under [`AuditPolicy::mutations`](crate::AuditPolicy::mutations).
    pub const HTTP_MUTATION: Self = Self(Name::BuiltIn("http.mutation"));
    /// A mutating request to the administration.
    pub const ADMIN_ACTION: Self = Self(Name::BuiltIn("admin_action"));
    /// A query whose result count passed the limit.
    pub const OVERSIZE_QUERY: Self = Self(Name::BuiltIn("oversize_query"));
    /// A login or another proof of identity.
    pub const AUTH: Self = Self(Name::BuiltIn("auth"));
    /// Events were removed from the log; written by the log itself.
    pub const AUDIT_PURGE: Self = Self(Name::BuiltIn("audit.purge"));
    /// Values of a person were erased from events; written by the log itself.
    pub const AUDIT_ERASE: Self = Self(Name::BuiltIn("audit.erase"));
    /// The log's sealer has another key; written by `tower-audit keygen --continues`.
    pub const AUDIT_KEY_ROTATED: Self = Self(Name::BuiltIn("audit.key_rotated"));
    /// The log was restored from an older copy of its own, and is sealed on from there; written by `tower-audit keygen --restored`.
    pub const AUDIT_RESTORED: Self = Self(Name::BuiltIn("audit.restored"));
    /// Auditing itself failed for a while, or another log was in this one's place; written by the log itself.
    pub const AUDIT_FAILED: Self = Self(Name::BuiltIn("audit.failed"));
    /// The log was read; written by the read API that records its reads.
    pub const AUDIT_READ: Self = Self(Name::BuiltIn("audit.read"));
    /// The log was made anew; written by `tower-audit destroy-and-recreate`.
    pub const AUDIT_INIT: Self = Self(Name::BuiltIn("audit.init"));

    /// Records of another log were imported; written by `tower-audit import`.
    pub const AUDIT_IMPORT: Self = Self(Name::BuiltIn("audit.import"));

    /// The types of this crate: those of requests, and then those of the log itself. A later version may have more.
    pub const ALL: &'static [Self] = &[
        Self::UPLOAD,
        Self::HTTP_MUTATION,
        Self::ADMIN_ACTION,
        Self::OVERSIZE_QUERY,
        Self::AUTH,
        Self::AUDIT_PURGE,
        Self::AUDIT_ERASE,
        Self::AUDIT_KEY_ROTATED,
        Self::AUDIT_RESTORED,
        Self::AUDIT_FAILED,
        Self::AUDIT_READ,
        Self::AUDIT_INIT,
        Self::AUDIT_IMPORT,
    ];

    /// The types that a policy knows without a rule or a declaration.
    pub(crate) fn of_requests() -> &'static [Self] {
        const OF_REQUESTS: &[EventType] =
            &[EventType::UPLOAD, EventType::ADMIN_ACTION, EventType::OVERSIZE_QUERY, EventType::AUTH];
        OF_REQUESTS
    }

    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// An app's own type.
    ///
    /// # Errors
    /// If the name is neither one of this crate's nor of the form `domain.action`.
    pub fn new(name: &str) -> Result<Self, EventError> {
        name.parse()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::BuiltIn(name) => name,
            Name::Custom(name) => name,
        }
    }

    /// The type of this name, whatever the name is: the list of a later version may be longer than this one's.
    pub(crate) fn as_stored(name: &str) -> Self {
        name.parse().unwrap_or_else(|_| Self(Name::Custom(name.into())))
    }

    /// Truncates the name. Only one of a later version, or of another program, is too long.
    pub(super) fn truncate_name(&mut self, max_bytes: usize) {
        if let Cow::Owned(truncated) = truncate(self.as_str(), max_bytes) {
            self.0 = Name::Custom(truncated.into());
        }
    }
}

impl FromStr for EventType {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        if let Some(known) = Self::ALL.iter().find(|known| known.as_str() == text) {
            return Ok(known.clone());
        }
        let part_is_fine =
            |part: &str| !part.is_empty() && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if text.len() <= Self::MAX_BYTES && text.contains('.') && text.split('.').all(part_is_fine) {
            Ok(Self(Name::Custom(text.into())))
        } else {
            Err(EventError::event_type(text))
        }
    }
}

impl PartialEq for EventType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EventType {}

impl std::hash::Hash for EventType {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventType({self})")
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A type is read as it was stored: the list of a later version may be longer than this one's.
impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let BorrowedText(text) = BorrowedText::deserialize(deserializer)?;
        Ok(Self::as_stored(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_apps() {
        for good in ["user.created", "a.b.c", "x-1.y_2", &format!("a.{}", "b".repeat(62))] {
            assert!(good.parse::<EventType>().is_ok(), "{good}");
        }
        for bad in
            ["", "UPLOAD", "upload ", "own", ".a", "a.", "a..b", "a b.c", "é.x", &format!("a.{}", "b".repeat(63))]
        {
            assert!(bad.parse::<EventType>().is_err(), "{bad}");
        }
    }
}
