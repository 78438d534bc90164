//! A member of a tee, as it is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::lane::Role;
use crate::store::AuditStore;

/// A member of a tee: a store, and its part in the acknowledgement of an event.
///
/// Unless told otherwise, a durable member is counted by the [`Quorum`](super::Quorum), and a sink is best effort.
///
/// ```
/// use std::time::Duration;
/// use tower_audit::store::MemoryStore;
/// use tower_audit::store::tee::TeeMember;
///
/// let member = TeeMember::new("central", MemoryStore::new())
///     .best_effort()
///     .timeout(Duration::from_secs(2))
///     .include(["auth", "orders.all"])
///     .exclude(["orders.list"]);
/// # let _ = member;
/// ```
#[must_use]
pub struct TeeMember {
    pub(super) name: String,
    pub(super) store: Arc<dyn AuditStore>,
    pub(super) role: Option<Role>,
    pub(super) timeout: Option<Duration>,
    pub(super) max_events: usize,
    pub(super) max_bytes: usize,
    pub(super) include: Option<Vec<String>>,
    pub(super) exclude: Option<Vec<String>>,
    /// Tells of a member that is opened later that it is open. None: it is.
    pub(super) is_open: Option<IsOpen>,
}

/// Returns true if a member is open.
pub(super) type IsOpen = Arc<dyn Fn() -> bool + Send + Sync>;

/// The default of [`TeeMember::backlog`]: as the queue of a log.
const DEFAULT_EVENTS: usize = 16_384;
const DEFAULT_BYTES: usize = 64 * 1024 * 1024;

impl TeeMember {
    /// A member with a name for errors, metrics and diagnostics.
    pub fn new(name: impl Into<String>, store: impl AuditStore) -> Self {
        Self {
            name: name.into(),
            store: Arc::new(store),
            role: None,
            timeout: None,
            max_events: DEFAULT_EVENTS,
            max_bytes: DEFAULT_BYTES,
            include: None,
            exclude: None,
            is_open: None,
        }
    }

    /// Requires its acknowledgement for every event that it takes, whatever the quorum.
    pub fn required(mut self) -> Self {
        self.role = Some(Role::Required);
        self
    }

    /// Requires its acknowledgement for no event, and counts none for the quorum. What it loses is counted.
    pub fn best_effort(mut self) -> Self {
        self.role = Some(Role::BestEffort);
        self
    }

    /// Sets the time within which the member has to acknowledge an append: that of the tee by default. A later
    /// acknowledgement does not count; the append goes on.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the maximum number of events that wait for the member, and their memory in bytes: 16,384 and 64 MiB by default. At
    /// least one batch fits. What does not fit is refused if an event needs the member, and lost for it otherwise.
    pub fn backlog(mut self, events: usize, bytes: usize) -> Self {
        (self.max_events, self.max_bytes) = (events.max(1), bytes);
        self
    }

    /// Takes the events of these types alone: names, `resource.all`, or `all`. Exclusion goes before it.
    ///
    /// Every name must be a type of this crate or [declared](super::TeeBuilder::declare). The log's own events (`audit.…`) go to
    /// every member.
    pub fn include(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.include = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// Takes no event of these types.
    pub fn exclude(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.exclude = Some(types.into_iter().map(Into::into).collect());
        self
    }
}

/// Without the store, which may show more than its name.
impl fmt::Debug for TeeMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeeMember")
            .field("name", &self.name)
            .field("store", &self.store.capabilities().name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
