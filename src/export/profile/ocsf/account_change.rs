//! Changes of accounts: events of users that name the user who was changed.

use serde_json::{Value, json};

use crate::event::{AuditEvent, Target};
use crate::export::profile::activity::Activity;

/// The domains, and the first words of event types, of accounts.
const DOMAINS: &[&str] = &["security.user", "security.user.password", "user", "account"];

/// Returns true if the event is of an account and names it.
pub(super) fn is_account_change(event: &AuditEvent) -> bool {
    let domain = event.classification.domain.as_deref();
    let first = event.event_type.as_str().split('.').next();
    let is_of_account = domain.is_some_and(|domain| DOMAINS.contains(&domain))
        || (domain.is_none()
            && event.event_type.as_str().contains('.')
            && first.is_some_and(|it| DOMAINS.contains(&it)));
    is_of_account && account(event).is_some() && Activity::of(event) != Activity::Read
}

/// The account that was changed.
pub(super) fn changed_user(event: &AuditEvent) -> Value {
    let Some(account) = account(event) else { return json!({ "name": "unknown" }) };
    let mut user = json!({ "uid": account.id });
    if let Some(label) = &account.label {
        user["name"] = json!(label);
    }
    user
}

/// Returns the activity, if the class has one for it.
pub(super) fn activity(event: &AuditEvent) -> Option<(u32, &'static str)> {
    let name = event.event_type.as_str();
    let action = event.classification.action.as_deref().or(name.rsplit('.').next()).unwrap_or_default();
    let is_password = event.classification.domain.as_deref() == Some("security.user.password");
    Some(match action {
        "create" | "created" | "add" | "added" => (1, "Create"),
        "enable" | "enabled" => (2, "Enable"),
        "password-change" | "password-changed" => (3, "Password Change"),
        "password-reset" => (4, "Password Reset"),
        "update" if is_password => (3, "Password Change"),
        "reset" if is_password => (4, "Password Reset"),
        "disable" | "disabled" => (5, "Disable"),
        "delete" | "deleted" | "remove" | "removed" => (6, "Delete"),
        "lock" | "locked" => (9, "Lock"),
        "unlock" | "unlocked" => (12, "Unlock"),
        _ => return None,
    })
}

fn account(event: &AuditEvent) -> Option<&Target> {
    event.targets.iter().find(|target| matches!(target.target_type.as_str(), "user" | "account"))
}
