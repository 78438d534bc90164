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
mod event_format;
mod json;
mod jsonl;
#[cfg(test)]
mod samples;
#[cfg(any(feature = "cli", feature = "viewer"))]
mod sanitize;
mod unsafe_chars;

pub use csv::Csv;
pub use event_format::EventFormat;
#[cfg(feature = "api")]
pub(crate) use json::escape_unsafe_chars;
pub use json::{JsonArray, to_json, to_json_pretty};
pub use jsonl::Jsonl;
#[cfg(any(feature = "cli", feature = "viewer"))]
pub use sanitize::{SanitizedPiece, SanitizedText};
pub use unsafe_chars::{drives_terminal, is_unsafe_to_display};
