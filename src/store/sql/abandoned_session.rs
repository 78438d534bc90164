//! Abandoned sessions: their callers no longer wait, and the server may still be executing their statements.
//!
//! An abandoned session keeps its place in the pool until the server has answered or has ended it. Otherwise each attempt
//! during a hang (a lock on the table, a missing replica, a stopped server process) would open one more session, until the
//! server has none left.
//!
//! For example, an append whose answer was lost in the network:
//! - t0: the write deadline passes. The append's future is dropped; the session is abandoned in its place.
//! - t0 + 50 ms: no answer. Another session asks the server about this one (`session_observer.rs`). It is idle: the statement
//!   never arrived, or its answer is lost. The server terminates it.
//! - t0 + 150 ms: the session is gone. The place is free, and the next append opens another session.
//!
//! A running append is never cancelled: cancelling ends a commit's wait for its replicas, and readers would see an event
//! that only the primary has.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::session_driver::{Session, SessionDriver, SessionKind, Sight, Wait};
use super::session_observer::SessionObserver;

/// The last known reason for which abandoned sessions wait.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    sessions: usize,
    last: Option<Wait>,
}

/// The end of a session that was given up.
pub(super) enum SessionEnd {
    /// It has answered, is in no transaction, and no cancellation of it was asked for.
    Idle,
    /// It has answered, and may still be hit by a cancellation that was asked for meanwhile.
    Answered,
    /// It has ended, or its pool is closed.
    Gone,
}

/// Waits for the server's answer, or until the server has ended the session.
pub(super) async fn wait_for_end<D: SessionDriver>(
    session: &mut Session<D>,
    kind: SessionKind,
    observer: &Arc<SessionObserver<D>>,
    waits: &Waits,
    was_dropped: bool,
    is_closed: impl Fn() -> bool,
) -> SessionEnd {
    let _watched = waits.enter();
    let observed = observer.watch();
    let backend = session.backend.clone();
    let mut was_observed = false;
    let answered = {
        let mut answer = pin!(D::answer(&mut session.db, was_dropped));
        let mut pause = FIRST_LOOK;
        loop {
            let before = pause;
            let look = pin!(async {
                tokio::time::sleep(before).await;
                if is_closed() {
                    return Sight::Gone;
                }
                was_observed = true;
                observed.look(&backend, kind).await
            });
            match select(answer.as_mut(), look).await {
                Either::Left((answered, _)) => break answered,
                Either::Right((Sight::Gone, _)) => break false,
                Either::Right((Sight::There(wait), _)) => waits.set(wait),
                Either::Right((Sight::Unknown, _)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    match answered {
        false => SessionEnd::Gone,
        true if was_observed => SessionEnd::Answered,
        true => SessionEnd::Idle,
    }
}

impl Waits {
    /// Counts a session until the guard is dropped.
    fn enter(&self) -> Watched<'_> {
        self.seen().sessions += 1;
        Watched(self)
    }

    fn set(&self, wait: Wait) {
        self.seen().last = Some(wait);
    }

    /// The thing that places wait for, if it is known.
    pub(super) fn last(&self) -> Option<Wait> {
        let seen = self.seen();
        if seen.sessions == 0 {
            return None;
        }
        seen.last
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watched<'a>(&'a Waits);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.seen();
        seen.sessions -= 1;
        if seen.sessions == 0 {
            seen.last = None;
        }
    }
}

/// Most answers arrive before this; only then is the server asked about the session.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
