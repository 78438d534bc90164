//! A policy file, looked at as the app would.

use std::path::Path;

use tower_audit::AuditPolicy;
use tower_audit::store::Diagnostic;

use crate::error::with_causes;

/// Loads the policy file as the app would.
pub(crate) fn policy(path: &Path) -> Diagnostic {
    match AuditPolicy::from_file(path) {
        Ok(policy) => Diagnostic::ok("policy", format!("{}: {} rules", path.display(), policy.rules().len())),
        Err(error) => {
            Diagnostic::error("policy", with_causes(&error), "correct it: an app does not start with this policy")
        }
    }
}
