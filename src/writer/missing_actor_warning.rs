//! A check of the first requests of a log: their events should name actors, and different addresses.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::event::{AuditEvent, CompactText};
use crate::log_lines::log_line;

/// The number of events that are checked.
const FIRST: u32 = 100;

/// The properties of the first events of requests, which become at most three lines of the operator's log.
#[derive(Debug, Default)]
pub(super) struct FirstRequests {
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    events: u32,
    anonymous: u32,
    without_addr: u32,
    /// The number of events that came through a proxy, from the address of the first event.
    behind_proxy: u32,
    addr: Option<CompactText>,
}

impl FirstRequests {
    /// Adds the event of a request.
    pub(super) fn note(&self, event: &AuditEvent) {
        if self.is_over.load(Relaxed) {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.events >= FIRST {
            return;
        }
        seen.events += 1;
        let actor = &event.actor;
        seen.anonymous += u32::from(actor.user_email.is_none() && actor.api_key_hash.is_none());
        match &actor.remote_addr {
            Some(addr) => {
                let is_first = seen.addr.get_or_insert_with(|| addr.clone()) == addr;
                seen.behind_proxy += u32::from(is_first && event.request.forwarded.is_some());
            }
            None => seen.without_addr += 1,
        }
        if seen.events == FIRST {
            self.is_over.store(true, Relaxed);
            let seen = std::mem::take(&mut *seen);
            log_line(move || seen.write_lines());
        }
    }
}

impl Seen {
    fn write_lines(&self) {
        if self.anonymous * 2 > FIRST {
            tracing::warn!(
                anonymous = self.anonymous,
                events = FIRST,
                "most audited requests name no actor: insert an `Actor` into the extensions of the request outside of the \
                 audit layer, or call `AuditContext::actor` inside of it"
            );
        }
        if self.without_addr * 2 > FIRST {
            tracing::warn!(
                without_addr = self.without_addr,
                events = FIRST,
                "most audited requests have no client address: serve axum with `into_make_service_with_connect_info`, or insert \
                 a `PeerAddr` into the extensions of the request"
            );
        }
        if self.behind_proxy == FIRST {
            tracing::warn!(
                remote_addr = self.addr.as_deref(),
                events = FIRST,
                "all audited requests have the address of one proxy: name it in `trusted_proxies` of the policy"
            );
        }
    }
}
