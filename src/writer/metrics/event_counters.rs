//! Counters of events by type, phase and outcome.

use metrics::{Counter, Label};

use super::names::EVENTS;
use super::recorder;
use crate::event::{AuditEvent, EventType, Phase};

/// Counters of events by type, phase and outcome, each made with its first event.
#[derive(Default)]
pub(super) struct EventCounters {
    types: Vec<TypeCounters>,
    /// The counters of types beyond [`MAX_TYPES`].
    others: Counters,
}

struct TypeCounters {
    event_type: EventType,
    counters: Counters,
}

/// Counters by phase and outcome.
type Counters = [[Option<Counter>; OUTCOMES.len()]; PHASES.len()];

/// The maximum number of types with counters of their own. Further ones are counted as `other`.
const MAX_TYPES: usize = 64;
const PHASES: [Phase; 3] = [Phase::Completed, Phase::Started, Phase::Unknown];
/// The values of the label `outcome`: `none` for an event without a status, then the hundreds of the status.
const OUTCOMES: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];

impl EventCounters {
    /// Adds handles that were made beside these, as far as there is room. A handle of one counter is as good as another.
    pub(super) fn merge(&mut self, others: Self) {
        for theirs in others.types {
            let is_known = self.types.iter().any(|known| known.event_type == theirs.event_type);
            if !is_known && self.types.len() < MAX_TYPES {
                self.types.push(theirs);
            }
        }
    }

    /// Counts an event. `log`: the label of the log. Calls the recorder.
    pub(super) fn count(&mut self, event: &AuditEvent, log: impl FnOnce() -> Label) {
        let phase = PHASES.iter().position(|phase| *phase == event.phase).unwrap_or_default();
        let outcome = match event.outcome {
            None => 0,
            Some(status @ 100..600) => usize::from(status / 100),
            Some(_) => OUTCOMES.len() - 1,
        };
        let known = self.types.iter().position(|known| known.event_type == event.event_type);
        let at = known.or_else(|| {
            let is_room = self.types.len() < MAX_TYPES;
            is_room.then(|| {
                self.types.push(TypeCounters { event_type: event.event_type.clone(), counters: Counters::default() });
                self.types.len() - 1
            })
        });
        let counters = match at {
            Some(at) => &mut self.types[at].counters,
            None => &mut self.others,
        };
        let make = || {
            let name = if at.is_some() { event.event_type.as_str() } else { "other" };
            let labels = vec![
                log(),
                Label::new("type", name.to_owned()),
                Label::new("phase", event.phase.as_str()),
                Label::new("outcome", OUTCOMES[outcome]),
            ];
            recorder::counter(EVENTS, labels)
        };
        counters[phase][outcome].get_or_insert_with(make).increment(1);
    }
}
