//! A profile with its settings, and the choice of the encoder.

use std::io;

use super::{EncodingSettings, EventSource, Profile, cef, cloud_events, ecs, iq, ocsf, otlp};
use crate::event::AuditEvent;
use crate::export::json::escape_unsafe_chars;

/// A profile with everything that it needs beside the event.
#[derive(Debug, Clone)]
pub(crate) struct Encoding {
    pub(crate) profile: Profile,
    pub(crate) settings: EncodingSettings,
}

impl Encoding {
    /// Encodes whole events.
    pub(crate) fn new(profile: Profile, source: EventSource) -> Self {
        Self { profile, settings: EncodingSettings { source, with_original: true } }
    }

    /// Appends the event as one line, without a line feed.
    pub(crate) fn encode(&self, event: &AuditEvent, out: &mut Vec<u8>) -> io::Result<()> {
        match self.profile {
            Profile::Iq => iq::encode(event, out)?,
            Profile::CloudEvents => cloud_events::encode(event, self.settings.source.as_str(), out)?,
            Profile::Ecs => ecs::encode(event, &self.settings, out)?,
            Profile::Ocsf => ocsf::encode(event, &self.settings, out)?,
            Profile::Otlp => otlp::encode(event, &self.settings, out)?,
            Profile::Cef => out.extend_from_slice(cef::line(event, self.settings.source.as_str()).as_bytes()),
        }
        Ok(())
    }

    /// Returns the event as one line that is safe to display, without a line feed.
    pub(crate) fn to_text(&self, event: &AuditEvent) -> io::Result<String> {
        let mut line = Vec::with_capacity(1024);
        self.encode(event, &mut line)?;
        let text = String::from_utf8(line).map_err(io::Error::other)?;
        // JSON has escapes of its own; CEF has none left to make.
        Ok(if self.profile.is_json() { escape_unsafe_chars(text) } else { text })
    }
}
