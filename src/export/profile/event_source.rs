//! The name of the service whose events are written.

use std::fmt;
use std::str::FromStr;

/// The name of the service whose events are written: `source` of CloudEvents, `service.name` of ECS.
///
/// At most 256 ASCII letters, digits and `- . _ ~ : / @ +`, so that it is a URI reference, too.
///
/// ```
/// use tower_audit::export::EventSource;
///
/// let source: EventSource = "https://shop.example.org/orders".parse()?;
/// assert_eq!(source.as_str(), "https://shop.example.org/orders");
/// assert!("two words".parse::<EventSource>().is_err());
/// assert_eq!(EventSource::default().as_str(), "tower-audit");
/// # Ok::<(), tower_audit::export::EventSourceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource(String);

/// A text that is no name of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSourceError;

impl EventSource {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EventSource {
    fn default() -> Self {
        Self("tower-audit".into())
    }
}

impl FromStr for EventSource {
    type Err = EventSourceError;

    fn from_str(text: &str) -> Result<Self, EventSourceError> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@+".contains(&byte);
        // A colon within the first segment would make a scheme of it, which begins with a letter (RFC 3986 section 4.2).
        let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains('/'));
        let has_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_fine) && scheme.is_none_or(has_scheme) {
            Ok(Self(text.into()))
        } else {
            Err(EventSourceError)
        }
    }
}

impl fmt::Display for EventSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the name of a source is a URI reference of 1 to {} letters, digits and `@+:/-._~`, such as `shop` or \
             `https://shop.example.org/orders`",
            EventSource::MAX_BYTES
        )
    }
}

impl std::error::Error for EventSourceError {}
