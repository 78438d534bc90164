//! A policy file, looked at as the app would.

use std::path::Path;

use tower_audit::AuditPolicy;
use tower_audit::store::Finding;

use crate::exit::with_causes;

/// Whether the app would start with this policy.
pub(crate) fn policy(path: &Path) -> Finding {
    match AuditPolicy::from_file(path) {
        Ok(policy) => Finding::fine("policy", format!("{}: {} rules", path.display(), policy.rules().len())),
        Err(error) => {
            Finding::wrong("policy", with_causes(&error), "correct it: an app does not start with this policy")
        }
    }
}
