//! Names of Nexus IQ Server's audit log, for an app that goes on with them in [`Classification`](super::Classification).
//!
//! Its errors are [`ErrorCode::ALL`](super::ErrorCode::ALL). `docs/coming-from/nexus-iq.md` has the lists as tables.
//!
//! ```
//! use tower_audit::event::nexus_iq;
//!
//! assert!(nexus_iq::is_known("security.user", "update"));
//! assert!(!nexus_iq::is_known("security.user", "rename"));
//! ```

/// The domain of sign-ins and sign-outs.
pub const AUTHENTICATION: &str = "authentication";
/// The type of a successful sign-in.
pub const LOGIN: &str = "login";
/// The type of a sign-out.
pub const LOGOUT: &str = "logout";
/// The type of a failed sign-in.
pub const FAILURE: &str = "failure";

/// The domains, and the types of events in each, of releases 52 to 56: `domain` and `action` of
/// [`Classification`](super::Classification).
pub const DOMAINS: &[(&str, &[&str])] = &[
    (AUTHENTICATION, &[LOGIN, LOGOUT, FAILURE]),
    ("governance.evaluation.application", &["evaluate"]),
    ("governance.component.identity", &["set", "unset"]),
    ("governance.component.vulnerability", &["update"]),
    ("governance.component.license", &["update"]),
    ("governance.component.label", &["assign", "remove"]),
    ("governance.grandfathering", &["configure", "apply", "revoke"]),
    ("governance.import", &["import"]),
    ("governance.proprietary-components", &["configure"]),
    ("governance.continuous-monitoring", &["configure"]),
    ("governance.waiver", &["create", "delete"]),
    ("governance.application-category", &["create", "update", "delete", "import"]),
    ("governance.component-label", &["create", "update", "delete", "import"]),
    ("governance.license-threat-group", &["create", "update", "delete", "import"]),
    ("governance.license-threat-group.licenses", &["configure"]),
    ("governance.policy", &["create", "update", "delete", "import"]),
    ("governance.policy.inheritance", &["configure"]),
    ("governance.repository", &["connect", "disconnect", "remove", "migrate"]),
    ("governance.repository.quarantine", &["configure", "retain", "release", "reset"]),
    ("governance.evaluation.repository", &["evaluate", "initiate"]),
    ("security.user", &["create", "update", "delete"]),
    ("security.user.password", &["update", "reset"]),
    ("security.role", &["create", "update", "delete"]),
    ("security.role.membership", &["configure"]),
    ("security.ldap", &["prioritize"]),
    ("security.ldap.server", &["create", "update", "delete"]),
    ("security.ldap.server.connection", &["configure"]),
    ("security.ldap.server.user-mapping", &["configure"]),
    ("governance.organization", &["create", "update", "delete"]),
    ("governance.organization.icon", &["configure"]),
    ("governance.application", &["create", "auto-create", "update", "delete", "move"]),
    ("governance.application.icon", &["configure"]),
    ("governance.application.categories", &["configure"]),
    ("governance.automatic-applications", &["configure"]),
    ("server", &["start", "stop"]),
    ("server.system-notice", &["configure"]),
    ("server.license", &["install", "uninstall"]),
    ("server.webhook", &["create", "update", "delete"]),
    ("reporting.application-composition.report", &["view", "print", "export"]),
    ("reporting.success-metrics", &["configure"]),
    ("reporting.dashboard.filter", &["save", "delete"]),
    ("reporting.dashboard.component-details", &["view"]),
];

/// Returns true if the domain has events of this type.
pub fn is_known(domain: &str, action: &str) -> bool {
    DOMAINS.iter().any(|(name, actions)| *name == domain && actions.contains(&action))
}
