//! The capabilities of a store.

/// The capabilities of a store, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The name of the kind of store: the scheme of its URL.
    pub name: &'static str,
    /// An append that succeeded survives a crash of the process and of the machine.
    pub durable: bool,
    /// The store has a [`Reader`](super::Reader).
    pub readable: bool,
    /// The store has a [`StoreAdmin`](super::StoreAdmin).
    pub purgeable: bool,
    /// The store finds the `started` events of dead processes: it has [`Recovery`](super::Recovery).
    pub orphans: bool,
    /// The useful number of concurrent appends, at least 1. A log has so many under way when it is busy, and they may
    /// end in any order.
    pub max_parallel_appends: usize,
}

impl Capabilities {
    /// A store that can be appended to and nothing else.
    pub const fn append_only(name: &'static str) -> Self {
        Self { name, durable: false, readable: false, purgeable: false, orphans: false, max_parallel_appends: 1 }
    }
}
