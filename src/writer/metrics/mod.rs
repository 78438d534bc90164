//! Metrics of a log, for the app's own recorder of the `metrics` crate. `docs/metrics.md` is the list.
//!
//! The recorder is the app's code: it is called without a lock, and its panics are discarded. Handles are made when the log is
//! opened, and those of an event type with its first event, so that a request allocates nothing for them. Without the feature
//! `metrics` everything here is empty.

#[cfg(not(feature = "metrics"))]
mod disabled;
#[cfg(feature = "metrics")]
mod event_counters;
#[cfg(feature = "metrics")]
mod log_label;
#[cfg(feature = "metrics")]
mod log_metrics;
#[cfg(feature = "metrics")]
pub(super) mod names;
#[cfg(feature = "metrics")]
mod recorder;

#[cfg(not(feature = "metrics"))]
pub(super) use disabled::{LogMetrics, TotalCounter};
#[cfg(feature = "metrics")]
pub(super) use log_metrics::{LogMetrics, TotalCounter};
