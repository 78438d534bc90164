//! What the pages are asked with: the tables that their query strings are read by.

use crate::router::operation::Operation;
use crate::router::parameter::{CURSOR, FILTERS, LIMIT, MAX_CURSOR_BYTES, Parameter};

const PAGING: &[Parameter] = &[
    LIMIT,
    CURSOR,
    Parameter {
        name: "newer",
        about: "Where the page of older events begins, with the same filters: the way back.",
        max_bytes: MAX_CURSOR_BYTES,
        may_repeat: false,
        schema: CURSOR.schema,
    },
];

/// Whether events can be asked for by this value: what is longer than a filter takes cannot.
pub(super) fn can_be_asked(name: &str, value: &str) -> bool {
    FILTERS.iter().any(|filter| filter.name == name && filter.fits(value))
}

/// The table of events.
pub(super) const EVENTS: Operation = Operation {
    path: "/",
    name: "view_list",
    about: "One page of the events that pass the filters.",
    parameters: &[FILTERS, PAGING],
    own_refusals: &[],
};

/// The numbers.
pub(super) const OVERVIEW: Operation = Operation {
    path: "/overview",
    name: "view_stats",
    about: "How many events pass the filters.",
    parameters: &[FILTERS],
    own_refusals: &[],
};

/// One event.
pub(super) const EVENT: Operation = Operation {
    path: "/events/{id}",
    name: "view_get",
    about: "The event with this id, and its neighbours.",
    parameters: &[],
    own_refusals: &[],
};
