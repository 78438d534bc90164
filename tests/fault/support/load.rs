//! Many clients at once, and the result of each of their requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Answer, Client, Request};

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Recorded after it happened.
    Upload,
    /// Recorded before and after.
    Admin,
}

/// A request that was sent and what came back.
#[derive(Debug)]
pub(crate) struct Shot {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// Of the response, even if no more of it came.
    pub(crate) status: Option<u16>,
    /// If it came whole.
    pub(crate) answer: Option<Answer>,
}

impl Shot {
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// The response, which must have come.
    #[track_caller]
    pub(crate) fn answer(&self) -> &Answer {
        self.answer.as_ref().expect("the server answers")
    }
}

/// Sends one request.
pub(crate) fn fire(client: &mut Client, kind: Kind, id: String) -> Shot {
    let request = match kind {
        Kind::Upload => Request::upload(&id, ""),
        Kind::Admin => Request::admin(&id),
    };
    let sent = Instant::now();
    let (status, answer) = match client.send(&request) {
        Ok(answer) => (Some(answer.status), Some(answer)),
        Err(cut) => (cut.status, None),
    };
    Shot { kind, id, sent, took: sent.elapsed(), status, answer }
}

/// The results of a load so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    successes: AtomicUsize,
    failures: AtomicUsize,
    pub(super) is_over: AtomicBool,
}

impl Progress {
    /// Counts the successful requests.
    pub(crate) fn successes(&self) -> usize {
        self.successes.load(Ordering::Relaxed)
    }

    /// Counts the other answers.
    pub(crate) fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }
}

/// Ends the load, even if the test panics.
pub(super) struct Over<'a>(pub(super) &'a Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Runs `body` while so many clients send one request after the other, half of them uploads. The ids begin with `name`.
/// A client whose connection breaks is done.
pub(crate) fn load_while(address: SocketAddr, clients: usize, name: &str, body: impl FnOnce(&Progress)) -> Vec<Shot> {
    let progress = Progress::default();
    let seen = &progress;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || one_client(address, &format!("{name}-{number}"), seen)))
            .collect();
        let over = Over(&progress);
        body(&progress);
        drop(over);
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    })
}

fn one_client(address: SocketAddr, name: &str, progress: &Progress) -> Vec<Shot> {
    let mut client = Client::new(address);
    let mut shots = Vec::new();
    while !progress.is_over.load(Ordering::Relaxed) {
        let kind = if fastrand::bool() { Kind::Upload } else { Kind::Admin };
        let shot = fire(&mut client, kind, format!("{name}-{}", shots.len()));
        let is_cut = shot.answer.is_none();
        if shot.is_success() {
            progress.successes.fetch_add(1, Ordering::Relaxed);
        } else if !is_cut {
            progress.failures.fetch_add(1, Ordering::Relaxed);
        }
        shots.push(shot);
        if is_cut {
            break;
        }
    }
    shots
}
