//! Execution of a case: the record of what really happened.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http::{HeaderValue, Method, Request};
use tokio::time::Instant;

use super::case_generator::Kind;
use super::services::Body;
use super::store::Kept;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) kept: [Arc<Kept>; 2],
    pub(super) next: AtomicU64,
    pub(super) layers: AtomicUsize,
    pub(super) runs: Mutex<Vec<Run>>,
    /// The calls of layers with a rule, and whether anything within them was called.
    pub(super) arrivals: Mutex<Vec<Arrival>>,
    /// The requests that a timeout has answered.
    pub(super) timed_out: Mutex<Vec<String>>,
    /// The requests that layers without a rule have seen, and of which logs. Where a run was under way, they tell the answer
    /// of a timeout, too.
    pub(super) watched: Mutex<Vec<(usize, String)>>,
    pub(super) wrong: Mutex<Vec<String>>,
    /// The requests whose handler may run twice at once: each of its runs names an actor.
    pub(super) hedged: Mutex<Vec<String>>,
    /// The client has left.
    pub(super) has_left: AtomicBool,
    /// The number of events that the logs had named as lost by then: their callers were told.
    pub(super) lost_before: AtomicU64,
}

/// One run of what is within a layer that has a rule.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) layer: usize,
    pub(super) log: usize,
    pub(super) kind: Kind,
    pub(super) request: String,
    pub(super) method: Method,
    pub(super) target: String,
    /// The run around it, of a layer of the same log around the same request.
    pub(super) within: Option<usize>,
    /// The number of events in the log when the run began.
    pub(super) seen: usize,
    pub(super) end: Option<RunEnd>,
    /// The runs that were still under way within it when it ended.
    pub(super) open: usize,
    /// A timeout gave it up then: its end is not that of the run around it.
    pub(super) given_up: Option<Instant>,
    /// Another call at the same time has answered for it.
    pub(super) is_overtaken: bool,
    pub(super) ended: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum RunEnd {
    /// And who the handler says that it is, if it is the handler of this request that has answered.
    Status(u16, Option<String>),
    Error,
    Panic,
    Dropped,
}

#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) within: Option<usize>,
    pub(super) request: String,
    pub(super) layer: usize,
    pub(super) is_called: bool,
    /// Its layer refused it: the event could not be written.
    pub(super) is_refused: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

pub(super) fn header<'a>(headers: &'a http::HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

pub(super) fn within(log: usize) -> &'static str {
    ["x-within-0", "x-within-1"][log]
}

/// The run of the nearest layer of this log around.
pub(super) fn run_around(headers: &http::HeaderMap, log: usize) -> Option<usize> {
    header(headers, within(log)).map(|run| run.parse().expect("a number"))
}

pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a valid value")
}

impl World {
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A request that no layer has seen.
    pub(super) fn request(&self, method: Method) -> Request<Body> {
        let number = self.number();
        let mut request = Request::new(Body::default());
        *request.method_mut() = method;
        *request.uri_mut() = format!("/target/{number}").parse().expect("a path");
        request.headers_mut().insert("x-request-id", value(&format!("r{number}")));
        request
    }

    /// A timeout within this run gives up those that are under way.
    pub(super) fn give_up_within(&self, run: usize, is_overtaken: bool) {
        let mut runs = lock(&self.runs);
        for other in runs.iter_mut().filter(|other| other.within == Some(run) && other.end.is_none()) {
            other.given_up = Some(Instant::now());
            other.is_overtaken = is_overtaken;
        }
    }

    pub(super) fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }
}

/// Notices how a run ends, even if it is dropped.
pub(super) struct Watching {
    pub(super) world: Arc<World>,
    pub(super) run: usize,
    pub(super) end: Option<RunEnd>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let end = self.end.take();
        let end = end.unwrap_or(if std::thread::panicking() { RunEnd::Panic } else { RunEnd::Dropped });
        let mut runs = lock(&self.world.runs);
        runs[self.run].open = runs
            .iter()
            .filter(|other| other.within == Some(self.run) && other.end.is_none() && !other.is_overtaken)
            .count();
        runs[self.run].end = Some(end);
        runs[self.run].ended = Some(Instant::now());
    }
}
