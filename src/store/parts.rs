//! The optional parts of a store.

use std::fmt;

use super::{CellErasure, OrphanRecovery, Reader, Removal, Sealing, StoreAdmin, Transactional};

/// The optional parts of a store, from [`AuditStore::parts`](super::AuditStore::parts).
///
/// A store lists its parts and takes the remaining ones from [`Parts::NONE`], so that a part of a later version is absent:
///
/// ```
/// # use tower_audit::store::{MemoryStore, Parts};
/// # fn parts(store: &MemoryStore) -> Parts<'_> {
/// Parts { reader: Some(store), admin: Some(store), ..Parts::NONE }
/// # }
/// # assert!(parts(&MemoryStore::new()).recovery.is_none());
/// ```
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "stores make it, with `..Parts::NONE` for parts that are added later")]
pub struct Parts<'a> {
    /// Reads events.
    pub reader: Option<&'a dyn Reader>,
    /// Creates the schema and deletes old events.
    pub admin: Option<&'a dyn StoreAdmin>,
    /// Deletes single events.
    pub removal: Option<&'a dyn Removal>,
    /// Closes the `started` events of dead processes.
    pub recovery: Option<&'a dyn OrphanRecovery>,
    /// Inserts events in transactions of the app's own.
    pub transactional: Option<&'a dyn Transactional>,
    /// Keeps the leaves and checkpoints of the seal.
    pub sealing: Option<&'a dyn Sealing>,
    /// Erases single values of events.
    pub erasure: Option<&'a dyn CellErasure>,
}

impl Parts<'_> {
    /// No part: the store can be appended to and nothing else.
    pub const NONE: Self = Self {
        reader: None,
        admin: None,
        removal: None,
        recovery: None,
        transactional: None,
        sealing: None,
        erasure: None,
    };
}

/// Lists the parts that are there.
impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("reader", self.reader.is_some()),
            ("admin", self.admin.is_some()),
            ("removal", self.removal.is_some()),
            ("recovery", self.recovery.is_some()),
            ("transactional", self.transactional.is_some()),
            ("sealing", self.sealing.is_some()),
            ("erasure", self.erasure.is_some()),
        ];
        f.debug_set().entries(parts.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name)).finish()
    }
}
