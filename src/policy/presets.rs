//! Ready-made rules and policies.
//!
//! ```
//! use tower_audit::AuditPolicy;
//! use tower_audit::policy::presets;
//!
//! // Every request that may change something, and logins under their own type.
//! let policy = AuditPolicy::builder().rule(presets::login(["/login", "/logout"])).preset_mutations().build()?;
//! assert_eq!(policy.rules().len(), 2);
//! # Ok::<(), tower_audit::PolicyError>(())
//! ```

use super::{AuditPolicy, PolicyBuilder, Rule};
use crate::event::EventType;

/// Every request with an unsafe method, whatever its path, as `http.mutation`, with a `started` event.
///
/// Unsafe are all methods but `GET`, `HEAD`, `OPTIONS` and `TRACE` (RFC 9110, section 9.2.1). A handler may declare a
/// better type for its event.
pub fn mutations() -> Rule {
    Rule::new(EventType::HTTP_MUTATION).unsafe_methods().paths(["/{*path}"]).write_ahead(true)
}

/// Every event that a handler declares to be an authentication, on any route.
///
/// With [`paths`](Rule::paths) the rule also records every request to them, by any unsafe method unless
/// [`methods`](Rule::methods) are set: an attempt is recorded even if the handler never declares it, because the body
/// broke off, was too large, or was no form. Such a request is driven to its end even if the client disconnects.
pub fn auth() -> Rule {
    Rule::new(EventType::AUTH)
}

/// Every attempt to log in at these paths, and every event that a handler declares to be an authentication there.
///
/// A callback of OAuth or SAML is a `GET`: add [`any_method`](Rule::any_method).
///
/// ```
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::presets;
///
/// let policy = AuditPolicy::builder().rule(presets::login(["/login"])).build()?;
/// assert!(policy.explain(&http::Method::POST, "/login").is_audited());
/// assert!(!policy.explain(&http::Method::GET, "/login").is_audited());
/// # Ok::<(), tower_audit::PolicyError>(())
/// ```
pub fn login(paths: impl IntoIterator<Item = impl Into<String>>) -> Rule {
    auth().paths(paths)
}

/// Every request with more results than the policy's [`max_results`](PolicyBuilder::max_results).
pub fn oversize_query() -> Rule {
    Rule::new(EventType::OVERSIZE_QUERY)
}

/// The policy of IVRE: [uploads](ivre::upload), [administration](ivre::admin_action), [oversize queries](oversize_query)
/// (off, as the policy has no maximum), and [authentications](auth).
///
/// An app with other paths begins with [`AuditPolicy::mutations`].
pub fn ivre() -> AuditPolicy {
    AuditPolicy::builder().preset_ivre().build().expect("the rules are constant, and valid together")
}

/// The rules of IVRE that name its paths.
pub mod ivre {
    use super::Rule;
    use crate::event::EventType;

    /// `POST` on `/scans`, `/view`, `/flows` and `/flows/cleanup`, whatever the outcome.
    ///
    /// No status proves that an upload had no effect: a `POST` is often answered by 303, and an error may follow the
    /// effect. [`RecordWhen::effect_possible`](crate::RecordWhen::effect_possible) leaves out 3xx and 4xx.
    pub fn upload() -> Rule {
        Rule::new(EventType::UPLOAD).methods(["POST"]).paths(["/scans", "/view", "/flows", "/flows/cleanup"])
    }

    /// Every unsafe method under `/auth/admin/`, whatever the outcome, with a `started` event.
    pub fn admin_action() -> Rule {
        Rule::new(EventType::ADMIN_ACTION).unsafe_methods().paths(["/auth/admin/{*rest}"]).write_ahead(true)
    }
}

impl AuditPolicy {
    /// Returns the policy that records every request that may change something: each unsafe method (RFC 9110, section
    /// 9.2.1) on any path, with a `started` event that is durable before the handler runs.
    ///
    /// ```
    /// use http::Method;
    /// use tower_audit::AuditPolicy;
    ///
    /// let policy = AuditPolicy::mutations();
    /// assert!(policy.explain(&Method::POST, "/orders").is_audited());
    /// assert!(policy.explain(&Method::DELETE, "/orders/7").is_audited());
    /// assert!(!policy.explain(&Method::GET, "/orders").is_audited());
    /// ```
    pub fn mutations() -> Self {
        Self::builder().preset_mutations().build().expect("the rule is constant and valid")
    }
}

impl PolicyBuilder {
    /// Adds [`presets::mutations`](mutations). Rules for single routes come before it.
    pub fn preset_mutations(self) -> Self {
        self.rule(mutations())
    }

    /// Adds the four rules of [`presets::ivre`](ivre()). `oversize_query` is off unless
    /// [`max_results`](Self::max_results) is set.
    pub fn preset_ivre(self) -> Self {
        self.optional_rules([ivre::upload(), ivre::admin_action(), oversize_query(), auth()])
    }
}
