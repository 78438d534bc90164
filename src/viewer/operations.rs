//! The operations of the pages, by which their query strings are parsed.

use crate::api::operation::Operation;
use crate::api::parameter_schema::{CURSOR, FILTERS, LIMIT, MAX_CURSOR_BYTES, Parameter};

const PAGING: &[Parameter] = &[
    LIMIT,
    CURSOR,
    Parameter {
        name: "newer",
        description: "The cursor of a page of newer events, with the same filters.",
        max_bytes: MAX_CURSOR_BYTES,
        may_repeat: false,
        schema: CURSOR.schema,
    },
];

/// Returns true if the filter accepts the value: a value may be too long.
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

/// The statistics.
pub(super) const OVERVIEW: Operation = Operation {
    path: "/overview",
    name: "view_stats",
    summary: "Statistics of the events that pass the filters.",
    parameters: &[FILTERS],
    error_statuses: &[],
};

/// The history of an object.
pub(super) const HISTORY: Operation = Operation {
    path: "/history",
    name: "view_history",
    summary: "One page of the events of an object, with what each changed.",
    parameters: &[FILTERS, &[LIMIT, CURSOR]],
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
