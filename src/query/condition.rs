//! What a field of an event must be.

use std::fmt;
use std::str::FromStr;

use super::{FilterError, Pattern};
use crate::event::limits::excerpt;
use crate::event::{EventType, Phase, address};

/// What a field of an event must be: one of some values, and none of some others. Nothing of either is no condition.
///
/// ```
/// use tower_audit::query::{Condition, Pattern};
///
/// let one: Condition<Pattern> = "alice@example.org".into();
/// let others = Condition::none_of([Pattern::parse("*@example.org")?]);
/// assert_eq!(one.wanted().len() + others.unwanted().len(), 2);
/// # Ok::<(), tower_audit::query::FilterError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Condition<T> {
    wanted: Vec<T>,
    unwanted: Vec<T>,
}

impl<T> Condition<T> {
    /// How many values a condition takes from text: what a database spends on it grows with each.
    pub const MAX_VALUES: usize = 20;

    /// One of these.
    pub fn one_of(values: impl IntoIterator<Item = T>) -> Self {
        Self { wanted: values.into_iter().collect(), unwanted: Vec::new() }
    }

    /// None of these: something else, or nothing at all.
    pub fn none_of(values: impl IntoIterator<Item = T>) -> Self {
        Self { wanted: Vec::new(), unwanted: values.into_iter().collect() }
    }

    /// The values of which the field must be one, if there are any.
    pub fn wanted(&self) -> &[T] {
        &self.wanted
    }

    /// The values of which the field must be none.
    pub fn unwanted(&self) -> &[T] {
        &self.unwanted
    }

    /// Whether there is no condition.
    pub fn is_none(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    /// Whether a field passes, where `is` says which values it has.
    pub(super) fn passes(&self, is: impl Fn(&T) -> bool) -> bool {
        (self.wanted.is_empty() || self.wanted.iter().any(&is)) && !self.unwanted.iter().any(&is)
    }

    /// Takes one more value from its textual form; a `!` before it negates it.
    pub(super) fn add(&mut self, text: &str, read: impl Fn(&str) -> Result<T, FilterError>) -> Result<(), FilterError> {
        if self.wanted.len() + self.unwanted.len() >= Self::MAX_VALUES {
            return Err(FilterError::new(format!("it has more than {} values", Self::MAX_VALUES)));
        }
        match text.strip_prefix('!') {
            Some(rest) => self.unwanted.push(read(rest)?),
            None => self.wanted.push(read(text)?),
        }
        Ok(())
    }
}

impl<T> Default for Condition<T> {
    /// No condition.
    fn default() -> Self {
        Self { wanted: Vec::new(), unwanted: Vec::new() }
    }
}

impl<T> From<T> for Condition<T> {
    /// This value.
    fn from(value: T) -> Self {
        Self::one_of([value])
    }
}

impl From<&str> for Condition<Pattern> {
    /// This text and no other.
    fn from(text: &str) -> Self {
        Pattern::exactly(text).into()
    }
}

impl From<String> for Condition<Pattern> {
    /// This text and no other.
    fn from(text: String) -> Self {
        Pattern::exactly(text).into()
    }
}

impl From<EventType> for Condition<Pattern> {
    /// This type and no other.
    fn from(event_type: EventType) -> Self {
        Pattern::exactly(event_type.as_str()).into()
    }
}

impl From<u16> for Condition<Status> {
    /// This status.
    fn from(status: u16) -> Self {
        Status::Is(status).into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.wanted).entries(self.unwanted.iter().map(Not)).finish()
    }
}

struct Not<'a, T>(&'a T);

impl<T: fmt::Debug> fmt::Debug for Not<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!{:?}", self.0)
    }
}

/// What the `outcome` of an event may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// This status.
    Is(u16),
    /// A status whose hundreds are these: `4xx` is `Class(4)`.
    Class(u8),
    /// None: the event is no request, or its request has not ended.
    None,
}

impl Status {
    /// Whether an outcome is this.
    pub fn matches(self, outcome: Option<u16>) -> bool {
        match self {
            Self::Is(status) => outcome == Some(status),
            Self::Class(hundreds) => outcome.is_some_and(|outcome| outcome / 100 == u16::from(hundreds)),
            Self::None => outcome.is_none(),
        }
    }
}

/// `404`, `4xx` or `none`.
impl FromStr for Status {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let status = match text.as_bytes() {
            b"none" => Some(Self::None),
            [hundreds @ b'1'..=b'9', b'x', b'x'] => Some(Self::Class(hundreds - b'0')),
            [b'1'..=b'9', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
                text.parse().ok().map(Self::Is)
            }
            _ => None,
        };
        status.ok_or_else(|| {
            FilterError::new(format!(
                "{:?} is no HTTP status: expected a number from 100 to 999, a class such as 4xx, or none",
                excerpt(text)
            ))
        })
    }
}

/// A type of event, or the beginning of one before a `*`.
pub(super) fn event_type(text: &str) -> Result<Pattern, FilterError> {
    let pattern = Pattern::parse(text)?;
    if let Some(exact) = pattern.as_exact() {
        let event_type: EventType = exact.parse().map_err(|error| FilterError::new(format!("{error}")))?;
        return Ok(Pattern::exactly(event_type.as_str()));
    }
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if pattern.literals().iter().all(|literal| literal.chars().all(may_be)) {
        return Ok(pattern);
    }
    Err(FilterError::new(format!(
        "{:?} is like no type: expected lower-case letters, digits, `.`, `_`, `-` and `*`",
        excerpt(text)
    )))
}

/// A client's address in any of its forms, or a text that may have `*` in it.
///
/// An app may name its clients otherwise, so other text is compared as it is; but what looks like an address and is none
/// is a mistake, which would find nothing.
pub(super) fn remote_addr(text: &str) -> Result<Pattern, FilterError> {
    let pattern = Pattern::parse(text)?;
    let Some(exact) = pattern.as_exact() else { return Ok(pattern) };
    match address::read(exact.as_bytes()) {
        Some(addr) => Ok(Pattern::exactly(address::to_text(addr).as_str())),
        None if looks_like_address(exact) => Err(FilterError::new(format!(
            "{:?} is no address: expected one such as 192.0.2.7 or 2001:db8::1, or the beginning of several such as 192.0.2.*",
            excerpt(text)
        ))),
        None => Ok(pattern),
    }
}

/// Four numbers between dots, or hexadecimal digits between colons, with whatever people put behind them.
fn looks_like_address(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let before_port = text.split([':', '/']).next().unwrap_or_default();
    let is_version_4 = before_port.split('.').count() == 4 && before_port.split('.').all(is_number);
    let is_version_6 =
        text.matches(':').count() > 1 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.[]/".contains(&byte));
    is_version_4 || is_version_6
}

pub(super) fn phase(text: &str) -> Result<Phase, FilterError> {
    text.parse().map_err(|error| FilterError::new(format!("{error}")))
}
