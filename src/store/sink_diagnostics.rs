//! Sinks: stores that an event leaves for good. None is durable, and none can be read.

use super::Diagnostic;
use crate::log_lines::log_line;

/// Warns of a sink that was opened: it acknowledges what may be lost.
pub(super) fn warn_of_sink(store: &'static str) {
    log_line(move || {
        tracing::warn!(store, "the audit log is a sink: an acknowledged event may be lost, and none can be read");
    });
}

/// Returns the diagnostics that every sink has.
pub(super) fn diagnose_sink() -> Vec<Diagnostic> {
    vec![Diagnostic::warning(
        "durability",
        "an acknowledged event may be lost with the process, the machine or the receiver",
        "have the events in a durable store as well, such as sqlite:PATH",
    )]
}
