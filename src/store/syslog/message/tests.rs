//! Messages read by parsers of the tests' own, written from the grammar in RFC 5424 section 6.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Actor, EventType, FIELDS, Target, Timestamp};
use crate::export::is_unsafe_to_display;
use crate::store::syslog::escape::tests::{unescape, unescape_param};

/// A message of RFC 5424 as its grammar has it.
#[derive(Debug)]
struct Parsed<'m> {
    header: Vec<&'m str>,
    params: Vec<(&'m str, String)>,
    text: &'m str,
}

fn parse_5424(message: &str) -> Parsed<'_> {
    let mut header: Vec<&str> = message.splitn(7, ' ').collect();
    let mut rest = header.pop().expect("seven parts");
    assert_eq!(header.len(), 6, "{message:?}");
    let mut params = Vec::new();
    if let Some(element) = rest.strip_prefix('[') {
        let (id, mut more) = element.split_once(' ').expect("a name");
        assert_eq!(id, "audit@32473");
        loop {
            let (name, value) = more.split_once("=\"").expect("a parameter");
            let mut is_escaped = false;
            let end = value.find(|c| {
                let ends = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                ends
            });
            let end = end.expect("a value ends");
            params.push((name, unescape_param(&value[..end])));
            more = &value[end + 1..];
            if let Some(after) = more.strip_prefix(']') {
                rest = after;
                break;
            }
            more = more.strip_prefix(' ').expect("a blank between parameters");
        }
    } else {
        rest = rest.strip_prefix('-').expect("no structured data");
    }
    Parsed { header, params, text: rest.strip_prefix(' ').expect("a text") }
}

fn sender() -> Sender {
    Sender { host_name: "web1".into(), app_name: "shop".into(), process_id: 57 }
}

fn message(event: &AuditEvent, format: Format, template: &str, max_bytes: usize) -> Message {
    let style = MessageStyle {
        format,
        facility: Facility::Local0,
        severity: Severity::Notice,
        template: &Template::new(template).unwrap(),
        sender: &sender(),
        sd_id: Some(&SdId::default()),
        with_host: true,
        with_bom: true,
        zone: &TimeZone::UTC,
    };
    Message::new(event, &style, max_bytes)
}

fn event(value: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::AUTH);
    event.created_at = "2026-11-05T09:07:00.000120Z".parse().unwrap();
    for field in FIELDS {
        field.set_text(&mut event, value);
    }
    event.actor = Actor { remote_addr: Some(value.into()), ..Actor::user(value) };
    event.targets.insert(Target::new("order", value).with_label(value));
    event.details.insert(value.into(), json!([value, { value: value }]));
    event
}

#[test]
fn a_whole_message_of_each_format() {
    let mut event = AuditEvent::new(EventType::AUTH);
    event.created_at = "2026-11-05T09:07:00.000120Z".parse().unwrap();
    event.actor = Actor::user("Zoë");
    event.outcome = Some(401);
    let of = |format| message(&event, format, "{event_type} {outcome} {actor.user_email}", 8192).text;
    assert_eq!(of(Format::Rfc3164), "<133>Nov  5 09:07:00 web1 shop[57]: auth 401 Zoë");
    assert_eq!(
        of(Format::Rfc5424),
        format!(
            "<133>1 2026-11-05T09:07:00.000120Z web1 shop 57 auth [audit@32473 event_id=\"{}\" event_type=\"auth\" \
             created_at=\"2026-11-05T09:07:00.000120Z\" phase=\"completed\" user_email=\"Zoë\" outcome=\"401\"] \
             \u{feff}auth 401 Zoë",
            event.event_id
        )
    );
}

#[test]
fn a_message_that_is_too_long_is_cut_visibly() {
    let event = event(&"é".repeat(400));
    for format in [Format::Rfc5424, Format::Rfc3164] {
        for max in [MIN_BYTES, 600, 1000, 2048] {
            let message = message(&event, format, "{event}", max);
            assert!(message.is_cut && message.text.len() <= max, "{max}: {}", message.text.len());
            assert!(message.text.contains("...(cut:"), "{}", message.text);
            if format == Format::Rfc5424 {
                assert_eq!(parse_5424(&message.text).params[0], ("event_id", event.event_id.to_string()));
            }
        }
    }
}

const ANY: &str = "\\PC*|[ -~]{0,60}|[\\x00-\\x20\\u{7f}-\\u{a0}<>\\\\u{}\"\\[\\]=@\u{2028}\u{202e}\u{feff}0-9é]{0,80}";

proptest! {
    #[test]
    fn no_value_ends_its_line_or_its_field(value in ANY, max in prop_oneof![Just(1_000_000usize), MIN_BYTES..4000]) {
        let event = event(&value);
        let template = "{actor.user_email} {actor.remote_addr} {details} end";
        for format in [Format::Rfc5424, Format::Rfc3164] {
            let message = message(&event, format, template, max);
            prop_assert!(message.text.len() <= max);
            let body = match format {
                Format::Rfc3164 => {
                    message.text.strip_prefix("<133>Nov  5 09:07:00 web1 shop[57]: ").expect("the header")
                }
                Format::Rfc5424 => {
                    let parsed = parse_5424(&message.text);
                    let header = ["<133>1", "2026-11-05T09:07:00.000120Z", "web1", "shop", "57", "auth"];
                    prop_assert_eq!(&parsed.header, &header);
                    if !message.is_cut {
                        let fields = FIELDS.iter().filter_map(|field| {
                            Some((field.name(), field.value_of(&event)?.into_owned()))
                        });
                        let details = serde_json::to_string(&event.details).unwrap();
                        let read: Vec<_> = parsed.params.iter().filter(|(name, _)| *name != "details").cloned().collect();
                        prop_assert_eq!(read, fields.collect::<Vec<_>>());
                        let (_, read) = parsed.params.last().expect("the details");
                        let read: serde_json::Value = serde_json::from_str(read).expect("JSON");
                        prop_assert_eq!(read, serde_json::from_str::<serde_json::Value>(&details).unwrap());
                    }
                    parsed.text.strip_prefix('\u{feff}').unwrap_or(parsed.text)
                }
            };
            prop_assert!(!message.text.replacen('\u{feff}', "", 1).contains(is_unsafe_to_display), "{:?}", message.text);
            if !message.is_cut {
                let parts: Vec<_> = body.split(' ').collect();
                prop_assert_eq!(parts.len(), 4);
                prop_assert_eq!(unescape(parts[0]), value.as_str());
                prop_assert_eq!(unescape(parts[1]), value.as_str());
                prop_assert_eq!(&serde_json::from_str::<crate::Details>(parts[2]).unwrap(), &event.details);
                prop_assert_eq!(parts[3], "end");
            }
        }
    }

    #[test]
    fn every_time_is_a_message(micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()) {
        let mut event = event("x");
        event.created_at = Timestamp::from_micros(micros).unwrap();
        let text = message(&event, Format::Rfc5424, "x", 8192).text;
        prop_assert_eq!(parse_5424(&text).header[1], event.created_at.to_string());
        prop_assert_eq!(message(&event, Format::Rfc3164, "x", 8192).text.find(" web1 shop[57]: x"), Some(20));
    }
}
