//! Events as text for others to read: what the program prints and what the read API streams, from one place.
//!
//! What is in an event was chosen by the clients of the audited app, attackers included. So JSON escapes every character
//! that is not safe to look at (its value stays what it is). CSV defuses what a spreadsheet would take for a formula, and what
//! a terminal acts on, as a file of it is looked at by either.
//!
//! ```
//! use tower_audit::{AuditEvent, EventType};
//! use tower_audit::export::{Jsonl, EventFormat};
//!
//! let mut listing = Jsonl;
//! let mut out = Vec::new();
//! listing.write_page(&[AuditEvent::new(EventType::UPLOAD)], &mut out)?;
//! listing.finish(&mut out)?;
//! assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
//! # Ok::<(), std::io::Error>(())
//! ```

mod csv;
mod hostile;
mod json;
mod jsonl;
#[cfg(any(feature = "cli", feature = "viewer"))]
mod visible;

use std::io::{self, Write};

pub use csv::Csv;
pub use hostile::{drives_terminal, is_unsafe_to_display};
#[cfg(feature = "api")]
pub(crate) use json::escape_unsafe_chars;
pub use json::{JsonArray, to_json, to_json_pretty};
pub use jsonl::Jsonl;
#[cfg(any(feature = "cli", feature = "viewer"))]
pub use visible::{SanitizedPiece, SanitizedText};

use crate::event::AuditEvent;

/// A listing that is written page by page, in constant memory.
pub trait EventFormat {
    /// Writes one page.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()>;

    /// Writes what comes after the last page. There was a page before, perhaps an empty one.
    ///
    /// # Errors
    /// Those of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Events for the tests of this folder.
#[cfg(test)]
mod samples {
    use crate::event::{Actor, AuditEvent, EventId, EventType};

    /// The event of the contract.
    pub(super) fn upload() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.event_id = EventId::from_u128(0x0199_a700_0000_7000_8000_0000_0000_0001);
        event.created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
        event.actor = Actor::user("alice@example.org");
        event.actor.remote_addr = Some("192.0.2.7".into());
        event.resource.route = Some("/scans".into());
        event.resource.method = Some("POST".into());
        event.outcome = Some(200);
        event
    }

    /// What `listing` writes of these pages.
    pub(super) fn printed(mut listing: impl super::EventFormat, pages: &[&[AuditEvent]]) -> String {
        let mut out = Vec::new();
        for page in pages {
            listing.write_page(page, &mut out).unwrap();
        }
        listing.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
