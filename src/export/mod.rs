//! Formats of events: for the program, and for the exports of the read API.
//!
//! Clients of the audited app, attackers included, chose the text in events. JSON escapes every character that is unsafe to
//! display, which leaves the value unchanged. CSV defuses formulas of spreadsheets and characters that a terminal acts on.
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

mod changes;
mod csv;
mod event_format;
#[cfg(test)]
mod fixtures;
mod json;
mod jsonl;
mod profile;
#[cfg(any(feature = "cli", feature = "viewer"))]
mod sanitize;
mod unsafe_chars;

pub use changes::{RecordedChange, RecordedChanges};
pub use csv::Csv;
pub use event_format::EventFormat;
pub(crate) use json::escape_unsafe_chars;
pub use json::{JsonArray, to_json, to_json_pretty};
pub use jsonl::Jsonl;
#[cfg(any(all(feature = "jsonl", unix), all(feature = "syslog", unix)))]
pub(crate) use profile::Encoding;
pub(crate) use profile::original_of;
pub use profile::{EventSource, EventSourceError, Profile, ProfileError, ProfileFormat};
#[cfg(any(feature = "cli", feature = "viewer"))]
pub use sanitize::{SanitizedPiece, SanitizedText};
pub use unsafe_chars::{drives_terminal, is_unsafe_to_display};
