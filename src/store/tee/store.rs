//! The store, and the state of its members.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::NAME;
use super::append;
use super::closing;
use super::diagnostics;
use super::health;
use super::lane::{Lane, Role};
use super::tee_state::TeeState;
use crate::event::{AuditEvent, EventId};
use crate::store::{
    AuditStore, Capabilities, CellErasure, Diagnostic, OrphanRecovery, Parts, Reader, Removal, StoreAdmin, StoreFuture,
};

/// Several stores that get every event, one of which is read. Made by [`TeeStore::builder`].
///
/// Clones are the same handle. Dropped without [`close`](AuditStore::close), what the members have still to take goes on while
/// their runtime runs.
///
/// ```
/// use tower_audit::store::tee::{Quorum, TeeMember, TeeStore};
/// use tower_audit::store::{AuditStore as _, Durability, MemoryStore};
/// use tower_audit::{AuditEvent, AuditLog, EventType};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tee = TeeStore::builder()
///     // In memory nothing is durable.
///     .durability(Durability::Warn)
///     .member(TeeMember::new("local", MemoryStore::new()).required())
///     .member(TeeMember::new("copy", MemoryStore::new()))
///     .quorum(Quorum::Any)
///     .build()?;
/// let log = AuditLog::builder().store(tee.clone()).open().await?;
/// log.record(AuditEvent::new(EventType::AUTH)).await?;
/// log.close().await?;
/// assert!(tee.members().iter().all(|member| member.lost == 0 && member.behind == 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TeeStore {
    pub(super) state: Arc<TeeState>,
}

/// The state of a member, from [`TeeStore::members`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// The name.
    pub name: String,
    /// The kind of store.
    pub store: &'static str,
    /// True if an event needs its acknowledgement.
    pub is_required: bool,
    /// True if its acknowledgements count for the quorum.
    pub is_counted: bool,
    /// The number of events that it has still to take.
    pub behind: usize,
    /// The failure of its last append, if it did not succeed since.
    pub failure: Option<String>,
    /// The number of acknowledged events that it does not get.
    pub lost: u64,
    /// The ids of the latest of them, oldest first: at most [`MAX_LOST_IDS`](super::MAX_LOST_IDS).
    pub lost_ids: Vec<EventId>,
}

impl TeeStore {
    /// Returns the state of each member, in their order.
    pub fn members(&self) -> Vec<MemberStatus> {
        self.state.lanes.iter().map(|lane| status(lane)).collect()
    }

    /// Returns the number of acknowledged events that too few members take: see [`Unmatched::Discard`](super::Unmatched::Discard).
    pub fn discarded(&self) -> u64 {
        self.state.discarded.load(Ordering::Relaxed)
    }
}

fn status(lane: &Lane) -> MemberStatus {
    let (view, lost) = (lane.view(), lane.losses.read());
    MemberStatus {
        name: lane.name.to_string(),
        store: lane.store.capabilities().name,
        is_required: lane.role == Role::Required,
        is_counted: lane.is_counted,
        behind: view.events,
        failure: view.failure.map(|failure| failure.text.to_string()),
        lost: lost.events,
        lost_ids: lost.ids.into(),
    }
}

impl AuditStore for TeeStore {
    fn capabilities(&self) -> Capabilities {
        let maintenance = self.state.lanes.iter().filter_map(|lane| lane.store.capabilities().maintenance_after).min();
        let own = Capabilities::new(NAME).with_durable(self.state.is_durable);
        // The member that asks for it most often decides.
        maintenance.map_or(own, |events| own.with_maintenance_after(events))
    }

    /// The parts of the member that is read. None inserts events in transactions of the app: the other members would not have
    /// them.
    fn parts(&self) -> Parts<'_> {
        let reading = self.state.reading_lane().map_or(Parts::NONE, |lane| lane.store.parts());
        Parts {
            reader: reading.reader.map(|_| self as &dyn Reader),
            admin: reading.admin.map(|_| self as &dyn StoreAdmin),
            removal: reading.removal.map(|_| self as &dyn Removal),
            recovery: reading.recovery.map(|_| self as &dyn OrphanRecovery),
            sealing: reading.sealing,
            erasure: reading.erasure.filter(|_| self.can_erase()).map(|_| self as &dyn CellErasure),
            ..Parts::NONE
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(append::append(&self.state, events))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(health::check(&self.state))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(async { Ok(diagnostics::diagnose(&self.state).await) })
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(health::maintain(&self.state))
    }

    /// Waits until the members have taken what they were given, and closes them, within the timeout.
    ///
    /// # Errors
    /// If a member has not taken everything, or is not closed: named, with the number of events.
    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(closing::close(&self.state))
    }
}
