//! Events as CSV and JSON.

use tower_audit::event::{FIELDS, Target};
use tower_audit::export::{
    Csv, EventFormat, JsonArray, Jsonl, drives_terminal, is_unsafe_to_display, to_json, to_json_pretty,
};
use tower_audit::{AuditEvent, EventId, EventType, Timestamp};

use super::choices::Choices;

/// The number of columns: the fields, `details` and `extra`.
const COLUMNS: usize = FIELDS.len() + 3;

/// JSON decodes to the written events, and is safe to display. CSV has one record for each event. Its fields are
/// those of the event, but for apostrophes before formulas; no cell is a formula under any
/// separator.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let event = event(&mut choices);
    let (one, two) = (std::slice::from_ref(&event), [event.clone(), event.clone()]);

    for pages in [&[one, &two][..], &[&[]]] {
        let events = pages.concat();
        let array = written(JsonArray::default(), pages);
        assert_eq!(serde_json::from_str::<Vec<AuditEvent>>(&array).expect("an array"), events);
        let lines = written(Jsonl, pages);
        let read = lines.lines().map(|line| serde_json::from_str::<AuditEvent>(line).expect("an event a line"));
        assert_eq!(read.collect::<Vec<_>>(), events);
        for json in [array, lines] {
            assert!(!json.contains(|c| c != '\n' && is_unsafe_to_display(c)), "{json:?}");
        }
    }
    let pretty = to_json_pretty(&event).expect("an event is JSON");
    assert_eq!(serde_json::from_str::<AuditEvent>(&pretty).expect("an event"), event);

    let shown = written(Csv::new(), &[one, &two]);
    assert!(!shown.contains(drives_terminal), "{shown:?}");
    assert_eq!(records(&shown).len(), 4);
    assert_no_formula(&shown);
    let csv = written(Csv::raw(), &[one, &two]);
    let records = records(&csv);
    assert_eq!(records.len(), 4);
    let (header, record) = (&records[0], &records[1]);
    assert!(records[2..].iter().all(|other| other == record));
    assert_eq!((header.len(), record.len()), (COLUMNS, COLUMNS));
    for (column, given) in given(&event) {
        let at = header.iter().position(|name| name == column).expect("a column");
        let is_kept = match column {
            // JSON has escapes, so that its value is as it was.
            "details" | "targets" => is_same_json(&record[at], &given),
            _ => is_guarded(&record[at], &given),
        };
        assert!(is_kept, "{column}: {:?} of {given:?}", record[at]);
    }
    for field in record {
        assert!(!field.starts_with(['\t', '\r', '\n']), "{field:?}");
        assert_no_formula(field);
    }
    assert_no_formula(&csv);
}

fn event(choices: &mut Choices<'_>) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.event_id = EventId::from_u128(1);
    event.created_at = Timestamp::MIN;
    let (fields, is_fit) = (choices.below(8), choices.flip());
    let text = choices.rest();
    for (n, field) in FIELDS.iter().enumerate() {
        if fields == 0 || n % fields == 0 {
            field.set_text(&mut event, &text);
        }
    }
    event.targets.insert(Target::new(text.as_str(), &text).with_label(text.as_str()));
    event.details.insert(text.clone(), text.as_str().into());
    event.actor.extra.insert("later".into(), text.into());
    if is_fit {
        event.truncate_to_limits();
    }
    event
}

/// The columns, each with the value of the event.
fn given(event: &AuditEvent) -> impl Iterator<Item = (&'static str, String)> {
    let fields = FIELDS.iter().map(|field| (field.name(), field.value_of(event).unwrap_or_default().into_owned()));
    fields.chain([
        ("details", to_json(&event.details).expect("an object is JSON")),
        ("targets", to_json(&event.targets).expect("a list is JSON")),
    ])
}

fn written(mut listing: impl EventFormat, pages: &[&[AuditEvent]]) -> String {
    let mut out = Vec::new();
    for page in pages {
        listing.write_page(page, &mut out).expect("a Vec takes everything");
    }
    listing.finish(&mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("UTF-8")
}

/// Reads RFC 4180 strictly: records end with CRLF, quotes are only where they may be.
fn records(csv: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut rest) = (Vec::new(), Vec::new(), csv);
    while !rest.is_empty() {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (text, more) = quoted.split_once('"').expect("a quoted field ends");
                field.push_str(text);
                let Some(more) = more.strip_prefix('"') else {
                    rest = more;
                    break;
                };
                field.push('"');
                quoted = more;
            }
        } else {
            let end = rest.find([',', '\r', '\n', '"']).expect("a field ends");
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        record.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                rest = rest.strip_prefix("\r\n").expect("a record ends with CRLF");
                records.push(std::mem::take(&mut record));
            }
        }
    }
    records
}

fn is_same_json(field: &str, given: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("a JSON column");
    value(field) == value(given)
}

/// Separators of cells in any program.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns true if `field` is `given` with at most an apostrophe at the beginning of some cells.
fn is_guarded(field: &str, given: &str) -> bool {
    let (mut field, mut at_start) = (field.chars().peekable(), true);
    for character in given.chars() {
        if at_start && character != '\'' {
            field.next_if_eq(&'\'');
        }
        if field.next() != Some(character) {
            return false;
        }
        at_start = SEPARATORS.contains(&character);
    }
    field.next().is_none()
}

fn assert_no_formula(text: &str) {
    for cell in text.split(SEPARATORS) {
        let seen = cell.trim_start_matches(|c: char| c == '"' || c.is_whitespace() || is_unsafe_to_display(c));
        assert!(!seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{cell:?}");
    }
}
