//! The parameters of the query string: the one table that requests are read by and the OpenAPI document is made from.

use serde_json::{Value, json};

use crate::event::limits::{MAX_ADDR_BYTES, MAX_ROUTE_BYTES, MAX_USER_EMAIL_BYTES};
use crate::event::{EventType, Phase, Timestamp};

/// One parameter. It stands at most once, and is never empty.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// No value is longer. For text it is the limit of the event's field: no event has more.
    pub(super) max_bytes: usize,
    /// What a value looks like, as JSON Schema.
    pub(super) schema: fn() -> Value,
}

/// Which events: the names of [`Filter::NAMES`](crate::query::Filter::NAMES).
pub(super) const FILTERS: &[Parameter] = &[
    Parameter {
        name: "event_type",
        about: "Events of this type.",
        max_bytes: EventType::MAX_BYTES,
        schema: || {
            let own = r"[a-z0-9_-]+(\.[a-z0-9_-]+)+";
            let names = EventType::BUILT_IN.map(|built_in| built_in.as_str().to_owned()).join("|");
            json!({ "type": "string", "pattern": format!("^({names}|{own})$"), "maxLength": EventType::MAX_BYTES })
        },
    },
    Parameter {
        name: "user_email",
        about: "Events of this user, compared exactly. Who is no administrator may only name themselves.",
        max_bytes: MAX_USER_EMAIL_BYTES,
        schema: || text(MAX_USER_EMAIL_BYTES),
    },
    Parameter { name: "since", about: "Events at this time or later. WHEN.", max_bytes: 64, schema: when },
    Parameter {
        name: "until",
        about: "Events before this time, which is after `since`. WHEN.",
        max_bytes: 64,
        schema: when,
    },
    Parameter {
        name: "outcome",
        about: "Events with this HTTP status.",
        max_bytes: 3,
        schema: || json!({ "type": "integer", "minimum": 100, "maximum": 999 }),
    },
    Parameter {
        name: "route",
        about: "Events of this route template, compared exactly.",
        max_bytes: MAX_ROUTE_BYTES,
        schema: || text(MAX_ROUTE_BYTES),
    },
    Parameter {
        name: "remote_addr",
        about: "Events of this client address, compared exactly.",
        max_bytes: MAX_ADDR_BYTES,
        schema: || text(MAX_ADDR_BYTES),
    },
    Parameter {
        name: "phase",
        about: "Events of this phase.",
        max_bytes: 16,
        schema: || json!({ "type": "string", "enum": [Phase::Completed, Phase::Started, Phase::Unknown] }),
    },
];

/// Which of them, in a listing.
pub(super) const PAGING: &[Parameter] = &[
    Parameter {
        name: "limit",
        about: "How many events at the most. What is more than the maximum is taken for the maximum.",
        max_bytes: 20,
        schema: || json!({ "type": "integer", "minimum": 1, "default": DEFAULT_LIMIT, "x-capped-at": MAX_LIMIT }),
    },
    Parameter {
        name: "skip",
        about: "How many of the newest to leave out. Not together with `cursor`.",
        max_bytes: 20,
        schema: || json!({ "type": "integer", "minimum": 0, "default": 0 }),
    },
    Parameter {
        name: "cursor",
        about: "Where the page before ended, as its header `audit-next-cursor` said, with the same filters.",
        max_bytes: 256,
        schema: || json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 256 }),
    },
];

/// As what, in an export.
pub(super) const FORMATTING: &[Parameter] = &[Parameter {
    name: "format",
    about: "As what.",
    max_bytes: 8,
    schema: || json!({ "type": "string", "enum": FORMATS, "default": FORMATS[0] }),
}];

/// How many events a page has if nobody says otherwise.
pub(super) const DEFAULT_LIMIT: usize = 100;

/// How many events a page has at the most.
pub(super) const MAX_LIMIT: usize = 1000;

/// The formats of an export; the first is the default.
pub(super) const FORMATS: [&str; 3] = ["ndjson", "csv", "json"];

fn text(max_bytes: usize) -> Value {
    // In characters, of which each has a byte at least, so that what is valid by the schema may still be too long.
    json!({ "type": "string", "minLength": 1, "maxLength": max_bytes, "pattern": r"^[^\u0000]+$" })
}

fn when() -> Value {
    json!({
        "description": "A time before now such as `30d`, `2h`, `90m`, `10s`, `1w` or `2y`; a Unix timestamp in seconds; \
                        or ISO 8601, which is UTC without an offset.",
        "anyOf": [
            { "type": "string", "pattern": "^[0-9]{1,3}[smhdwy]$" },
            { "type": "number", "minimum": 0, "maximum": Timestamp::MAX.as_micros() / 1_000_000 },
            { "type": "string", "format": "date" },
            { "type": "string", "format": "date-time" },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Filter;

    #[test]
    fn the_filters_are_those_of_the_library() {
        assert_eq!(FILTERS.iter().map(|parameter| parameter.name).collect::<Vec<_>>(), Filter::NAMES);
    }
}
