//! Lines: an event as one line of JSON, and back.
//!
//! A `started` event's line ends with the id of its writer: `…,"audit_writer":"0123456789abcdef"}`. The last such ending is
//! no part of the event. So an event of another phase that happens to end like this gets an ending too, of zeros.
//!
//! The line of a removed event is overwritten with blanks. If it ended a `started` event that stays, the line says so in
//! its place: `{"ended":"0199a7b0000070008000000000000001"}`, and blanks.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::{APPEND, DuringOperation as _};
use crate::event::undecodable::{UNKNOWN_TYPE, Undecodable};
use crate::event::{
    Actor, AuditEvent, Classification, EventId, Phase, RequestInfo, Resource, Targets, Timestamp, WriteJson as _, hex,
};
use crate::export::{Encoding, Profile, original_of};
use crate::store::StoreError;

/// The id of a writer: of one handle of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct WriterId(pub(super) u64);

/// A line, as far as it must be known to find events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing, or the place of a removed event.
    Blank,
    /// The place of a removed event that ended this one.
    Ended(EventId),
    Event(Head),
}

/// The head of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) event_id: EventId,
    pub(super) created_at: Timestamp,
    /// True for a `started` event.
    pub(super) is_started: bool,
    /// The writer of a `started` event.
    pub(super) writer: Option<WriterId>,
    /// The `started` event that this one ends.
    pub(super) ended: Option<EventId>,
    /// False if the line is no event: its id and time are then made up.
    pub(super) is_readable: bool,
}

impl Head {
    pub(super) fn of(event: &AuditEvent, writer: WriterId) -> Self {
        let is_started = event.phase == Phase::Started;
        Self {
            event_id: event.event_id,
            created_at: event.created_at,
            is_started,
            writer: is_started.then_some(writer),
            ended: event.request.started_event_id,
            is_readable: true,
        }
    }
}

/// Appends the event's line, with its line feed; without an encoding, as the event's own JSON.
pub(super) fn encode(
    event: &AuditEvent,
    encoding: Option<&Encoding>,
    writer: WriterId,
    lines: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let begin = lines.len();
    match encoding {
        None => event.write_json(lines).during(APPEND)?,
        Some(encoding) => encoding.encode(event, lines).during(APPEND)?,
    }
    let is_started = event.phase == Phase::Started;
    if is_started || split_writer(&lines[begin..]).1.is_some() {
        lines.pop();
        let id = if is_started { writer.0 } else { 0 };
        let is_cloud_event = encoding.is_some_and(|encoding| encoding.profile == Profile::CloudEvents);
        lines.extend_from_slice(if is_cloud_event { CLOUD_EVENTS_SUFFIX_BEGIN } else { SUFFIX_BEGIN });
        lines.extend_from_slice(hex::encode(&id.to_be_bytes(), &mut [0; 16]).as_bytes());
        lines.extend_from_slice(SUFFIX_END);
    }
    lines.push(b'\n');
    Ok(())
}

/// Reads a line without its line feed. `otherwise` is the time of a line that has none.
pub(super) fn parse(line: &[u8], otherwise: Timestamp) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Blank;
    }
    if let Some(rest) = line.strip_prefix(ENDED_BEGIN.as_bytes())
        && let Some(id) = std::str::from_utf8(rest).ok().and_then(|rest| rest.strip_suffix("\"}")?.parse().ok())
    {
        return Line::Ended(id);
    }
    let (event, writer) = event_of(line);
    match event.and_then(|text| serde_json::from_slice::<NativeHead>(&text).ok()) {
        Some(head) => {
            let is_started = head.phase == Phase::Started;
            Line::Event(Head {
                event_id: head.event_id,
                created_at: head.created_at,
                is_started,
                writer: writer.filter(|writer| is_started && writer.0 != 0),
                ended: head.request.and_then(|request| request.started_event_id),
                is_readable: true,
            })
        }
        None => Line::Event(salvaged(line, otherwise)),
    }
}

/// Decodes the event of a line; another that stands for it if it cannot be decoded.
pub(super) fn decode(line: &[u8], head: &Head) -> AuditEvent {
    let line = line.trim_ascii();
    let (text, _) = event_of(line);
    match text.and_then(|text| serde_json::from_slice::<AuditEvent>(&text).ok()) {
        Some(event) if event.event_id == head.event_id && event.created_at == head.created_at => event,
        _ => stand_in(line, head),
    }
}

fn stand_in(line: &[u8], head: &Head) -> AuditEvent {
    Undecodable {
        event_id: head.event_id,
        created_at: head.created_at,
        event_type: UNKNOWN_TYPE,
        phase: if head.is_started { Phase::Started } else { Phase::Unknown },
        actor: Actor::default(),
        resource: Resource::default(),
        request: RequestInfo { started_event_id: head.ended, ..RequestInfo::default() },
        classification: Classification::default(),
        targets: Targets::new(),
        outcome: None,
        text: &String::from_utf8_lossy(line),
    }
    .into_event()
}

/// The place of a removed event that ended another: as long as its line.
pub(super) fn ended_line(id: EventId, len: usize) -> Option<Vec<u8>> {
    let mut line = format!("{ENDED_BEGIN}{id}\"}}").into_bytes();
    (line.len() <= len).then(|| {
        line.resize(len, b' ');
        line
    })
}

/// The JSON of the event in a line, and the writer.
fn event_of(line: &[u8]) -> (Option<Cow<'_, [u8]>>, Option<WriterId>) {
    let (text, writer) = split_writer(line);
    if !line.starts_with(b"{\"event_id\"") {
        return (original_of(line), writer);
    }
    let event = match writer {
        None => Cow::Borrowed(line),
        Some(_) => Cow::Owned([text, b"}"].concat()),
    };
    (Some(event), writer)
}

/// Splits the writer's id from the end of a line. The rest has no closing brace.
fn split_writer(line: &[u8]) -> (&[u8], Option<WriterId>) {
    let digits = line.strip_suffix(SUFFIX_END).and_then(|rest| rest.split_at_checked(rest.len().checked_sub(16)?));
    let named = digits.and_then(|(rest, digits)| {
        let head = [SUFFIX_BEGIN, CLOUD_EVENTS_SUFFIX_BEGIN].iter().find_map(|begin| rest.strip_suffix(*begin))?;
        Some((head, digits))
    });
    let Some((head, digits)) = named else { return (line, None) };
    let is_lower = |digits: &&[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    match Some(digits)
        .filter(is_lower)
        .and_then(|digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
    {
        Some(id) => (head, Some(WriterId(id))),
        None => (line, None),
    }
}

/// Values of a line that is no event, as far as they can be told. The id of one without an id is a digest of it.
fn salvaged(line: &[u8], otherwise: Timestamp) -> Head {
    let text = String::from_utf8_lossy(line);
    let value = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let digest = Sha256::digest(line);
    let digest = u128::from_be_bytes(std::array::from_fn(|byte| digest[byte]));
    Head {
        event_id: value("\"event_id\":\"").and_then(|id| id.parse().ok()).unwrap_or(EventId::from_u128(digest)),
        created_at: value("\"created_at\":\"").and_then(|at| at.parse().ok()).unwrap_or(otherwise),
        is_started: false,
        writer: None,
        ended: None,
        is_readable: false,
    }
}

#[derive(Deserialize)]
struct NativeHead {
    event_id: EventId,
    created_at: Timestamp,
    #[serde(default)]
    phase: Phase,
    #[serde(default)]
    request: Option<RequestHead>,
}

#[derive(Deserialize)]
struct RequestHead {
    #[serde(default)]
    started_event_id: Option<EventId>,
}

const SUFFIX_BEGIN: &[u8] = b",\"audit_writer\":\"";
/// Attributes of CloudEvents have lower-case letters and digits alone.
const CLOUD_EVENTS_SUFFIX_BEGIN: &[u8] = b",\"auditwriter\":\"";
const SUFFIX_END: &[u8] = b"\"}";
const ENDED_BEGIN: &str = "{\"ended\":\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::export::EventSource;

    const WRITER: WriterId = WriterId(0xfeed);

    fn line(event: &AuditEvent, encoding: Option<&Encoding>) -> Vec<u8> {
        let mut lines = Vec::new();
        encode(event, encoding, WRITER, &mut lines).unwrap();
        assert_eq!(lines.pop(), Some(b'\n'));
        assert!(serde_json::from_slice::<serde_json::Value>(&lines).is_ok(), "a line is JSON");
        lines
    }

    fn head(line: &[u8]) -> Head {
        match parse(line, Timestamp::MIN) {
            Line::Event(head) => head,
            other => panic!("no event: {other:?}"),
        }
    }

    #[test]
    fn events_come_back_from_every_shape() {
        let whole = Profile::ALL.iter().copied().filter(|profile| profile.has_whole_event());
        for profile in whole.map(Some).chain([None]) {
            let encoding = profile.map(|profile| Encoding::new(profile, EventSource::default()));
            for phase in [Phase::Completed, Phase::Started, Phase::Unknown] {
                let mut event = AuditEvent::new(EventType::AUTH);
                event.phase = phase;
                event.details.insert("event".into(), "a name that the shape has too".into());
                event.details.insert("audit_writer".into(), "0123456789abcdef".into());
                event.extra.insert("audit_writer".into(), "0123456789abcdef".into());
                let line = line(&event, encoding.as_ref());
                let head = head(&line);
                assert_eq!(head, Head::of(&event, WRITER), "{profile:?} {phase:?}");
                assert_eq!(decode(&line, &head), event, "{profile:?} {phase:?}");
            }
        }
    }

    #[test]
    fn what_is_no_event_has_a_place_and_keeps_its_text() {
        let at = Timestamp::now();
        for text in [
            "torn",
            "{\"event_id\":\"0199a7b0000070008000000000000001\",\"crea",
            "[]",
            "{\"timestamp\":1}",
            "\u{0}\u{0}",
            "{\"ended\":\"x\"}",
        ] {
            let Line::Event(head) = parse(text.as_bytes(), at) else { panic!("{text}") };
            assert!(!head.is_readable && head.created_at == at, "{text}");
            let shown = decode(text.as_bytes(), &head);
            assert_eq!(shown.event_id, head.event_id);
            assert!(shown.details.contains_key("unreadable_event"), "{text}");
        }
        assert_eq!(parse(b"  \r", at), Line::Blank);
    }

    #[test]
    fn the_place_of_a_removed_end_names_it() {
        let id = EventId::new();
        let place = ended_line(id, 100).unwrap();
        assert_eq!(place.len(), 100);
        assert_eq!(parse(&place, Timestamp::MIN), Line::Ended(id));
        assert_eq!(ended_line(id, 10), None);
    }
}
