//! The fields that events are filtered and counted by.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::FilterError;
use crate::event::{AuditEvent, EventField, FIELDS, excerpt};

/// Declares [`Field`]: each field with its name in filters and, unless it is a list, its path in the event.
macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(of $path:literal)?;)*) => {
        /// A field that events are filtered by.
        ///
        /// Exhaustive, so that the compiler shows a new field to the authors of stores.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(clippy::exhaustive_enums, reason = "stores handle every variant")]
        pub enum Field {
            $($(#[$doc])* $variant,)*
        }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name, as in filters.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the field of the event; `None` for one of the lists.
            pub(crate) const fn event_field(self) -> Option<&'static EventField> {
                match self {
                    $(Self::$variant => {
                        const FOUND: Option<&EventField> = fields!(@found $($path)?);
                        FOUND
                    })*
                }
            }
        }
    };
    (@found) => { None };
    (@found $path:literal) => { Some(&FIELDS[position($path)]) };
}

fields! {
    /// `event_type`
    EventType = "event_type" of "event_type";
    /// `actor.user_email`
    UserEmail = "user_email" of "actor.user_email";
    /// `actor.remote_addr`
    RemoteAddr = "remote_addr" of "actor.remote_addr";
    /// `resource.route`
    Route = "route" of "resource.route";
    /// `outcome`
    Outcome = "outcome" of "outcome";
    /// `phase`
    Phase = "phase" of "phase";
    /// `resource.method`
    Method = "method" of "resource.method";
    /// `actor.api_key_hash`
    ApiKeyHash = "api_key_hash" of "actor.api_key_hash";
    /// `actor.acting_for`
    ActingFor = "acting_for" of "actor.acting_for";
    /// `classification.domain`
    Domain = "domain" of "classification.domain";
    /// `classification.action`
    Action = "action" of "classification.action";
    /// `classification.error`
    Error = "error" of "classification.error";
    /// The types of `targets`
    TargetType = "target_type";
    /// `request.request_uri`
    Uri = "uri" of "request.request_uri";
    /// `request.request_id`
    RequestId = "request_id" of "request.request_id";
    /// `request.trace_id`
    TraceId = "trace_id" of "request.trace_id";
    /// `targets`, each as `TYPE/ID`
    Target = "target";
}

/// Returns the position of a path in [`FIELDS`]. Evaluated by the compiler, which rejects a path that is not there.
const fn position(path: &str) -> usize {
    let mut n = 0;
    while !is_same(FIELDS[n].path().as_bytes(), path.as_bytes()) {
        n += 1;
    }
    n
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut n = 0;
    while n < one.len() {
        if one[n] != other[n] {
            return false;
        }
        n += 1;
    }
    true
}

impl Field {
    /// The fields that events are counted by: those with one value at the most, and not a different one for each request.
    pub const COUNTED: [Self; 12] = [
        Self::EventType,
        Self::UserEmail,
        Self::RemoteAddr,
        Self::Route,
        Self::Outcome,
        Self::Phase,
        Self::Method,
        Self::ApiKeyHash,
        Self::ActingFor,
        Self::Domain,
        Self::Action,
        Self::Error,
    ];

    /// Returns the event's value of this field as text, or `None` if it is absent; of a list, the first.
    pub fn value_of(self, event: &AuditEvent) -> Option<String> {
        let mut found = None;
        self.any_value(event, &mut |value| {
            found = Some(value.to_owned());
            true
        });
        found
    }

    /// Returns true if `test` does for one of the event's values of this field, as text.
    pub(crate) fn any_value(self, event: &AuditEvent, test: &mut dyn FnMut(&str) -> bool) -> bool {
        match self {
            Self::Target => event.targets.iter().any(|target| test(&target.to_string())),
            Self::TargetType => event.targets.iter().any(|target| test(&target.target_type)),
            _ => self
                .event_field()
                .and_then(|field| field.value_of(event))
                .is_some_and(|value: Cow<'_, str>| test(&value)),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the name of one of [`Field::COUNTED`].
impl FromStr for Field {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::COUNTED.into_iter().find(|field| field.as_str() == text).ok_or_else(|| {
            let known = Self::COUNTED.map(Self::as_str).join(", ");
            FilterError::new(format!("{:?} is not a field to group by: expected one of {known}", excerpt(text)))
        })
    }
}
