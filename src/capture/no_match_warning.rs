//! A look at the first requests of a layer: does any rule match them?

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http::Method;

use crate::log_lines::log_line;
use crate::policy::AuditPolicy;

/// The number of requests after which a layer without a match is reported.
const FIRST: u32 = 100;

/// Counts requests that may change something until the first match. After that, or after the report, a request pays for one
/// relaxed load.
#[derive(Debug)]
pub(crate) struct UnmatchedRequests {
    /// Zero: the look is over.
    left: AtomicU32,
}

impl UnmatchedRequests {
    /// Begins to count, unless no rule of the policy names requests.
    pub(crate) fn new(policy: &AuditPolicy) -> Self {
        Self { left: AtomicU32::new(if policy.names_requests() { FIRST } else { 0 }) }
    }

    /// Takes note of a request that no rule matches.
    #[inline]
    pub(crate) fn note(&self, method: &Method) {
        // Reads are most of the requests, and few policies are about them.
        if self.left.load(Relaxed) > 0 && !method.is_safe() {
            self.count();
        }
    }

    /// Takes note of a request that a rule matches.
    #[inline]
    pub(crate) fn note_match(&self) {
        if self.left.load(Relaxed) > 0 {
            self.left.store(0, Relaxed);
        }
    }

    #[cold]
    fn count(&self) {
        let before = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if before == Ok(1) {
            log_line(|| {
                tracing::warn!(
                    requests = FIRST,
                    "no rule matches the first requests with an unsafe method: `AuditPolicy::explain` says why, and \
                     `AuditPolicy::mutations()` records each"
                );
            });
        }
    }
}
