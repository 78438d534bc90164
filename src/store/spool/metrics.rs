//! The metrics of a spool.

use std::path::Path;

use super::status::SpoolStatus;

/// Gauges of a spool, in the app's recorder.
#[derive(Debug, Default)]
pub(super) struct SpoolMetrics {
    #[cfg(feature = "metrics")]
    gauges: Option<Gauges>,
}

#[cfg(feature = "metrics")]
struct Gauges {
    events: metrics::Gauge,
    bytes: metrics::Gauge,
    oldest: metrics::Gauge,
    dead_letters: metrics::Gauge,
}

#[cfg(feature = "metrics")]
impl std::fmt::Debug for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gauges")
    }
}

impl SpoolMetrics {
    /// Makes the gauges, labelled with the last part of the directory.
    #[cfg(feature = "metrics")]
    pub(super) fn register(directory: &Path) -> Self {
        let spool = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let gauge = |name: &'static str| metrics::gauge!(name, "spool" => spool.clone());
        // A recorder is the app's code.
        let gauges = catch_panic(|| {
            for (name, unit, text) in NAMES {
                metrics::describe_gauge!(name, unit, text);
            }
            Gauges {
                events: gauge(EVENTS),
                bytes: gauge(BYTES),
                oldest: gauge(OLDEST),
                dead_letters: gauge(DEAD_LETTERS),
            }
        });
        Self { gauges }
    }

    #[cfg(not(feature = "metrics"))]
    pub(super) fn register(_: &Path) -> Self {
        Self::default()
    }

    /// Publishes the state of the spool.
    #[cfg(feature = "metrics")]
    pub(super) fn publish(&self, status: impl FnOnce() -> SpoolStatus) {
        let Some(gauges) = &self.gauges else { return };
        let status = status();
        catch_panic(|| {
            gauges.events.set(status.events as f64);
            gauges.bytes.set(status.bytes as f64);
            // An empty spool has no oldest event: its age is then 0 or less.
            let oldest = status.oldest.map_or(f64::INFINITY, |oldest| oldest.as_micros() as f64 / 1e6);
            gauges.oldest.set(oldest);
            gauges.dead_letters.set(status.dead_letters as f64);
        });
    }

    #[cfg(not(feature = "metrics"))]
    pub(super) fn publish(&self, _: impl FnOnce() -> SpoolStatus) {}
}

#[cfg(feature = "metrics")]
const EVENTS: &str = "tower_audit_spool_events";
#[cfg(feature = "metrics")]
const BYTES: &str = "tower_audit_spool_bytes";
#[cfg(feature = "metrics")]
const OLDEST: &str = "tower_audit_spool_oldest_timestamp_seconds";
#[cfg(feature = "metrics")]
const DEAD_LETTERS: &str = "tower_audit_spool_dead_letters";
#[cfg(feature = "metrics")]
const NAMES: [(&str, metrics::Unit, &str); 4] = [
    (EVENTS, metrics::Unit::Count, "Events that the target of the spool has not acknowledged"),
    (BYTES, metrics::Unit::Count, "The bytes of these events"),
    (OLDEST, metrics::Unit::Seconds, "The Unix time at which the oldest of them was acknowledged"),
    (DEAD_LETTERS, metrics::Unit::Count, "Events set aside as dead letters"),
];

#[cfg(feature = "metrics")]
fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()
}
