//! Helpers of these tests.

pub(crate) use crate::postgres::support::{
    all, close_orphans, event, ok, open, open_to_read, open_with_timeout, refusal,
};
pub(crate) use crate::postgres::support::{append_at_last, at, end_of, started};

/// The text of an error and of its cause.
pub(crate) fn told(error: &tower_audit::store::StoreError) -> String {
    format!("{error}: {}", std::error::Error::source(error).map(ToString::to_string).unwrap_or_default())
}
