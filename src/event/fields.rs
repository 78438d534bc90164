//! The one list of an event's fields.
//!
//! Bounds, weight, CSV, and the generators of tests are made of it.

use std::borrow::Cow;
use std::fmt;

use super::limits::{
    MAX_ADDR_BYTES, MAX_HEADER_BYTES, MAX_METHOD_BYTES, MAX_NAME_BYTES, MAX_ROUTE_BYTES, MAX_URI_BYTES,
    MAX_USER_EMAIL_BYTES,
};
use super::truncate::truncate;
use super::{AuditEvent, CompactText, ErrorCode, EventId, EventType, Phase, Target, Timestamp};

/// A field of an event: every part of it but `details` and `extra`. Of the targets, the first one is a field.
///
/// ```
/// use tower_audit::event::FIELDS;
/// use tower_audit::{Actor, AuditEvent, EventType};
///
/// let mut event = AuditEvent::new(EventType::UPLOAD);
/// event.actor = Actor::user("alice");
/// let field = FIELDS.iter().find(|field| field.path() == "actor.user_email").unwrap();
/// assert_eq!((field.name(), field.max_bytes()), ("user_email", Some(512)));
/// assert_eq!(field.value_of(&event).as_deref(), Some("alice"));
/// ```
pub struct EventField {
    path: &'static str,
    name: &'static str,
    max_bytes: Option<usize>,
    value: fn(&AuditEvent) -> Option<Cow<'_, str>>,
    text_mut: fn(&mut AuditEvent) -> Option<&mut Option<CompactText>>,
}

impl EventField {
    /// Returns the path in JSON, such as `actor.user_email`.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// Returns the name without its object, as filters and CSV have it: no two fields have the same.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the maximum length of a text in bytes of UTF-8; none for numbers, ids, times and phases.
    pub const fn max_bytes(&self) -> Option<usize> {
        self.max_bytes
    }

    /// Returns the event's value as text.
    pub fn value_of<'e>(&self, event: &'e AuditEvent) -> Option<Cow<'e, str>> {
        (self.value)(event)
    }

    /// Sets the value, and returns true if the field takes any text.
    pub fn set_text(&self, event: &mut AuditEvent, text: &str) -> bool {
        (self.text_mut)(event).map(|value| *value = Some(text.into())).is_some()
    }
}

impl fmt::Debug for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventField").field("path", &self.path).field("max_bytes", &self.max_bytes).finish()
    }
}

/// Defines [`FIELDS`] and what is made of it, without a table at run time: every audited request is bounded and weighed.
macro_rules! event_fields {
    ($($($part:ident).+ $(<= $limit:ident)?;)*) => {
        /// The fields of an event, in the order of the columns of CSV; a new one comes last.
        pub const FIELDS: &[EventField] = &[
            $(EventField {
                path: stringify!($($part).+),
                name: event_fields!(@last $($part).+),
                max_bytes: event_fields!(@max_bytes $($limit)?),
                value: |event| event.$($part).+.to_shown(),
                text_mut: |event| event.$($part).+.text_mut(),
            },)*
            EventField {
                path: "targets",
                name: "target",
                max_bytes: Some(Target::MAX_TEXT_BYTES),
                value: |event| event.targets.first().map(|target| target.to_string().into()),
                text_mut: |_| None,
            },
            EventField {
                path: "targets_omitted",
                name: "targets_omitted",
                max_bytes: None,
                value: |event| (event.targets.omitted() > 0).then(|| event.targets.omitted().to_string().into()),
                text_mut: |_| None,
            },
        ];

        impl AuditEvent {
            /// Truncates every field to its limit.
            pub(super) fn truncate_fields(&mut self) {
                let event = self;
                $(event_fields!(@truncate event.$($part).+ $(<= $limit)?);)*
            }

            /// Returns the bytes that the fields have on the heap, or would have if no text was short.
            #[inline]
            pub(super) fn fields_weight(&self) -> usize {
                0 $(+ self.$($part).+.weight())*
            }
        }
    };
    (@last $part:ident) => { stringify!($part) };
    (@last $part:ident.$($rest:ident).+) => { event_fields!(@last $($rest).+) };
    (@max_bytes) => { None };
    (@max_bytes $limit:ident) => { Some($limit) };
    (@truncate $event:ident.$($part:ident).+) => {};
    (@truncate $event:ident.$($part:ident).+ <= $limit:ident) => { $event.$($part).+.truncate_to($limit) };
}

event_fields! {
    event_id;
    event_type <= MAX_NAME_BYTES;
    created_at;
    phase;
    actor.user_email <= MAX_USER_EMAIL_BYTES;
    actor.api_key_hash <= MAX_ADDR_BYTES;
    actor.remote_addr <= MAX_ADDR_BYTES;
    resource.route <= MAX_ROUTE_BYTES;
    resource.method <= MAX_METHOD_BYTES;
    outcome;
    request.request_id <= MAX_NAME_BYTES;
    request.started_event_id;
    request.request_uri <= MAX_URI_BYTES;
    request.user_agent <= MAX_HEADER_BYTES;
    request.forwarded <= MAX_HEADER_BYTES;
    request.trace_id <= MAX_NAME_BYTES;
    request.duration_us;
    classification.domain <= MAX_NAME_BYTES;
    classification.action <= MAX_NAME_BYTES;
    classification.error <= MAX_NAME_BYTES;
    actor.acting_for <= MAX_USER_EMAIL_BYTES;
}

/// The value of a field.
trait FieldValue {
    fn to_shown(&self) -> Option<Cow<'_, str>>;

    /// Truncates a text that is too long. The default is for values of a fixed size.
    #[inline]
    fn truncate_to(&mut self, _max_bytes: usize) {}

    /// Returns the bytes of a text. The default is for values of a fixed size.
    #[inline]
    fn weight(&self) -> usize {
        0
    }

    /// Returns the value if it may be any text.
    #[inline]
    fn text_mut(&mut self) -> Option<&mut Option<CompactText>> {
        None
    }
}

impl FieldValue for Option<CompactText> {
    fn to_shown(&self) -> Option<Cow<'_, str>> {
        self.as_deref().map(Cow::Borrowed)
    }

    #[inline]
    fn truncate_to(&mut self, max_bytes: usize) {
        if let Some(text) = self
            && let Cow::Owned(truncated) = truncate(text, max_bytes)
        {
            *text = truncated.into();
        }
    }

    #[inline]
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, |text| text.len())
    }

    fn text_mut(&mut self) -> Option<&mut Option<CompactText>> {
        Some(self)
    }
}

/// A type of a later version, or of another program, may be too long.
impl FieldValue for EventType {
    fn to_shown(&self) -> Option<Cow<'_, str>> {
        Some(self.as_str().into())
    }

    #[inline]
    fn truncate_to(&mut self, max_bytes: usize) {
        self.truncate_name(max_bytes);
    }

    #[inline]
    fn weight(&self) -> usize {
        self.as_str().len()
    }
}

/// A code of a later version, or of another program, may be too long.
impl FieldValue for Option<ErrorCode> {
    fn to_shown(&self) -> Option<Cow<'_, str>> {
        self.as_ref().map(|code| code.as_str().into())
    }

    #[inline]
    fn truncate_to(&mut self, max_bytes: usize) {
        if let Some(code) = self {
            code.truncate_name(max_bytes);
        }
    }

    #[inline]
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, |code| code.as_str().len())
    }
}

macro_rules! fixed_size {
    ($($type:ty)*) => {
        $(impl FieldValue for $type {
            fn to_shown(&self) -> Option<Cow<'_, str>> {
                Some(self.to_string().into())
            }
        }

        impl FieldValue for Option<$type> {
            fn to_shown(&self) -> Option<Cow<'_, str>> {
                self.as_ref().map(|value| value.to_string().into())
            }
        })*
    };
}

fixed_size! { EventId Timestamp Phase u16 u64 }

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::event::{Actor, Classification, RequestInfo, Resource};

    /// The paths that the format reserves: those of the structs, which cannot have a field without a name.
    fn reserved_paths() -> BTreeSet<String> {
        let objects = [
            ("actor", Actor::NAMES),
            ("resource", Resource::NAMES),
            ("request", RequestInfo::NAMES),
            ("classification", Classification::NAMES),
        ];
        let own = AuditEvent::NAMES.iter().map(|name| (*name).to_owned());
        let own = own.filter(|name| name != "details" && objects.iter().all(|(object, _)| object != name));
        let of_objects =
            objects.iter().flat_map(|(object, names)| names.iter().map(move |name| format!("{object}.{name}")));
        own.chain(of_objects).collect()
    }

    #[test]
    fn no_field_is_forgotten() {
        let paths: BTreeSet<String> = FIELDS.iter().map(|field| field.path().to_owned()).collect();
        assert_eq!(paths, reserved_paths());
        let names: BTreeSet<&str> = FIELDS.iter().map(EventField::name).collect();
        assert_eq!(names.len(), FIELDS.len(), "two fields have the same name");
    }

    #[test]
    fn every_text_has_a_limit() {
        for field in FIELDS {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            if field.set_text(&mut event, "text") {
                assert!(field.max_bytes().is_some(), "{}", field.path());
                assert_eq!(field.value_of(&event).as_deref(), Some("text"), "{}", field.path());
            }
        }
        assert_eq!(FIELDS.iter().filter(|field| field.max_bytes().is_some()).count(), 16);
    }

    #[test]
    fn the_manuals_have_every_field() {
        const FORMAT: &str = include_str!("../../docs/event-format.md");
        const PROGRAM: &str = include_str!("../../docs/cli.md");
        for field in FIELDS {
            let (path, name) = (format!("`{}`", field.path()), format!("`{}`", field.name()));
            assert!(PROGRAM.contains(&name), "{name} is not in docs/cli.md");
            let row = FORMAT.lines().find(|line| line.starts_with(&format!("| {path} |")));
            let row = row.unwrap_or_else(|| panic!("{path} is not in docs/event-format.md"));
            if field.set_text(&mut AuditEvent::new(EventType::UPLOAD), "") {
                let limit = field.max_bytes().expect("a text has a limit");
                assert!(row.ends_with(&format!(" {limit} |")), "{row}");
            }
        }
    }
}
