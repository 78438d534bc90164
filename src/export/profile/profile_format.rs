//! Events in a profile, page by page.

use std::io::{self, Write};

use super::{Encoding, EventSource, Profile};
use crate::event::AuditEvent;
use crate::export::EventFormat;

/// Events in the format of another system: one a line, or as a JSON array.
///
/// JSON has every character that is unsafe to display as an escape.
///
/// ```
/// use tower_audit::export::{EventFormat, EventSource, Profile, ProfileFormat};
/// use tower_audit::{AuditEvent, EventType};
///
/// let mut listing = ProfileFormat::lines(Profile::CloudEvents, "shop".parse::<EventSource>()?);
/// let mut out = Vec::new();
/// listing.write_page(&[AuditEvent::new(EventType::UPLOAD)], &mut out)?;
/// listing.finish(&mut out)?;
/// let event: serde_json::Value = serde_json::from_slice(&out)?;
/// assert_eq!((&event["specversion"], &event["source"]), (&"1.0".into(), &"shop".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProfileFormat {
    encoding: Encoding,
    is_array: bool,
    is_open: bool,
}

impl ProfileFormat {
    /// One event a line.
    pub fn lines(profile: Profile, source: EventSource) -> Self {
        Self { encoding: Encoding::new(profile, source), is_array: false, is_open: false }
    }

    /// A JSON array; none for a profile whose events are no JSON.
    pub fn array(profile: Profile, source: EventSource) -> Option<Self> {
        profile.is_json().then(|| Self { is_array: true, ..Self::lines(profile, source) })
    }
}

impl EventFormat for ProfileFormat {
    fn write_page(&mut self, events: &[AuditEvent], out: &mut dyn Write) -> io::Result<()> {
        for event in events {
            if self.is_array {
                out.write_all(if self.is_open { b",\n" } else { b"[\n" })?;
                self.is_open = true;
            }
            out.write_all(self.encoding.to_text(event)?.as_bytes())?;
            if !self.is_array {
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.is_array, self.is_open) {
            (false, _) => Ok(()),
            (true, true) => out.write_all(b"\n]\n"),
            (true, false) => out.write_all(b"[]\n"),
        }
    }
}
