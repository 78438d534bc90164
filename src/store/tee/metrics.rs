//! Metrics of a member, in the recorder that is set when the tee is built. `docs/metrics.md` lists them.

#[cfg(feature = "metrics")]
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(feature = "metrics")]
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, Unit};

/// The metrics of one member, with its name as the label `member`. Empty without the feature `metrics`.
#[derive(Default)]
pub(super) struct MemberMetrics {
    #[cfg(feature = "metrics")]
    handles: Option<Handles>,
}

#[cfg(feature = "metrics")]
struct Handles {
    behind: Gauge,
    lost: Counter,
    failures: Counter,
}

#[cfg(feature = "metrics")]
const BEHIND: (&str, &str) = ("tower_audit_member_behind", "Events that a member of a tee has still to take");
#[cfg(feature = "metrics")]
const LOST: (&str, &str) = ("tower_audit_member_lost_total", "Acknowledged events that a member of a tee does not get");
#[cfg(feature = "metrics")]
const FAILURES: (&str, &str) = ("tower_audit_member_failures_total", "Appends to a member of a tee that failed");

#[cfg(feature = "metrics")]
impl MemberMetrics {
    pub(super) fn register(member: &str) -> Self {
        static METADATA: Metadata<'static> = Metadata::new("tower_audit", Level::INFO, Some("tower_audit"));
        let key = |name: &'static str| Key::from_parts(name, vec![Label::new("member", member.to_owned())]);
        let register = |recorder: &dyn Recorder| {
            recorder.describe_gauge(BEHIND.0.into(), Some(Unit::Count), BEHIND.1.into());
            recorder.describe_counter(LOST.0.into(), Some(Unit::Count), LOST.1.into());
            recorder.describe_counter(FAILURES.0.into(), Some(Unit::Count), FAILURES.1.into());
            Handles {
                behind: recorder.register_gauge(&key(BEHIND.0), &METADATA),
                lost: recorder.register_counter(&key(LOST.0), &METADATA),
                failures: recorder.register_counter(&key(FAILURES.0), &METADATA),
            }
        };
        // The recorder is the app's code.
        Self { handles: catch_unwind(AssertUnwindSafe(|| metrics::with_recorder(register))).ok() }
    }

    fn with(&self, set: impl FnOnce(&Handles)) {
        if let Some(handles) = &self.handles {
            // The panic's message went to the app's panic hook.
            let _ = catch_unwind(AssertUnwindSafe(|| set(handles)));
        }
    }

    pub(super) fn set_behind(&self, events: usize) {
        self.with(|handles| handles.behind.set(events as f64));
    }

    pub(super) fn count_lost(&self, events: usize) {
        self.with(|handles| handles.lost.increment(events as u64));
    }

    pub(super) fn count_failure(&self) {
        self.with(|handles| handles.failures.increment(1));
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "as with the feature")]
impl MemberMetrics {
    pub(super) fn register(_: &str) -> Self {
        Self::default()
    }

    pub(super) fn set_behind(&self, _: usize) {}

    pub(super) fn count_lost(&self, _: usize) {}

    pub(super) fn count_failure(&self) {}
}
