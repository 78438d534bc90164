//! The absence of metrics.

use crate::event::AuditEvent;
#[cfg(feature = "seal")]
use crate::event::Timestamp;

/// No metrics.
#[derive(Debug, Default)]
pub(in crate::writer) struct LogMetrics;

/// No counter of a total.
#[derive(Debug, Default)]
pub(in crate::writer) struct TotalCounter;

/// No time.
#[derive(Debug, Clone, Copy)]
pub(in crate::writer) struct Timer;

impl TotalCounter {
    #[inline]
    pub(in crate::writer) fn add(&self, _: u64) {}
}

impl LogMetrics {
    #[cfg(feature = "seal")]
    pub(in crate::writer) fn register_sealed(&self) -> impl Fn(Option<Timestamp>) + Send + Sync + 'static {
        |_| {}
    }

    #[inline]
    pub(in crate::writer) fn timer(&self) -> Timer {
        Timer
    }

    #[inline]
    pub(in crate::writer) fn end_write(&self, _: Timer, _is_durable: bool) {}

    #[inline]
    pub(in crate::writer) fn end_append(&self, _: Timer, _is_acknowledged: bool) {}

    #[inline]
    pub(in crate::writer) fn count_batch(&self, _: &[AuditEvent]) {}

    #[inline]
    pub(in crate::writer) fn set_levels(&self, _: impl FnOnce() -> [u64; 3]) {}

    #[inline]
    pub(in crate::writer) fn begin_detached(&self) {}

    #[inline]
    pub(in crate::writer) fn end_detached(&self) {}
}
