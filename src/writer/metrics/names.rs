//! The names of the metrics. They are stable: dashboards and alerts have them.

use metrics::Unit;

/// A metric, as the recorder is told of it.
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, $unit:ident, $help:literal;)*) => {
        $(#[cfg_attr(not(feature = "seal"), allow(dead_code, reason = "one is of the seal"))]
        pub(in crate::writer) const $constant: &str = $name;)*

        /// All metrics.
        pub(super) const ALL: &[Description] = &[
            $(Description { name: $name, kind: Kind::$kind, unit: Unit::$unit, help: $help },)*
        ];
    };
}

metrics! {
    EVENTS = "tower_audit_events_total", Counter, Count, "Events that the store has acknowledged, by type, phase and outcome";
    WRITTEN = "tower_audit_written_total", Counter, Count, "Events that were acknowledged";
    FAILED = "tower_audit_failed_total", Counter, Count, "Events that the store rejected";
    TIMED_OUT = "tower_audit_timed_out_total", Counter, Count, "Events whose deadline passed first";
    REJECTED = "tower_audit_rejected_total", Counter, Count, "Events without room in the queue, or after the close of the log";
    UNRECORDED = "tower_audit_unrecorded_total", Counter, Count, "Responses that left without their event";
    TRANSACTIONAL = "tower_audit_transactional_total", Counter, Count, "Events inserted in transactions of the app";
    STATUS_MISMATCHES = "tower_audit_status_mismatches_total", Counter, Count, "Responses with another status than their committed event";
    BATCHES = "tower_audit_batches_total", Counter, Count, "Batches that the store acknowledged";
    RETRIES = "tower_audit_retries_total", Counter, Count, "Appends that were tried again";
    ABANDONED = "tower_audit_abandoned_total", Counter, Count, "Handlers that were dropped after their client had gone";
    QUEUED = "tower_audit_queued", Gauge, Count, "Queued events";
    AT_STORE = "tower_audit_at_store", Gauge, Count, "Events in appends that the store has not answered";
    OWED = "tower_audit_owed", Gauge, Count, "Events that no caller waits for and that are still to be written";
    DETACHED = "tower_audit_detached", Gauge, Count, "Handlers that run on after their client has gone";
    WRITE_DURATION = "tower_audit_write_duration_seconds", Histogram, Seconds, "Time that a caller waited for its event, in the queue and at the store";
    APPEND_DURATION = "tower_audit_append_duration_seconds", Histogram, Seconds, "Time of an append in the store";
    BATCH_EVENTS = "tower_audit_batch_events", Histogram, Count, "Events in an acknowledged batch";
    SEALED = "tower_audit_sealed_timestamp_seconds", Gauge, Seconds, "Unix time at which the sealer last left no event unsealed";
}
