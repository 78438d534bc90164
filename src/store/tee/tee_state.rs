//! The state that the handles of a tee share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::NAME;
use super::acknowledgement::AckRules;
use super::lane::Lane;
use super::refused_appends::RefusedAppends;
use crate::store::{StoreError, StoreErrorKind};

/// The members and the rules of a tee.
#[derive(Debug)]
pub(super) struct TeeState {
    pub(super) lanes: Box<[Arc<Lane>]>,
    pub(super) routing: AckRules,
    /// The member that is read.
    pub(super) reading: Option<usize>,
    /// An event can be acknowledged before the member that is read has it.
    pub(super) reads_may_lag: bool,
    pub(super) is_durable: bool,
    /// `health` is about every member, and about losses.
    pub(super) is_strict: bool,
    pub(super) close_timeout: Duration,
    /// Taken while events are given to the members: each gets them in the same order.
    pub(super) giving: Mutex<()>,
    pub(super) undecided: Mutex<RefusedAppends>,
    /// Acknowledged events that too few members take.
    pub(super) discarded: AtomicU64,
    pub(super) is_closed: AtomicBool,
}

impl TeeState {
    pub(super) fn undecided(&self) -> MutexGuard<'_, RefusedAppends> {
        // Nothing under this lock panics half way through a change.
        self.undecided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the member that is read.
    pub(super) fn reading_lane(&self) -> Option<&Arc<Lane>> {
        self.lanes.get(self.reading?)
    }

    /// Returns the members, the one that is read first.
    pub(super) fn lanes_reading_first(&self) -> impl Iterator<Item = &Arc<Lane>> {
        let reading = self.reading;
        let others = self.lanes.iter().enumerate().filter(move |(index, _)| Some(*index) != reading);
        self.reading_lane().into_iter().chain(others.map(|(_, lane)| lane))
    }

    pub(super) fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Permanent, NAME, operation).with_hint("it was closed"));
        }
        Ok(())
    }
}
