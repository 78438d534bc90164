//! The principal behind an event.

use super::CompactText;
use super::extensible_struct::extensible_struct;

extensible_struct! {
    /// The principal who acted. The first three fields are always written; all null is an anonymous caller.
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
    } sparse {
        /// The principal for whom the actor acted: the user that a supporter impersonates, or on whose behalf an agent works.
        acting_for: CompactText,
    }
}

impl Actor {
    /// An actor of this name.
    pub fn user(name: impl Into<CompactText>) -> Self {
        Self { user_email: Some(name.into()), ..Self::default() }
    }

    /// Sets the principal for whom this one acts. Both are kept.
    ///
    /// ```
    /// let actor = tower_audit::Actor::user("support@example.org").acting_for("alice@example.org");
    /// assert_eq!(actor.acting_for.as_deref(), Some("alice@example.org"));
    /// ```
    #[must_use]
    pub fn acting_for(mut self, name: impl Into<CompactText>) -> Self {
        self.acting_for = Some(name.into());
        self
    }
}
