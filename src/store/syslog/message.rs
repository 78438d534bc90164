//! Messages: an event in one of the two formats, within a size.

use jiff::tz::TimeZone;

use super::escape::cut_mark;
use super::header::{Sender, push_3164, push_5424};
use super::structured_data::{SdId, StructuredData};
use super::{Facility, Severity, Template};
use crate::event::AuditEvent;

/// The format of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// RFC 5424: time with zone and microseconds, structured data, UTF-8.
    Rfc5424,
    /// RFC 3164, the older one: time of the machine without a year, a tag, a text. The language of `/dev/log`.
    Rfc3164,
}

/// A message of an event, ready to be sent, and true if something of the event was cut.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_cut: bool,
}

/// Everything that a message has besides its event.
#[derive(Debug)]
pub(super) struct MessageStyle<'s> {
    pub(super) format: Format,
    pub(super) facility: Facility,
    pub(super) severity: Severity,
    pub(super) template: &'s Template,
    pub(super) sender: &'s Sender,
    /// `None`: no structured data.
    pub(super) sd_id: Option<&'s SdId>,
    /// True to name the host in RFC 3164: over a network.
    pub(super) with_host: bool,
    /// True to mark text that is more than ASCII as UTF-8 (RFC 5424 section 6.4).
    pub(super) with_bom: bool,
    pub(super) zone: &'s TimeZone,
}

impl Message {
    /// Returns the message of an event, of at most `max_bytes` if that is [`MIN_BYTES`] or more.
    pub(super) fn new(event: &AuditEvent, style: &MessageStyle<'_>, max_bytes: usize) -> Self {
        let mut text = String::with_capacity(1024);
        let mut is_cut = false;
        let body = style.template.render(event);
        match style.format {
            Format::Rfc3164 => {
                push_3164(&mut text, style.facility, style.severity, style.sender, event, style.with_host, style.zone);
            }
            Format::Rfc5424 => {
                push_5424(&mut text, style.facility, style.severity, style.sender, event);
                match style.sd_id {
                    None => text.push('-'),
                    Some(id) => {
                        let room = max_bytes.saturating_sub(text.len() + BOM.len() + 1);
                        // The text gets a third at the most, if there is not enough for both.
                        let data = StructuredData::new(id, event, room - body.len().min(room / 3));
                        text.push_str(&data.text);
                        is_cut = data.is_cut;
                    }
                }
                text.push(' ');
                if style.with_bom && !body.is_ascii() {
                    text.push_str(BOM);
                }
            }
        }
        let room = max_bytes.saturating_sub(text.len());
        if body.len() <= room {
            text.push_str(&body);
        } else {
            push_cut(&mut text, &body, room);
            is_cut = true;
        }
        Self { text, is_cut }
    }
}

/// Appends the beginning of a text and the mark of a cut.
fn push_cut(out: &mut String, text: &str, max_bytes: usize) {
    let mark = cut_mark(text.len());
    let mut shown = &text[..text.floor_char_boundary(max_bytes.saturating_sub(mark.len()))];
    // An escape is ten bytes at the most; a half of one could be read as another.
    let tail = shown.floor_char_boundary(shown.len().saturating_sub(10));
    if let Some(at) = shown[tail..].rfind('\\') {
        shown = &shown[..tail + at];
    }
    out.push_str(shown);
    out.push_str(&mark);
}

/// The byte order mark of UTF-8.
const BOM: &str = "\u{feff}";
/// The least size that a collector must take (RFC 5424 section 6.1).
pub(super) const MIN_BYTES: usize = 480;

#[cfg(test)]
mod tests;
