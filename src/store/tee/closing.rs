//! The end of a tee.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::NAME;
use super::health::guarded;
use super::lane::Lane;
use super::tee_state::TeeState;
use crate::store::{StoreError, StoreErrorKind};

/// Waits until the members have taken what they were given, and closes them, all beside each other.
pub(super) async fn close(tee: &TeeState) -> Result<(), StoreError> {
    tee.is_closed.store(true, Ordering::Release);
    let begin = Instant::now();
    // The larger part of the time is for the events.
    let (drained_by, closed_by) = (begin + tee.close_timeout / 4 * 3, begin + tee.close_timeout);
    let left: Vec<Option<String>> = join_all(tee.lanes.iter().map(|lane| close_one(lane, drained_by, closed_by))).await;
    let left: Vec<String> = left.into_iter().flatten().collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(StoreError::new(StoreErrorKind::Permanent, NAME, "close").with_hint(left.join("; ")))
}

/// Closes a member. Returns what is left of it, in words.
async fn close_one(lane: &Lane, drained_by: Instant, closed_by: Instant) -> Option<String> {
    let mut left = None;
    if timeout_at(drained_by, lane.drained()).await.is_err() {
        let behind = lane.view().events;
        left = Some(format!("member `{}` has not taken {behind} events", lane.name));
        // A worker that pauses between two tries gives up at once, and its events are lost. One whose store hangs is left alone.
        lane.abandon();
    }
    let failure = match timeout_at(closed_by, guarded(|| lane.store.close())).await {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(format!("member `{}`: {}", lane.name, failure.text)),
        Err(_) => Some(format!("member `{}` does not close", lane.name)),
    };
    left.or(failure)
}
