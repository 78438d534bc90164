//! The caller of the read API.

use crate::event::limits::MAX_USER_EMAIL_BYTES;
use crate::event::truncate;

/// The authenticated caller, as the app's [`Gate`](super::Gate) names them.
///
/// ```
/// use tower_audit::api::Caller;
///
/// let alice = Caller::user("alice@example.org");
/// assert!(!alice.is_admin());
/// assert_eq!(Caller::admin("root@example.org").name(), "root@example.org");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
    is_admin: bool,
}

impl Caller {
    /// A user, who reads the events whose `actor.user_email` is exactly `name`. With an empty name the caller is
    /// anonymous.
    pub fn user(name: impl Into<String>) -> Self {
        Self { name: truncated_name(name.into()), is_admin: false }
    }

    /// An administrator, who reads everyone's events.
    pub fn admin(name: impl Into<String>) -> Self {
        Self { name: truncated_name(name.into()), is_admin: true }
    }

    /// Returns the name, as in `actor.user_email`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if the caller may read everyone's events.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Returns the only name whose events the caller may see, or `None` for an administrator.
    pub(crate) fn own_name(&self) -> Option<&str> {
        if self.is_admin { None } else { Some(&self.name) }
    }
}

/// Truncates a name as events do, so that a caller with a long name finds their own events.
fn truncated_name(name: String) -> String {
    match truncate(&name, MAX_USER_EMAIL_BYTES) {
        std::borrow::Cow::Owned(cut) => cut,
        std::borrow::Cow::Borrowed(_) => name,
    }
}
