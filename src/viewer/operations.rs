//! What the pages are asked with: the tables that their query strings are read by.

use crate::api::operation::Operation;
use crate::api::parameter::{CURSOR, FILTERS, LIMIT, MAX_CURSOR_BYTES, Parameter};

const PAGING: &[Parameter] = &[
    LIMIT,
    CURSOR,
    Parameter {
        name: "newer",
        description: "Where the page of older events begins, with the same filters: the way back.",
        max_bytes: MAX_CURSOR_BYTES,
        may_repeat: false,
        schema: CURSOR.schema,
    },
];

/// Whether events can be asked for by this value: what is longer than a filter takes cannot.
pub(super) fn is_filterable(name: &str, value: &str) -> bool {
    FILTERS.iter().any(|filter| filter.name == name && filter.fits(value))
}

/// The table of events.
pub(super) const EVENTS: Operation = Operation {
    path: "/",
    name: "view_list",
    summary: "One page of the events that pass the filters.",
    parameters: &[FILTERS, PAGING],
    error_statuses: &[],
};

/// The numbers.
pub(super) const OVERVIEW: Operation = Operation {
    path: "/overview",
    name: "view_stats",
    summary: "How many events pass the filters.",
    parameters: &[FILTERS],
    error_statuses: &[],
};

/// One event.
pub(super) const EVENT: Operation = Operation {
    path: "/events/{id}",
    name: "view_get",
    summary: "The event with this id, and its neighbours.",
    parameters: &[],
    error_statuses: &[],
};
