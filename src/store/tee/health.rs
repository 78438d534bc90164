//! The health of the members, and their maintenance.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::NAME;
use super::acknowledgement::Verdict;
use super::append::refusal;
use super::delivery::Failure;
use super::lane::{Lane, Role};
use super::tee_state::TeeState;
use crate::store::{StoreError, StoreErrorKind, StoreFuture};

/// Checks that the next event would be acknowledged: the required members are well, and enough of the counted ones.
pub(super) async fn check(tee: &TeeState) -> Result<(), StoreError> {
    tee.check_open(HEALTH)?;
    let failures: Vec<Option<Failure>> = join_all(tee.lanes.iter().map(|lane| failure_of(lane))).await;
    if tee.is_strict
        && let Some(error) = complaint(tee, &failures)
    {
        return Err(error);
    }
    let failed = super::append::members_of(&failures);
    let all = (0..tee.lanes.len()).fold(0, |members, member| members | super::acknowledgement::bit(member));
    let need = tee.routing.need(all);
    match need.map(|need| need.verdict(0, failed)) {
        Some(Verdict::Refused) => Err(refusal(tee, need.as_slice(), &failures, HEALTH)),
        _ => Ok(()),
    }
}

/// Returns the error of a member that is not well, or has lost events.
fn complaint(tee: &TeeState, failures: &[Option<Failure>]) -> Option<StoreError> {
    let complaints = tee.lanes.iter().zip(failures).filter_map(|(lane, failure)| {
        let lost = lane.losses.read().events;
        let lost = (lost > 0).then(|| format!("it has lost {lost} events"));
        let words: Vec<String> = failure.iter().map(|failure| failure.text.to_string()).chain(lost).collect();
        (!words.is_empty()).then(|| format!("member `{}`: {}", lane.name, words.join(", ")))
    });
    let complaints: Vec<String> = complaints.collect();
    let kind = failures.iter().flatten().map(|failure| failure.kind).next().unwrap_or(StoreErrorKind::Permanent);
    (!complaints.is_empty()).then(|| StoreError::new(kind, NAME, HEALTH).with_hint(complaints.join("; ")))
}

async fn failure_of(lane: &Lane) -> Option<Failure> {
    if let Some(obstacle) = lane.obstacle(1, 0) {
        return Some(obstacle);
    }
    match timeout(lane.timeout, guarded(|| lane.store.health())).await {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(Failure::transient("its health check does not answer")),
    }
}

/// Does the members' maintenance, each beside the others. A member that hangs is left out until it answers.
pub(super) async fn maintain(tee: &TeeState) -> Result<bool, StoreError> {
    let mut has_more = false;
    let mut failed = None;
    let free = tee.lanes.iter().filter(|lane| !lane.is_maintaining.swap(true, Ordering::AcqRel));
    let running: Vec<_> = free
        .map(|lane| {
            let lane = Arc::clone(lane);
            // An own task: a call that was polled is not dropped.
            tokio::spawn(async move {
                let result = guarded(|| lane.store.maintain()).await;
                lane.is_maintaining.store(false, Ordering::Release);
                (lane, result)
            })
        })
        .collect();
    for task in running {
        // Maintenance is short: a longer one goes on alone.
        let Ok(Ok((lane, result))) = timeout(MAINTENANCE, task).await else { continue };
        match result {
            Ok(more) => has_more |= more,
            Err(failure) if lane.role != Role::BestEffort => {
                let hint = format!("member `{}`: {}", lane.name, failure.text);
                failed = Some(StoreError::new(failure.kind, NAME, "maintenance").with_hint(hint));
            }
            // Its health tells.
            Err(_) => {}
        }
    }
    failed.map_or(Ok(has_more), Err)
}

/// Calls a store. A panic is a failure like any other.
pub(super) async fn guarded<'a, T>(call: impl FnOnce() -> StoreFuture<'a, T>) -> Result<T, Failure> {
    match AssertUnwindSafe(async move { call().await }).catch_unwind().await {
        Ok(result) => result.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::transient("it panicked")),
    }
}

const HEALTH: &str = "health check";
/// The wait for the maintenance of one member.
const MAINTENANCE: std::time::Duration = std::time::Duration::from_secs(1);
