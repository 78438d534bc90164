//! Options for opening a store.

use std::time::Duration;

/// Options for opening a store.
///
/// ```
/// use std::time::Duration;
///
/// use tower_audit::store::OpenOptions;
///
/// let options = OpenOptions::new().create_if_missing(false).timeout(Duration::from_secs(2));
/// assert!(!options.create_if_missing);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Create what does not exist yet. A reader opens without it, so that a mistyped path is an error.
    pub create_if_missing: bool,
    /// The timeout of opening and of any single wait in the store.
    pub timeout: Duration,
    /// The treatment of a store that may lose acknowledged events.
    pub durability: Durability,
}

/// The treatment of a store that may lose acknowledged events: `fsync=off`, asynchronous commits, unlogged tables,
/// replicas without acknowledgement.
///
/// The store's [`health`](super::AuditStore::health) reports it in any case, as
/// [`StoreErrorKind::NotDurable`](super::StoreErrorKind::NotDurable).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// It is refused: not opened, and not written to any more once it has become so.
    #[default]
    Required,
    /// It is written to as it is set up, with a warning whenever a connection is opened. The store then promises
    /// nothing: [`Capabilities::durable`](super::Capabilities::durable) is false.
    ///
    /// Of SQLite this is about one thing: a version that may damage files (the WAL-reset bug). What else it checks at the
    /// start are things without which it keeps nothing at all, and it sets what a commit means itself.
    Warn,
}

impl OpenOptions {
    /// The defaults: the store is made if it is missing, waits take 5 seconds at the most, durability is required.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`create_if_missing`](Self::create_if_missing).
    #[must_use]
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`durability`](Self::durability).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { create_if_missing: true, timeout: Duration::from_secs(5), durability: Durability::default() }
    }
}
