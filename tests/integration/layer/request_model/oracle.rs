//! The oracle: the events that there must be, and may be, for what happened.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_audit::{AuditEvent, Phase};

use super::case_generator::Kind;
use super::execution_trace::{Run, RunEnd, World, lock};

pub(super) fn is_end(event: &AuditEvent) -> bool {
    event.phase == Phase::Completed && !event.details.contains_key("not_run")
}

impl World {
    pub(super) fn check(&self) -> Vec<String> {
        let mut wrong = std::mem::take(&mut *lock(&self.wrong));
        let runs = lock(&self.runs);
        for (log, kept) in self.kept.iter().enumerate() {
            let events = lock(&kept.0);
            self.check_starts(&events, &mut wrong);
            // By request: how many ends there must be, and may be.
            let mut ends: HashMap<&str, (usize, usize)> = HashMap::new();
            for (number, run) in runs.iter().enumerate().filter(|(_, run)| run.log == log) {
                let within = || runs.iter().filter(|other| other.within == Some(number));
                let (inner, given_up) = (within().count(), within().filter(|other| other.given_up.is_some()).count());
                // Of an answer and an end of the same moment, a layer behind another task cannot tell which came first. Nor can it if
                // the answer is held up until the end is told: it may have been made of that end.
                let append = Duration::from_millis(kept.1.load(Ordering::Relaxed));
                let is_told = |end| run.ended.is_some_and(|arrived| end + append <= arrived);
                let surely_given_up = within()
                    .filter(|other| {
                        let is_later = |at| other.ended.is_none_or(|end| end > at && !is_told(end));
                        other.given_up.is_some_and(is_later)
                    })
                    .count();
                let arrivals = lock(&self.arrivals);
                let uncalled = arrivals.iter().filter(|other| other.within == Some(number) && !other.is_called).count();
                let refused =
                    arrivals.iter().any(|other| other.within == Some(number) && other.is_refused && !other.is_called);
                let (least, most) = ends.entry(run.request.as_str()).or_default();
                *least += usize::from(run.open > 0 || (surely_given_up == inner && !refused));
                // In an outage, a layer waits for the end within it for one write timeout, and then tells its own.
                let is_out = lock(&kept.2).is_some();
                *most += usize::from(inner != 1 || run.open > 0 || given_up > 0 || uncalled > 0 || is_out);
                // What was refused within it may be refused by it.
                if inner == 0 && !refused {
                    let is_hedged = lock(&self.hedged).contains(&run.request);
                    check_run(number, run, is_hedged, &events, &mut wrong);
                }
            }
            let mut told: HashMap<&str, usize> = HashMap::new();
            for event in events.iter().filter(|event| is_end(event)) {
                *told.entry(event.request.request_id.as_deref().expect("an id")).or_default() += 1;
            }
            for (request, (least, most)) in &ends {
                let told = told.remove(request).unwrap_or(0);
                let is_watched = lock(&self.watched).iter().any(|(of, id)| *of == log && id == request);
                let timed_out = lock(&self.timed_out).iter().filter(|other| other == request).count();
                let hedged = lock(&self.hedged).iter().filter(|other| other == request).count();
                // An error carries no mark: of two calls at once, a layer cannot tell which has failed.
                let most = most + if is_watched { timed_out + hedged } else { 0 };
                if !(*least..=most).contains(&told) {
                    wrong.push(format!("log {log}, {request}: {told} ends, expected {least} to {most}"));
                }
            }
            if !told.is_empty() {
                // A layer that was answered for before it called anything.
                let arrivals = lock(&self.arrivals);
                told.retain(|request, _| !arrivals.iter().any(|arrival| arrival.request == **request));
                if !told.is_empty() {
                    wrong.push(format!("log {log}: ends of what never ran: {told:?}"));
                }
            }
        }
        wrong
    }

    fn check_starts(&self, events: &[AuditEvent], wrong: &mut Vec<String>) {
        let mut ended: HashMap<_, usize> = HashMap::new();
        for end in events.iter().filter_map(|event| event.request.started_event_id) {
            *ended.entry(end).or_default() += 1;
        }
        for started in events.iter().filter(|event| event.phase == Phase::Started) {
            let ends = ended.remove(&started.event_id).unwrap_or(0);
            if ends != 1 {
                wrong.push(format!("a start of {:?} has {ends} ends", started.request.request_id));
            }
        }
        if !ended.is_empty() {
            wrong.push(format!("ends of nothing: {ended:?}"));
        }
    }
}

/// A run with nothing of its log within it has told its own end.
pub(super) fn check_run(number: usize, run: &Run, is_hedged: bool, events: &[AuditEvent], wrong: &mut Vec<String>) {
    let key = format!("layer_{}", run.layer);
    let of_run = |event: &&AuditEvent| is_end(event) && event.details.get(&key).is_some_and(|run| *run == number);
    let (outcome, flag, who) = match &run.end {
        Some(RunEnd::Status(status, who)) => (*status, None, who.as_deref()),
        Some(RunEnd::Error) => (500, Some("service_error"), None),
        Some(RunEnd::Panic) => (500, Some("panic"), None),
        Some(RunEnd::Dropped) | None => {
            wrong.push(format!("run {number} was not driven to its end: {run:?}"));
            return;
        }
    };
    let is_told = |event: &AuditEvent| {
        let started = |id| events.iter().position(|started| started.event_id == id);
        let started = event.request.started_event_id.and_then(started);
        event.outcome == Some(outcome)
            && flag.is_none_or(|flag| event.details.get(flag) == Some(&true.into()))
            && event.resource.method.as_deref() == Some(run.method.as_str())
            && event.request.request_uri.as_deref() == Some(run.target.as_str())
            && event.request.request_id.as_deref() == Some(run.request.as_str())
            && (is_hedged || who.is_none() || event.actor.user_email.as_deref() == who)
            && (run.kind != Kind::Ahead || started.is_some_and(|started| started < run.seen))
    };
    // The answer of a timeout around it says the same of it, but for the end.
    if !events.iter().filter(of_run).any(is_told) {
        let told: Vec<_> = events.iter().filter(of_run).collect();
        wrong.push(format!("the end of run {number} is not told: {run:#?}; {told:#?}"));
    }
}
