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
    /// The number of appended events after which a busy log calls [`maintain`](super::AuditStore::maintain) beside its
    /// appends. `None`: in idle moments alone.
    pub maintenance_after: Option<usize>,
}

impl Capabilities {
    /// Returns the capabilities of a store that promises no durability and appends one batch at a time.
    pub const fn new(name: &'static str) -> Self {
        Self { name, durable: false, max_parallel_appends: 1, maintenance_after: None }
    }

    /// Sets whether an acknowledged append survives a crash.
    ///
    /// ```
    /// # use tower_audit::store::Capabilities;
    /// assert!(Capabilities::new("mine").with_durable(true).durable);
    /// ```
    #[must_use]
    pub const fn with_durable(self, durable: bool) -> Self {
        Self { durable, ..self }
    }

    /// Sets the largest useful number of concurrent appends; 0 counts as 1.
    #[must_use]
    pub const fn with_max_parallel_appends(self, appends: usize) -> Self {
        Self { max_parallel_appends: if appends == 0 { 1 } else { appends }, ..self }
    }

    /// Sets the number of appended events after which a busy log maintains the store; 0 counts as 1.
    #[must_use]
    pub const fn with_maintenance_after(self, events: usize) -> Self {
        Self { maintenance_after: Some(if events == 0 { 1 } else { events }), ..self }
    }
}
