//! Events as syslog messages.

use tower_audit::event::FIELDS;
use tower_audit::export::is_unsafe_to_display;
use tower_audit::store::syslog::{Format, SyslogSettings, Template};
use tower_audit::{AuditEvent, EventId, EventType, Timestamp};

use super::choices::Choices;

/// The header up to the process, the message id and the end of the text are fixed.
const SENDER: &str = "0001-01-01T00:00:00.000000Z web1 shop ";

/// A template is parsed or refused, and renders any event in one line. A message has the size that was asked for; no value
/// ends its line, its field or its parameter; parameters are the event's fields.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let max_bytes = [480, 1000, 1 << 20][choices.below(3)];
    let own = Template::new(&choices.text());
    let event = event(&choices.rest());
    if let Ok(own) = own {
        assert!(!own.render(&event).contains(is_unsafe_to_display), "{own:?}");
    }

    for format in [Format::Rfc5424, Format::Rfc3164] {
        let settings = SyslogSettings::tcp("c", 1).expect("a host").format(format);
        let settings = settings.app_name("shop").expect("a name").host_name("web1").expect("a name");
        let template = Template::new("{actor.user_email} {details} end").expect("a template");
        let settings = settings.template(template).max_bytes(max_bytes).expect("a size");
        let message = settings.message(&event);
        assert!(message.len() <= max_bytes, "{} bytes", message.len());
        let plain = message.replacen('\u{feff}', "", 1);
        assert!(!plain.contains(is_unsafe_to_display), "{message:?}");
        let is_cut = message.contains("...(cut:") || message.contains(" omitted=\"");
        let text = match format {
            Format::Rfc5424 => text_5424(&plain, &event, is_cut),
            _ => plain.split_once("]: ").expect("a tag").1.to_owned(),
        };
        if !is_cut {
            let parts: Vec<_> = text.split(' ').collect();
            assert_eq!((parts.len(), parts[2]), (3, "end"), "{text}");
            let details: tower_audit::Details = serde_json::from_str(parts[1]).expect("JSON");
            assert_eq!(details, event.details);
        }
    }
}

fn event(text: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.event_id = EventId::from_u128(1);
    event.created_at = Timestamp::MIN;
    for field in FIELDS {
        field.set_text(&mut event, text);
    }
    event.details.insert(text.into(), text.into());
    event.truncate_to_limits();
    event
}

/// Checks the header and the structured data, and returns the text.
fn text_5424(message: &str, event: &AuditEvent, is_cut: bool) -> String {
    let rest = message.strip_prefix("<133>1 ").and_then(|rest| rest.strip_prefix(SENDER)).expect("the header");
    let (_, rest) = rest.split_once(" upload [audit@32473").expect("structured data");
    let mut rest = rest;
    let mut count = 0;
    while let Some(param) = rest.strip_prefix(' ') {
        let (name, value) = param.split_once("=\"").expect("a parameter");
        let mut is_escaped = false;
        let end = value.find(|c| {
            assert!(is_escaped || c != ']', "{name} ends the element");
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let end = end.expect("a value ends");
        let is_known = FIELDS.iter().any(|field| field.name() == name) || matches!(name, "details" | "omitted");
        assert!(is_known, "forged: {name}");
        rest = &value[end + 1..];
        count += 1;
    }
    let fields = FIELDS.iter().filter(|field| field.value_of(event).is_some()).count();
    assert!(is_cut || count == fields + 1, "{count} parameters");
    rest.strip_prefix("] ").expect("the element ends").to_owned()
}
