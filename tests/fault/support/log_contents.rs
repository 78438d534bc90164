//! The log as the program shows it, and assertions about it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tower_audit::{AuditEvent, EventId, EventType, Phase};

use super::folder::url;
use super::{Kind, Shot, run};

/// Every event of a log but those about the log.
#[derive(Debug)]
pub(crate) struct Record {
    events: Vec<AuditEvent>,
}

impl Record {
    /// Reads the log from outside.
    #[track_caller]
    pub(crate) fn read(database: &Path) -> Self {
        Self::read_url(&url(database))
    }

    /// Reads the log at this URL from outside.
    #[track_caller]
    pub(crate) fn read_url(url: &str) -> Self {
        let words = ["query", "--url", url, "--all", "--format", "jsonl", "--limit", "0"];
        let lines = run(env!("CARGO_BIN_EXE_tower-audit"), &words);
        let events = lines.lines().map(|line| serde_json::from_str::<AuditEvent>(line).expect("an event"));
        Self { events: events.filter(|event| event.event_type != EventType::AUDIT_FAILED).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The events of this phase.
    pub(crate) fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &AuditEvent> {
        self.events.iter().filter(move |event| event.phase == phase)
    }

    /// The events of this phase that belong to the request.
    pub(crate) fn of_request(&self, phase: Phase, id: &str) -> Vec<&AuditEvent> {
        self.of_phase(phase).filter(|event| request_id(event) == id).collect()
    }

    /// Counts the events of this phase, by request.
    pub(crate) fn counts(&self, phase: Phase) -> HashMap<&str, usize> {
        let mut counts = HashMap::new();
        for event in self.of_phase(phase) {
            *counts.entry(request_id(event)).or_default() += 1;
        }
        counts
    }

    /// Every request that a client saw succeed has exactly one `completed` event, and no request has two.
    #[track_caller]
    pub(crate) fn assert_successes<'a>(&self, shots: impl IntoIterator<Item = &'a Shot>) {
        let completed = self.counts(Phase::Completed);
        for (id, count) in &completed {
            assert_eq!(*count, 1, "request {id} is recorded {count} times");
        }
        let shots = shots.into_iter().filter(|shot| shot.is_success());
        let lost: Vec<&str> = shots.map(|shot| shot.id.as_str()).filter(|id| !completed.contains_key(id)).collect();
        assert!(lost.is_empty(), "{} requests were answered and are lost: {lost:?}", lost.len());
    }

    /// No effect without a trace: no administrator's action took effect twice, or without a `started` event. Returns the
    /// number of effects.
    #[track_caller]
    pub(crate) fn assert_no_effect_without_record<'a>(
        &self,
        effects: &BTreeMap<String, usize>,
        shots: impl IntoIterator<Item = &'a Shot>,
    ) -> usize {
        let started = self.counts(Phase::Started);
        for shot in shots.into_iter().filter(|shot| shot.kind == Kind::Admin) {
            let Some(times) = effects.get(&shot.id) else { continue };
            assert_eq!(*times, 1, "{} took effect {times} times", shot.id);
            assert!(started.contains_key(shot.id.as_str()), "{} took effect and there is no record of it", shot.id);
        }
        effects.len()
    }

    /// Every `started` event has exactly one event that ends it.
    #[track_caller]
    pub(crate) fn assert_all_ended(&self) {
        let mut ends: HashMap<EventId, usize> = HashMap::new();
        for event in self.events.iter().filter(|event| event.phase != Phase::Started) {
            if let Some(started) = event.request.started_event_id {
                *ends.entry(started).or_default() += 1;
            }
        }
        for started in self.of_phase(Phase::Started) {
            let count = ends.remove(&started.event_id).unwrap_or(0);
            assert_eq!(count, 1, "what request {} started is ended {count} times", request_id(started));
        }
        assert!(ends.is_empty(), "events end what was never started: {ends:?}");
    }
}

/// The id that the client gave.
pub(crate) fn request_id(event: &AuditEvent) -> &str {
    event.request.request_id.as_deref().expect("every request has an id")
}
