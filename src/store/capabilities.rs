//! The capabilities of a store.

/// The capabilities of a store, as data. Its optional parts are in [`Parts`](super::Parts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The kind of store: the scheme of its URL.
    pub name: &'static str,
    /// True if an acknowledged append survives a crash of the process and of the machine.
    pub durable: bool,
    /// The largest useful number of concurrent appends, at least 1. A busy log has that many in flight; they may finish in
    /// any order.
    pub max_parallel_appends: usize,
}

impl Capabilities {
    /// Returns the capabilities of a store that promises no durability and appends one batch at a time.
    pub const fn new(name: &'static str) -> Self {
        Self { name, durable: false, max_parallel_appends: 1 }
    }
}
