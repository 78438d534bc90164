//! The operations of the API: one table for routes, parser and OpenAPI document.

use http::StatusCode;

use super::parameter_schema::{AGGREGATION, FILTERS, FORMATTING, PAGING, Parameter};

/// An operation of the API: a GET request.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The path below the prefix of the API.
    pub(crate) path: &'static str,
    /// The name, also in the details of `audit.read` events.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [&'static [Parameter]],
    /// The error statuses that not every operation has.
    pub(crate) error_statuses: &'static [StatusCode],
}

impl Operation {
    pub(crate) const LIST: Self = Self {
        path: "/",
        name: "list",
        summary: "One page of the events that pass the filters: newest first, ties by id.",
        parameters: &[FILTERS, PAGING],
        error_statuses: &[StatusCode::FORBIDDEN],
    };
    pub(crate) const COUNT: Self = Self {
        path: "/count",
        name: "count",
        summary: "The number of events that pass the filters.",
        parameters: &[FILTERS],
        error_statuses: &[StatusCode::FORBIDDEN],
    };
    pub(crate) const EXPORT: Self = Self {
        path: "/export",
        name: "export",
        summary: "Every event that passes the filters, newest first, as a stream. A stream that breaks off is incomplete.",
        parameters: &[FILTERS, FORMATTING],
        error_statuses: &[StatusCode::FORBIDDEN],
    };
    pub(crate) const STATS: Self = Self {
        path: "/stats",
        name: "stats",
        summary: "Statistics of the events that pass the filters: by field and over time. The last 30 days unless `since` is given.",
        parameters: &[FILTERS, AGGREGATION],
        error_statuses: &[StatusCode::FORBIDDEN],
    };
    pub(crate) const GET: Self = Self {
        path: "/{id}",
        name: "get",
        summary: "The event with this id.",
        parameters: &[],
        error_statuses: &[StatusCode::NOT_FOUND],
    };

    #[cfg(feature = "seal")]
    pub(crate) const SEAL: Self = Self {
        path: "/{id}/seal",
        name: "seal",
        summary: "The state of the event with this id in the seal, and the newest checkpoint. No signature is checked.",
        parameters: &[],
        error_statuses: &[StatusCode::NOT_FOUND],
    };
    #[cfg(feature = "seal")]
    pub(crate) const PROOF: Self = Self {
        path: "/{id}/proof",
        name: "proof",
        summary: "The proof that the event with this id is in the log (C2SP tlog-proof), for a `.tlog-proof` file.",
        parameters: &[],
        error_statuses: &[StatusCode::NOT_FOUND],
    };

    /// All operations.
    pub(crate) const ALL: &'static [&'static Self] = &[
        &Self::LIST,
        &Self::COUNT,
        &Self::EXPORT,
        &Self::STATS,
        &Self::GET,
        #[cfg(feature = "seal")]
        &Self::SEAL,
        #[cfg(feature = "seal")]
        &Self::PROOF,
    ];

    /// Returns the parameters of the query string.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.parameters.iter().copied().flatten()
    }
}
