//! The metrics of one log.

use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, Label};

use super::event_counters::EventCounters;
use super::log_label::LogLabel;
use super::names;
use super::recorder::{self, describe_all};
use crate::event::AuditEvent;
#[cfg(feature = "seal")]
use crate::event::Timestamp;
use crate::writer::catch_panic::catch_panic;

/// The metrics of one log.
pub(in crate::writer) struct LogMetrics {
    label: LogLabel,
    queued: Gauge,
    at_store: Gauge,
    owed: Gauge,
    detached: Gauge,
    write_durations: ByResult,
    append_durations: ByResult,
    batch_events: Histogram,
    events: Mutex<EventCounters>,
}

/// The counter of a total; without one before it is registered.
#[derive(Debug, Default)]
pub(in crate::writer) struct TotalCounter(OnceLock<Counter>);

/// The time since which something is measured.
#[derive(Debug, Clone, Copy)]
pub(in crate::writer) struct Timer(Instant);

/// Histograms by the label `result`.
struct ByResult {
    ok: Histogram,
    failed: Histogram,
}

impl ByResult {
    fn register(name: &'static str, label: &LogLabel) -> Self {
        let histogram = |result| recorder::histogram(name, vec![label.label(), Label::new("result", result)]);
        Self { ok: histogram("ok"), failed: histogram("failed") }
    }

    fn record(&self, timer: Timer, is_ok: bool) {
        let histogram = if is_ok { &self.ok } else { &self.failed };
        let seconds = timer.0.elapsed().as_secs_f64();
        catch_panic(|| histogram.record(seconds));
    }
}

impl TotalCounter {
    pub(in crate::writer) fn add(&self, n: u64) {
        if n > 0
            && let Some(counter) = self.0.get()
        {
            catch_panic(|| counter.increment(n));
        }
    }
}

impl LogMetrics {
    /// Registers the metrics of a log of this name.
    pub(in crate::writer) fn register(name: &str) -> Self {
        describe_all();
        let label = LogLabel::new(name);
        let gauge = |name| recorder::gauge(name, vec![label.label()]);
        Self {
            queued: gauge(names::QUEUED),
            at_store: gauge(names::AT_STORE),
            owed: gauge(names::OWED),
            detached: gauge(names::DETACHED),
            write_durations: ByResult::register(names::WRITE_DURATION, &label),
            append_durations: ByResult::register(names::APPEND_DURATION, &label),
            batch_events: recorder::histogram(names::BATCH_EVENTS, vec![label.label()]),
            events: Mutex::default(),
            label,
        }
    }

    /// Registers the counter of a total.
    pub(in crate::writer) fn register_total(&self, total: &TotalCounter, name: &'static str) {
        total.0.get_or_init(|| recorder::counter(name, vec![self.label.label()]));
    }

    /// Registers the time at which the sealer of the log last left no event unsealed, which begins with now. Returns its setter;
    /// none is the end of the log.
    #[cfg(feature = "seal")]
    pub(in crate::writer) fn register_sealed(&self) -> impl Fn(Option<Timestamp>) + Send + Sync + 'static {
        let gauge = recorder::gauge(names::SEALED, vec![self.label.label()]);
        let set = move |time: Option<Timestamp>| {
            let seconds = time.map_or(f64::INFINITY, |time| time.as_micros() as f64 / 1e6);
            catch_panic(|| gauge.set(seconds));
        };
        set(Some(Timestamp::now()));
        set
    }

    pub(in crate::writer) fn timer(&self) -> Timer {
        Timer(Instant::now())
    }

    /// Records the time that a caller waited for its event.
    pub(in crate::writer) fn end_write(&self, timer: Timer, is_durable: bool) {
        self.write_durations.record(timer, is_durable);
    }

    /// Records the time of an append in the store.
    pub(in crate::writer) fn end_append(&self, timer: Timer, is_acknowledged: bool) {
        self.append_durations.record(timer, is_acknowledged);
    }

    /// Counts the events of an acknowledged batch.
    pub(in crate::writer) fn count_batch(&self, events: &[AuditEvent]) {
        // Taken out, for the recorder is not called under the lock. Another task may count a batch meanwhile, with new handles.
        let mut counters = mem::take(&mut *self.events());
        catch_panic(|| {
            self.batch_events.record(events.len() as f64);
            events.iter().for_each(|event| counters.count(event, || self.label.label()));
        });
        let mut kept = self.events();
        let others = mem::replace(&mut *kept, counters);
        kept.merge(others);
    }

    /// Sets the numbers of events that are queued, at the store and owed.
    pub(in crate::writer) fn set_levels(&self, levels: impl FnOnce() -> [u64; 3]) {
        let [queued, at_store, owed] = levels().map(|level| level as f64);
        catch_panic(|| {
            self.queued.set(queued);
            self.at_store.set(at_store);
            self.owed.set(owed);
        });
    }

    /// Counts a handler that runs on after its client has gone. Not set: two that end at once may call the recorder in any order.
    pub(in crate::writer) fn begin_detached(&self) {
        catch_panic(|| self.detached.increment(1.0));
    }

    pub(in crate::writer) fn end_detached(&self) {
        catch_panic(|| self.detached.decrement(1.0));
    }

    fn events(&self) -> MutexGuard<'_, EventCounters> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the levels of a log that is gone to zero.
impl Drop for LogMetrics {
    fn drop(&mut self) {
        self.set_levels(|| [0; 3]);
        catch_panic(|| self.detached.set(0.0));
    }
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMetrics").field("label", &self.label).finish_non_exhaustive()
    }
}
