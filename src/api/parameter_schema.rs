//! The parameters of the query string: the one table that requests are read by and the OpenAPI document is made from.

use serde_json::{Value, json};

use crate::event::limits::{
    MAX_ADDR_BYTES, MAX_DETAIL_KEY_BYTES, MAX_DETAIL_STRING_BYTES, MAX_METHOD_BYTES, MAX_NAME_BYTES, MAX_ROUTE_BYTES,
    MAX_TARGET_TYPE_BYTES, MAX_URI_BYTES, MAX_USER_EMAIL_BYTES,
};
use crate::event::{EventType, Phase, Timestamp};
use crate::export::Profile;
use crate::query::{Buckets, Field};

/// A parameter. Its value is never empty.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// The longest value, without a `!` before it. For text this is the limit of the event's field.
    pub(crate) max_bytes: usize,
    /// True if it may be given several times.
    pub(crate) may_repeat: bool,
    /// The JSON Schema of a value.
    pub(crate) schema: fn() -> Value,
}

impl Parameter {
    /// Returns true if the value is not too long.
    pub(crate) fn fits(&self, value: &str) -> bool {
        value.strip_prefix('!').unwrap_or(value).len() <= self.max_bytes
    }
}

/// The filters: the names of [`Filter::FIELD_NAMES`](crate::query::Filter::FIELD_NAMES).
pub(crate) const FILTERS: &[Parameter] = &[
    Parameter {
        name: "event_type",
        description: "Events of this type. PATTERN.",
        max_bytes: 2 * EventType::MAX_BYTES,
        may_repeat: true,
        schema: || {
            let own = r"[a-z0-9_-]+(\.[a-z0-9_-]+)+";
            let like = r"[a-z0-9._-]{0,40}\*[a-z0-9._-]{0,20}";
            let simple = EventType::ALL.iter().map(EventType::as_str).filter(|name| !name.contains('.'));
            let names = simple.collect::<Vec<_>>().join("|");
            json!({ "type": "string", "pattern": format!("^!?({names}|{own}|{like})$"), "maxLength": EventType::MAX_BYTES })
        },
    },
    Parameter {
        name: "user_email",
        description: "Events of this user. Callers who are no administrators may only name themselves, exactly. PATTERN.",
        max_bytes: escaped(MAX_USER_EMAIL_BYTES),
        may_repeat: true,
        schema: || text(MAX_USER_EMAIL_BYTES),
    },
    Parameter {
        name: "since",
        description: "Events at this time or later. It is before `until`, if that is given, or the answer is 400. WHEN.",
        max_bytes: 64,
        may_repeat: false,
        schema: when,
    },
    Parameter {
        name: "until",
        description: "Events before this time. It is after `since`, if that is given, or the answer is 400. WHEN.",
        max_bytes: 64,
        may_repeat: false,
        schema: when,
    },
    Parameter {
        name: "outcome",
        description: "Events with this HTTP status, one of a class such as `4xx`, or `none`; after a `!`, those without. Several \
                with commas between them are the same as the parameter several times.",
        max_bytes: MAX_OUTCOMES_BYTES,
        may_repeat: true,
        // Several in one value are taken, too, and told in words: by the schema they count one each.
        schema: || json!({ "type": "string", "pattern": "^!?([1-9][0-9][0-9]|[1-9]xx|none)$" }),
    },
    Parameter {
        name: "route",
        description: "Events of this route template. PATTERN.",
        max_bytes: escaped(MAX_ROUTE_BYTES),
        may_repeat: true,
        schema: || text(MAX_ROUTE_BYTES),
    },
    Parameter {
        name: "remote_addr",
        description: "Events of this client address, in any of its forms; what only looks like an address is an error. PATTERN.",
        max_bytes: escaped(MAX_ADDR_BYTES),
        may_repeat: true,
        schema: || text(MAX_ADDR_BYTES),
    },
    Parameter {
        name: "phase",
        description: "Events of this phase; after a `!`, those of the others.",
        max_bytes: 17,
        may_repeat: true,
        schema: || {
            let names = [Phase::Completed, Phase::Started, Phase::Unknown].map(Phase::as_str).join("|");
            json!({ "type": "string", "pattern": format!("^!?({names})$") })
        },
    },
    pattern("method", "Events of this method. PATTERN.", escaped(MAX_METHOD_BYTES), || text(MAX_METHOD_BYTES)),
    pattern(
        "api_key_hash",
        "Events whose request presented the API key with this digest. PATTERN.",
        escaped(MAX_ADDR_BYTES),
        || text(MAX_ADDR_BYTES),
    ),
    pattern(
        "acting_for",
        "Events whose actor acted for this principal. PATTERN.",
        escaped(MAX_USER_EMAIL_BYTES),
        || text(MAX_USER_EMAIL_BYTES),
    ),
    pattern("domain", "Events of this domain. PATTERN.", escaped(MAX_NAME_BYTES), || text(MAX_NAME_BYTES)),
    pattern("action", "Events of this action. PATTERN.", escaped(MAX_NAME_BYTES), || text(MAX_NAME_BYTES)),
    pattern("error", "Events with this error code. PATTERN.", escaped(MAX_NAME_BYTES), || text(MAX_NAME_BYTES)),
    pattern(
        "target_type",
        "Events with a target of this type. PATTERN.",
        escaped(MAX_TARGET_TYPE_BYTES),
        || json!({ "type": "string", "pattern": r"^!?[a-z0-9._-]{0,30}\*?[a-z0-9._-]{1,30}$" }),
    ),
    pattern(
        "target",
        "Events with this target, `TYPE/ID`, compared as a whole; after a `!`, those without it.",
        // An id may be as long as the client likes: one that was cut in its event is found by the whole of it.
        MAX_DETAIL_STRING_BYTES,
        || json!({ "type": "string", "pattern": r"^!?[a-z0-9._-]{1,64}/[^*\u0000]{2,256}$" }),
    ),
    pattern("uri", "Events of this request target, as the client sent it. PATTERN.", escaped(MAX_URI_BYTES), || {
        text(MAX_URI_BYTES)
    }),
    pattern(
        "request_id",
        "Events of this request, compared as a whole; after a `!`, those of others.",
        escaped(MAX_NAME_BYTES),
        || whole(MAX_NAME_BYTES),
    ),
    pattern(
        "trace_id",
        "Events of this trace, compared as a whole; after a `!`, those of others.",
        escaped(MAX_NAME_BYTES),
        || whole(MAX_NAME_BYTES),
    ),
    pattern(
        DETAIL,
        "Events whose detail KEY has this value, as `KEY=VALUE` or `KEY=!VALUE`; `detail.KEY=VALUE` is the same. Text, integers and \
         booleans are compared, as a whole.",
        MAX_DETAIL_KEY_BYTES + 1 + escaped(MAX_DETAIL_STRING_BYTES),
        || json!({ "type": "string", "pattern": r"^[^=*!\\\u0000]{1,128}=!?[^*!\\\u0000]{1,1000}$" }),
    ),
    Parameter {
        name: "folded",
        description: "If true, without `started` events whose end is stored: a request is one event. Those that are open stay.",
        max_bytes: 5,
        may_repeat: false,
        schema: || json!({ "type": "boolean", "default": false }),
    },
];

/// The filter whose values have a key each.
pub(crate) const DETAIL: &str = "detail";

const fn pattern(name: &'static str, description: &'static str, max_bytes: usize, schema: fn() -> Value) -> Parameter {
    Parameter { name, description, max_bytes, may_repeat: true, schema }
}

/// The parameters of a page.
pub(crate) const PAGING: &[Parameter] = &[LIMIT, SKIP, CURSOR];

pub(crate) const LIMIT: Parameter = Parameter {
    name: "limit",
    description: "The page size. Larger values are reduced to the maximum.",
    max_bytes: 20,
    may_repeat: false,
    schema: || json!({ "type": "integer", "minimum": 1, "maximum": i64::MAX, "default": DEFAULT_LIMIT, "x-capped-at": MAX_LIMIT }),
};

const SKIP: Parameter = Parameter {
    name: "skip",
    description: "The number of newest events to skip. Not with `cursor`.",
    max_bytes: 20,
    may_repeat: false,
    schema: || json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX, "default": 0 }),
};

pub(crate) const CURSOR: Parameter = Parameter {
    name: "cursor",
    description: "The `audit-next-cursor` of the previous page, with the same filters.",
    max_bytes: MAX_CURSOR_BYTES,
    may_repeat: false,
    schema: || json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_CURSOR_BYTES }),
};

/// The longest value of `outcome`: twenty statuses, each with `!`, a comma and a blank.
const MAX_OUTCOMES_BYTES: usize = 20 * 7;

/// The longest cursor.
pub(crate) const MAX_CURSOR_BYTES: usize = 256;

/// The parameters of an export.
pub(crate) const FORMATTING: &[Parameter] = &[
    Parameter {
        name: "format",
        description: "The format. With a `profile`, `jsonl` is one event a line, and `csv` is refused; so is `json` with `cef`, \
                whose events are lines of text.",
        max_bytes: 8,
        may_repeat: false,
        schema: || json!({ "type": "string", "enum": FORMATS, "default": FORMATS[0] }),
    },
    Parameter {
        name: "profile",
        description: "The shape of each event, that of another system; without it, the event as it is.",
        max_bytes: 16,
        may_repeat: false,
        schema: || {
            let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.as_str()).collect();
            json!({ "type": "string", "enum": names })
        },
    },
];

/// The parameters of statistics.
pub(crate) const AGGREGATION: &[Parameter] = &[
    Parameter {
        name: "by",
        description: "The fields to count by.",
        max_bytes: 16,
        may_repeat: true,
        schema: || json!({ "type": "string", "enum": Field::COUNTED.map(Field::as_str) }),
    },
    Parameter {
        name: "top",
        description: "The largest number of values of a field; those with the most events are returned. Larger values are \
                reduced to the maximum.",
        max_bytes: 20,
        may_repeat: false,
        schema: || json!({ "type": "integer", "minimum": 1, "maximum": i64::MAX, "default": DEFAULT_TOP, "x-capped-at": MAX_TOP }),
    },
    Parameter {
        name: "buckets",
        description: "The largest number of buckets of the histogram; their width is a round length. Larger values are reduced \
                to the maximum.",
        max_bytes: 20,
        may_repeat: false,
        schema: || json!({ "type": "integer", "minimum": 1, "maximum": i64::MAX, "default": DEFAULT_BUCKETS, "x-capped-at": Buckets::MAX_COUNT }),
    },
];

/// The default fields to count by.
pub(crate) const DEFAULT_BY: [Field; 4] = [Field::EventType, Field::UserEmail, Field::Route, Field::Outcome];

/// The default number of values of a field.
pub(crate) const DEFAULT_TOP: usize = 10;

/// The largest number of values of a field.
pub(crate) const MAX_TOP: usize = 1000;

/// The default for the largest number of buckets.
pub(crate) const DEFAULT_BUCKETS: usize = 60;

/// The default page size.
pub(crate) const DEFAULT_LIMIT: usize = 100;

/// The largest page size.
pub(crate) const MAX_LIMIT: usize = 1000;

/// The formats of an export; the first is the default.
pub(crate) const FORMATS: [&str; 3] = ["jsonl", "csv", "json"];

/// The length of a pattern in which every character is escaped.
const fn escaped(max_bytes: usize) -> usize {
    2 * max_bytes
}

fn text(max_bytes: usize) -> Value {
    // A run of characters that stand for themselves, then as many as eight stars, each with such a run behind it.
    let (first, plain) = (r"([^\\*!\u0000]|\\[\\*!])", r"([^\\*\u0000]|\\[\\*!])*");
    let pattern = format!(r"^!?({first}{plain}(\*+{plain}){{0,8}}|(\*+{plain}){{1,8}})$");
    // In characters, of which each has a byte at least, so that what is valid by the schema may still be too long.
    json!({
        "description": "Text compared exactly, where `*` stands for any run of characters; `\\` before `*`, `!` and `\\` \
                        makes them plain. After a `!`: what is something else, or missing.",
        "type": "string", "minLength": 1, "maxLength": escaped(max_bytes), "pattern": pattern,
    })
}

/// Text without a pattern.
fn whole(max_bytes: usize) -> Value {
    let (first, plain) = (r"([^\\*!\u0000]|\\[\\*!])", r"([^\\*\u0000]|\\[\\*!])*");
    json!({
        "description": "Text compared exactly; `\\` before `*`, `!` and `\\` makes them plain.",
        "type": "string", "minLength": 1, "maxLength": escaped(max_bytes), "pattern": format!("^!?{first}{plain}$"),
    })
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
        assert_eq!(FILTERS.iter().map(|parameter| parameter.name).collect::<Vec<_>>(), Filter::FIELD_NAMES);
    }
}
