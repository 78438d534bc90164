//! ArcSight's Common Event Format, `CEF:0`: a header of seven fields, and an extension of keys and values.
//!
//! `\` and `|` are escaped in the header, `\`, `=` and line ends in the extension. A character that is unsafe to display becomes
//! `\u{202e}`, and a backslash before `u{` becomes `\u{5c}`, so that two values never look alike. A blank at either end of a value
//! is written so, too: parsers drop it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::activity::{Activity, is_authentication};
use super::ip_address::ip_address;
use super::outcome::Outcome;
use crate::event::{AuditEvent, ErrorCode, EventType, Phase, truncate};
use crate::export::is_unsafe_to_display;

/// Returns the line, without a line feed.
pub(crate) fn line(event: &AuditEvent, source: &str) -> String {
    let mut line = String::with_capacity(1024);
    line.push_str("CEF:0");
    let action = event.classification.action.as_deref();
    let name = action.map_or(Cow::Borrowed(event.event_type.as_str()), |action| {
        let domain = event.classification.domain.as_deref().unwrap_or(event.event_type.as_str());
        format!("{domain} {action}").into()
    });
    for field in ["tower-audit", source, env!("CARGO_PKG_VERSION"), event.event_type.as_str(), &name, severity(event)] {
        line.push('|');
        push_header(&mut line, &truncate(field, MAX_HEADER_BYTES));
    }
    line.push('|');
    let mut extension = Extension { line, is_empty: true };
    extension.fields(event);
    extension.line
}

struct Extension {
    line: String,
    is_empty: bool,
}

impl Extension {
    /// Appends the fields that the event has.
    fn fields(&mut self, event: &AuditEvent) {
        let (actor, request, classification) = (&event.actor, &event.request, &event.classification);
        self.put("rt", Some(&(event.created_at.as_micros().div_euclid(1000)).to_string()));
        self.put("externalId", Some(&event.event_id.to_string()));
        self.put("cat", classification.domain.as_deref());
        self.put("act", classification.action.as_deref());
        self.put("outcome", Some(Outcome::of(event).as_str()));
        self.put("reason", classification.error.as_ref().map(ErrorCode::as_str));
        self.put("suser", actor.user_email.as_deref());
        match ip_address(event) {
            Some(IpAddr::V4(address)) => self.put("src", Some(&address.to_string())),
            Some(IpAddr::V6(address)) => self.put_custom("c6a2", "Source IPv6 Address", Some(&address.to_string())),
            None => self.put("shost", actor.remote_addr.as_deref()),
        }
        self.put("requestMethod", event.resource.method.as_deref());
        self.put("request", request.request_uri.as_deref());
        self.put("requestClientApplication", request.user_agent.as_deref());
        self.put_custom("cn1", "status", event.outcome.map(|status| status.to_string()).as_deref());
        self.put_custom("cn2", "durationMicroseconds", request.duration_us.map(|us| us.to_string()).as_deref());
        self.put_custom("cs1", "route", event.resource.route.as_deref());
        self.put_custom("cs2", "requestId", request.request_id.as_deref());
        self.put_custom("cs3", "traceId", request.trace_id.as_deref());
        self.put_custom("cs4", "target", event.targets.first().map(ToString::to_string).as_deref());
        self.put_custom("cs5", "actingFor", actor.acting_for.as_deref());
        self.put_custom("cs6", "apiKeyHash", actor.api_key_hash.as_deref());
        self.put_custom("flexString1", "phase", Some(event.phase.as_str()));
        self.put_custom("flexString2", "startedEventId", request.started_event_id.map(|id| id.to_string()).as_deref());
    }

    fn put(&mut self, key: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        if !std::mem::take(&mut self.is_empty) {
            self.line.push(' ');
        }
        self.line.push_str(key);
        self.line.push('=');
        push_value(&mut self.line, &truncate(value, MAX_VALUE_BYTES));
    }

    fn put_custom(&mut self, key: &str, label: &str, value: Option<&str>) {
        if value.is_some_and(|value| !value.is_empty()) {
            self.put(key, value);
            self.put(&format!("{key}Label"), Some(label));
        }
    }
}

/// The severity, from 0 to 10: 3 for what succeeded, 5 for a refusal and for an unknown end, 7 for a failure of the server.
fn severity(event: &AuditEvent) -> &'static str {
    if event.event_type == EventType::AUDIT_FAILED {
        return "9";
    }
    let is_login_failure = Outcome::of(event) == Outcome::Failure && is_authentication(event);
    match (event.phase, event.outcome) {
        (Phase::Started, _) => "1",
        (Phase::Unknown, _) | (_, Some(400..=499)) => "5",
        (_, Some(500..)) => "7",
        _ if is_login_failure => "5",
        _ if Activity::of(event) == Activity::Delete => "4",
        _ => "3",
    }
}

/// The longest value: that of most keys in ArcSight's dictionary.
const MAX_VALUE_BYTES: usize = 1023;
/// The longest field of the header: that of `name`.
const MAX_HEADER_BYTES: usize = 512;

fn push_header(line: &mut String, text: &str) {
    push(line, text, |c| matches!(c, '\\' | '|'), |_| None);
}

fn push_value(line: &mut String, text: &str) {
    push(
        line,
        text,
        |c| matches!(c, '\\' | '='),
        |c| match c {
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            _ => None,
        },
    );
}

fn push(line: &mut String, text: &str, is_escaped: fn(char) -> bool, line_end: fn(char) -> Option<&'static str>) {
    let last = text.len().saturating_sub(1);
    for (at, c) in text.char_indices() {
        let is_like_escape = c == '\\' && text[at + 1..].starts_with("u{");
        let is_blank_at_end = c == ' ' && (at == 0 || at == last);
        if let Some(escape) = line_end(c) {
            line.push_str(escape);
        } else if is_unsafe_to_display(c) || is_like_escape || is_blank_at_end {
            // Writing to a String cannot fail. The backslash is escaped.
            let _ = write!(line, "\\\\u{{{:x}}}", u32::from(c));
        } else {
            if is_escaped(c) {
                line.push('\\');
            }
            line.push(c);
        }
    }
}
