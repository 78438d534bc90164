//! The worker of a member: appends what is queued, in order, until nothing is left.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::append_batch::{AppendBatch, Part};
use super::delivery::Failure;
use super::lane::Lane;
use crate::backoff::Backoff;
use crate::event::AuditEvent;
use crate::store::StoreErrorKind;

/// The bounds of the pauses before an append is tried again: of the first, and of every pause.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The tries after which a part is halved.
const TRIES: u32 = 3;
/// The tries after which a single event no longer holds the others up.
const TRIES_OF_ONE: u32 = 10;
/// The refusals after which such an event is given up: the member failed for it, and took others in the same round.
const REFUSALS: u32 = 10;
/// The number of parts from which none is halved because of a failure that may pass.
const MAX_PARTS: usize = 16;

/// Appends until the queue is empty. It owns the lane, and goes on when the tee is dropped.
pub(super) async fn run(lane: Arc<Lane>) {
    let running = Running(&lane);
    while let Some(queued) = lane.take() {
        deliver(&lane, AppendBatch::of(&lane, queued)).await;
    }
    std::mem::forget(running);
}

/// Lets another worker start if this one is dropped with its runtime.
struct Running<'a>(&'a Lane);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end_worker();
    }
}

/// Appends a batch until each of its events is accepted or given up.
///
/// An append that fails for now is tried again. If it fails [`TRIES`] times, or for good, its halves are tried alone, so that
/// no event takes others down with it.
async fn deliver(lane: &Lane, mut batch: AppendBatch<'_>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let has_accepted = try_parts(lane, &mut batch).await;
        if has_accepted {
            give_up_refused(&mut batch);
            backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        }
        if batch.parts.is_empty() {
            return;
        }
        if lane.is_abandoned() {
            let failure = lane.view().failure.unwrap_or_else(|| Failure::transient("the tee was closed"));
            batch.reject_all(&failure);
            return;
        }
        halve_failing(&mut batch);
        // It does not matter which of the two ends the pause.
        let _ = timeout(backoff.next_pause(), lane.wake.notified()).await;
        if batch.parts.iter().all(Part::is_stubborn) {
            lane.set_stuck();
            batch.extend(lane.take_more());
        }
    }
}

/// Tries the parts in order, up to the first that fails for now. Returns true if one was accepted.
///
/// A single event that has failed often does not end the round: either its member fails, or the event does.
async fn try_parts(lane: &Lane, batch: &mut AppendBatch<'_>) -> bool {
    let mut has_accepted = false;
    let mut at = 0;
    while let Some(part) = batch.parts.get(at) {
        let result = append(lane, batch.part(part)).await;
        let Some(mut part) = batch.parts.remove(at) else { break };
        let Err(failure) = result else {
            batch.accept(&part);
            has_accepted = true;
            continue;
        };
        if failure.is_transient() {
            part.tries += 1;
            let is_stubborn = part.is_stubborn();
            if is_stubborn {
                batch.note_failure(&part, &failure);
            } else {
                batch.note_failure_of_all(&failure);
                lane.note_failure_of_queued(&failure);
            }
            batch.parts.insert(at, part);
            if !is_stubborn {
                break;
            }
            at += 1;
        } else if failure.kind == StoreErrorKind::Permanent && !part.is_single() {
            let [first, second] = part.halves();
            batch.parts.insert(at, second);
            batch.parts.insert(at, first);
        } else {
            batch.reject(&part, &failure);
        }
    }
    if has_accepted {
        // Those before the end of the round have failed in it.
        batch.parts.iter_mut().take(at).for_each(|part| part.refusals += 1);
    }
    has_accepted
}

/// Appends once. The append runs to its end: the contract of a store.
async fn append(lane: &Lane, events: &[AuditEvent]) -> Result<(), Failure> {
    lane.begin_attempt();
    let appended = AssertUnwindSafe(async { lane.store.append(events).await }).catch_unwind().await;
    let result = match appended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => Err(Failure::transient("it panicked")),
    };
    lane.end_attempt(result.as_ref().err());
    if result.is_err() {
        lane.metrics.count_failure();
    }
    result
}

/// Gives up single events that the member refuses again and again while it takes others. The tries of an outage do not count.
fn give_up_refused(batch: &mut AppendBatch<'_>) {
    let is_refused = |part: &Part| part.refusals >= REFUSALS;
    let (refused, others): (Vec<Part>, Vec<Part>) = batch.parts.drain(..).partition(is_refused);
    batch.parts.extend(others);
    for part in refused {
        let text = format!("it has refused the event {} times, and takes others", part.refusals);
        batch.reject(&part, &Failure::transient(text));
    }
}

/// Halves the parts that have failed several times, in their places.
fn halve_failing(batch: &mut AppendBatch<'_>) {
    let mut halved = VecDeque::with_capacity(batch.parts.len());
    let mut count = batch.parts.len();
    for part in batch.parts.drain(..) {
        if part.tries >= TRIES && !part.is_single() && count < MAX_PARTS {
            halved.extend(part.halves());
            count += 1;
        } else {
            halved.push_back(part);
        }
    }
    batch.parts = halved;
}

impl Part {
    /// Returns true for a single event that has failed often.
    fn is_stubborn(&self) -> bool {
        self.is_single() && self.tries >= TRIES_OF_ONE
    }
}
