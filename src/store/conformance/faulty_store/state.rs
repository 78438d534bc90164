//! State that the handles of a faulty store share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::super::fault::Fault;
use crate::event::{AuditEvent, EventId};

#[derive(Debug, Default)]
pub(super) struct SharedFault {
    state: Mutex<FaultState>,
    handles: AtomicUsize,
    /// The number of appends that have begun.
    pub(super) appends: Watched<usize>,
    /// Pauses appends while true.
    pub(super) holding: Watched<bool>,
    /// The number of paused appends.
    pub(super) held: Watched<usize>,
}

/// The state of the faults.
#[derive(Debug, Default)]
pub(super) struct FaultState {
    fault: Option<Fault>,
    /// The number of calls that still have to fail.
    pub(super) failures_left: usize,
    /// Acknowledged events that are not stored yet.
    pub(super) delayed: Vec<AuditEvent>,
    /// Ids in the order of their arrival, and the handle that brought each.
    pub(super) arrived: HashMap<EventId, (usize, usize)>,
    /// Events that are stored a second time.
    pub(super) repeated: Vec<AuditEvent>,
    /// Events that are returned instead of the stored ones.
    pub(super) replaced: HashMap<EventId, AuditEvent>,
    /// Stored events that are no longer visible.
    pub(super) lost: HashSet<EventId>,
    /// Open events as they were before an erasure.
    pub(super) open_copies: HashMap<EventId, AuditEvent>,
    /// The purged events.
    pub(super) purged: HashMap<EventId, AuditEvent>,
    /// The number of appends in progress.
    pub(super) appending: usize,
    /// The numbers of index creations, in all and in progress.
    pub(super) ensured: usize,
    pub(super) ensuring: usize,
    /// `init` left a store that takes no events.
    pub(super) broken: bool,
}

impl FaultState {
    /// Notes who brought the events first.
    pub(super) fn note(&mut self, events: &[AuditEvent], handle: usize) {
        for event in events {
            let place = self.arrived.len();
            self.arrived.entry(event.event_id).or_insert((place, handle));
        }
    }

    pub(super) fn forget_everything(&mut self) {
        *self = Self { fault: self.fault, ..Self::default() };
    }
}

impl SharedFault {
    pub(super) fn next_handle(&self) -> usize {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FaultState> {
        // Each change under the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.failures_left = match fault {
            Some(Fault::FailsFirst(count)) => count,
            Some(Fault::StoresButReportsError) => 1,
            _ => 0,
        };
    }

    /// Returns true if this call has to fail, and counts it.
    pub(super) fn is_to_fail(&self) -> bool {
        let mut state = self.state();
        let fails = state.failures_left > 0;
        state.failures_left = state.failures_left.saturating_sub(1);
        fails
    }

    /// Counts an append and keeps it here while appends are held up.
    pub(super) async fn pass_gate(&self) {
        self.appends.change(|appends| *appends += 1);
        if *self.holding.borrow() {
            let _held = Held::new(&self.held);
            self.holding.wait_until(|holding| !holding).await;
        }
    }
}

/// Counts one append as held up until it is dropped: its caller may give up.
struct Held<'a>(&'a Watched<usize>);

impl<'a> Held<'a> {
    fn new(held: &'a Watched<usize>) -> Self {
        held.change(|held| *held += 1);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.change(|held| *held -= 1);
    }
}

/// A value whose changes can be waited for.
#[derive(Debug)]
pub(super) struct Watched<T>(watch::Sender<T>);

impl<T: Default> Default for Watched<T> {
    fn default() -> Self {
        Self(watch::Sender::new(T::default()))
    }
}

impl<T> Watched<T> {
    pub(super) fn borrow(&self) -> watch::Ref<'_, T> {
        self.0.borrow()
    }

    pub(super) fn set(&self, value: T) {
        self.0.send_replace(value);
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        self.0.send_modify(change);
    }

    pub(super) async fn wait_until(&self, holds: impl FnMut(&T) -> bool) {
        // The sender is this value: it lives as long as the wait.
        let _ = self.0.subscribe().wait_for(holds).await;
    }
}
