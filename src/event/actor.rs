//! The principal behind an event.

use super::CompactText;
use super::extensible_struct::extensible_struct;

extensible_struct! {
    /// The principal who acted. All three fields are always written; all null is an anonymous caller.
    ///
    /// Put one into the request's extensions (an outer authentication layer does) or give it to
    /// [`AuditContext::actor`](crate::AuditContext::actor). An `Arc<Actor>` in the extensions does as well.
    ///
    /// ```
    /// let actor = tower_audit::Actor::user("alice@example.org");
    /// assert_eq!(actor.user_email.as_deref(), Some("alice@example.org"));
    /// ```
    Actor, always {
        /// The name of the principal.
        user_email: CompactText,
        /// The SHA-256 (or HMAC-SHA-256) of the API key that was presented, in hexadecimal; never the key.
        api_key_hash: CompactText,
        /// The client's address, without a port. [`AuditEvent::truncate_to_limits`](crate::AuditEvent::truncate_to_limits) canonicalizes it.
        remote_addr: CompactText,
    }
}

impl Actor {
    /// An actor of this name.
    pub fn user(name: impl Into<CompactText>) -> Self {
        Self { user_email: Some(name.into()), ..Self::default() }
    }
}
