//! Headers of messages.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::error::config;
use super::{Facility, Severity};
use crate::event::{AuditEvent, Timestamp, excerpt};
use crate::store::StoreError;

/// The sender of the messages, as headers name it.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) host_name: String,
    pub(super) app_name: String,
    pub(super) process_id: u32,
}

impl Sender {
    /// This process. A name that no header can have is that of the protocol for none, `-`.
    pub(super) fn current() -> Self {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            host_name: if is_name(&host_name, MAX_HOST_BYTES) { host_name } else { "-".to_owned() },
            app_name: DEFAULT_APP_NAME.to_owned(),
            process_id: std::process::id(),
        }
    }

    /// Checks the name of a host.
    pub(super) fn check_host_name(name: &str) -> Result<(), StoreError> {
        check("host name", name, MAX_HOST_BYTES, is_name)
    }

    /// Checks the name of an app: a collector reads it up to the first colon, bracket or slash.
    pub(super) fn check_app_name(name: &str) -> Result<(), StoreError> {
        check("name of an app", name, MAX_APP_BYTES, |name, max_bytes| {
            is_name(name, max_bytes) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
    }
}

fn check(thing: &str, name: &str, max_bytes: usize, is_valid: impl Fn(&str, usize) -> bool) -> Result<(), StoreError> {
    if is_valid(name, max_bytes) {
        return Ok(());
    }
    Err(config(format!(
        "{:?} is no {thing}: expected letters, digits, `-`, `_` and `.`, {max_bytes} bytes at the most",
        excerpt(name)
    )))
}

fn is_name(name: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

const DEFAULT_APP_NAME: &str = "tower-audit";
const MAX_HOST_BYTES: usize = 255;
/// The longest tag of RFC 3164; RFC 5424 takes 48.
const MAX_APP_BYTES: usize = 32;
const MAX_MSGID_BYTES: usize = 32;

/// Appends a header of RFC 5424, up to the structured data: `<PRI>1 TIME HOST APP PROCID MSGID `.
pub(super) fn push_5424(out: &mut String, facility: Facility, severity: Severity, sender: &Sender, event: &AuditEvent) {
    let Sender { host_name, app_name, process_id } = sender;
    let priority = priority(facility, severity);
    // Writing to a String cannot fail.
    let _ = write!(out, "<{priority}>1 {} {host_name} {app_name} {process_id} ", event.created_at);
    // A type of a later version, or of another program, may be any text.
    let id = event.event_type.as_str().chars().map(|c| if c.is_ascii_graphic() { c } else { '?' });
    let before = out.len();
    out.extend(id.take(MAX_MSGID_BYTES));
    out.push_str(if out.len() == before { "- " } else { " " });
}

/// Appends a header of RFC 3164 with its tag: `<PRI>Mmm dd hh:mm:ss HOST APP[PID]: `, over a local socket without the host.
pub(super) fn push_3164(
    out: &mut String,
    facility: Facility,
    severity: Severity,
    sender: &Sender,
    event: &AuditEvent,
    with_host: bool,
    zone: &TimeZone,
) {
    let Sender { host_name, app_name, process_id } = sender;
    let _ = write!(out, "<{}>{} ", priority(facility, severity), local_time(event.created_at, zone));
    if with_host {
        let _ = write!(out, "{host_name} ");
    }
    let _ = write!(out, "{app_name}[{process_id}]: ");
}

fn priority(facility: Facility, severity: Severity) -> u8 {
    facility as u8 * 8 + severity as u8
}

/// Returns `Nov  5 09:07:00`, in the zone of this machine: that is how collectors read it.
fn local_time(time: Timestamp, zone: &TimeZone) -> String {
    // The last hours of 9999 are beyond jiff's.
    let time = jiff::Timestamp::from_microsecond(time.as_micros()).unwrap_or(jiff::Timestamp::MAX);
    time.to_zoned(zone.clone()).strftime("%b %e %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    fn sender() -> Sender {
        Sender { host_name: "web1".into(), app_name: "shop".into(), process_id: 57 }
    }

    fn event() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.created_at = "2026-11-05T09:07:00.000120Z".parse().unwrap();
        event
    }

    #[test]
    fn headers_are_those_of_the_protocols() {
        let mut out = String::new();
        push_5424(&mut out, Facility::Authpriv, Severity::Warning, &sender(), &event());
        assert_eq!(out, "<84>1 2026-11-05T09:07:00.000120Z web1 shop 57 auth ");
        out.clear();
        push_3164(&mut out, Facility::Local0, Severity::Notice, &sender(), &event(), true, &TimeZone::UTC);
        assert_eq!(out, "<133>Nov  5 09:07:00 web1 shop[57]: ");
        out.clear();
        let zone = TimeZone::fixed(jiff::tz::offset(-10));
        push_3164(&mut out, Facility::Kern, Severity::Emergency, &sender(), &event(), false, &zone);
        assert_eq!(out, "<0>Nov  4 23:07:00 shop[57]: ");
    }

    #[test]
    fn a_type_of_another_program_ends_no_header() {
        for (name, id) in [("a b]\u{e9}\n", "a?b]??"), ("", "-"), (&"x".repeat(40), &"x".repeat(32))] {
            let mut event = event();
            event.event_type = EventType::as_stored(name);
            let mut out = String::new();
            push_5424(&mut out, Facility::Local0, Severity::Notice, &sender(), &event);
            assert_eq!(out.split(' ').nth(5), Some(id), "{out}");
            assert_eq!(out.split(' ').count(), 7);
        }
    }

    #[test]
    fn wrong_names_are_named() {
        assert!(Sender::check_app_name("pryv-audit").is_ok() && Sender::check_host_name("fe80::1").is_ok());
        for bad in ["", "a b", "a[1]", "a:", "é", &"a".repeat(33)] {
            assert!(Sender::check_app_name(bad).unwrap_err().to_string().contains("name of an app"), "{bad}");
        }
        assert!(Sender::check_host_name("a b").is_err() && Sender::check_host_name(&"a".repeat(256)).is_err());
        assert!(Sender::current().process_id > 0);
    }

    #[test]
    fn every_time_has_a_header() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(local_time(time, &TimeZone::UTC).len(), 15);
        }
    }
}
