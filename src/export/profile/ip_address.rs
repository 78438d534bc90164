//! The client's address, where it is one.

use std::net::IpAddr;

use crate::event::AuditEvent;

/// Returns the client's IP address; none if the event has none, or a name or a socket in its place.
pub(super) fn ip_address(event: &AuditEvent) -> Option<IpAddr> {
    event.actor.remote_addr.as_deref()?.parse().ok()
}
