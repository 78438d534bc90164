//! Structured data (RFC 5424 section 6.3): the fields of an event as parameters.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::error::config;
use super::escape::{json, param_value};
use crate::event::{AuditEvent, FIELDS, excerpt};
use crate::store::StoreError;

/// The name of the element of structured data.
#[derive(Debug, Clone)]
pub(super) struct SdId(String);

impl SdId {
    /// Reads `NAME@NUMBER`, with a private enterprise number.
    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"=]\"@".contains(&b));
        let is_number = |number: &str| {
            number.split('.').all(|part| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()))
        };
        match text.split_once('@') {
            Some((name, number)) if text.len() <= MAX_NAME_BYTES && is_name(name) && is_number(number) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(config(format!(
                "{:?} is no name of structured data: expected `none`, or a name, `@` and your private enterprise number, such as \
                 `audit@32473`, of 32 bytes at the most",
                excerpt(text)
            ))),
        }
    }
}

/// 32473 is the number for examples (RFC 5612). This project has none of its own.
impl Default for SdId {
    fn default() -> Self {
        Self("audit@32473".to_owned())
    }
}

/// The longest name of an element or a parameter.
const MAX_NAME_BYTES: usize = 32;

/// The structured data of an event, and true if something of it was cut.
pub(super) struct StructuredData {
    pub(super) text: String,
    pub(super) is_cut: bool,
}

/// A parameter: its name, its whole value, and the value as it is written.
struct Param<'e> {
    name: &'static str,
    value: Cow<'e, str>,
    escaped: String,
}

impl Param<'_> {
    /// Returns the length of ` NAME="VALUE"`.
    fn len(&self) -> usize {
        self.name.len() + self.escaped.len() + 4
    }
}

impl StructuredData {
    /// Returns the element of this event, or `-` if there is no room for it.
    ///
    /// The longest values give way first, by halves; then the last parameters, which are counted in the
    /// parameter `omitted`.
    pub(super) fn new(id: &SdId, event: &AuditEvent, max_bytes: usize) -> Self {
        let mut params = params(event);
        let mut is_cut = false;
        let frame = id.0.len() + 2;
        let mut len = frame + params.iter().map(Param::len).sum::<usize>();
        while len > max_bytes {
            let longest = params.iter_mut().max_by_key(|param| param.escaped.len());
            let Some(longest) = longest.filter(|param| param.escaped.len() > SHORT_BYTES) else { break };
            let before = longest.escaped.len();
            longest.escaped = param_value(&longest.value, (before / 2).max(SHORT_BYTES)).0;
            len = len - before + longest.escaped.len();
            is_cut = true;
        }
        let mut omitted = 0;
        while len + OMITTED_BYTES > max_bytes && (omitted > 0 || len > max_bytes) {
            let Some(last) = params.pop() else { return Self { text: "-".into(), is_cut: true } };
            len -= last.len();
            omitted += 1;
        }
        if params.is_empty() {
            return Self { text: "-".into(), is_cut: true };
        }
        let mut text = String::with_capacity(len + OMITTED_BYTES);
        // Writing to a String cannot fail.
        let _ = write!(text, "[{}", id.0);
        for param in &params {
            let _ = write!(text, " {}=\"{}\"", param.name, param.escaped);
        }
        if omitted > 0 {
            let _ = write!(text, " omitted=\"{omitted}\"");
        }
        text.push(']');
        Self { text, is_cut: is_cut || omitted > 0 }
    }
}

/// The length from which a value is not shortened any further.
const SHORT_BYTES: usize = 64;
/// The room for ` omitted="99"`.
const OMITTED_BYTES: usize = 13;

fn params(event: &AuditEvent) -> Vec<Param<'_>> {
    let fields = FIELDS.iter().filter_map(|field| Some((field.name(), field.value_of(event)?)));
    // The first target is a field.
    let targets = (event.targets.len() > 1).then(|| ("targets", json(&event.targets).into()));
    let details = (!event.details.is_empty()).then(|| ("details", json(&event.details).into()));
    fields
        .chain(targets)
        .chain(details)
        .map(|(name, value)| Param { name, escaped: param_value(&value, usize::MAX).0, value })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType, Target};

    #[test]
    fn fields_are_parameters() {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.actor = Actor::user("a\"b]c\\d\n");
        event.details.insert("a b".into(), "]".into());
        event.targets.insert(Target::new("order", "7"));
        let data = StructuredData::new(&SdId::default(), &event, 10_000);
        let expected = format!(
            "[audit@32473 event_id=\"{}\" event_type=\"auth\" created_at=\"{}\" phase=\"completed\" \
             user_email=\"a\\\"b\\]c\\\\d\\\\u{{a}}\" target=\"order/7\" details=\"{{\\\"a b\\\":\\\"\\]\\\"}}\"]",
            event.event_id, event.created_at
        );
        assert_eq!((data.text.as_str(), data.is_cut), (expected.as_str(), false));
    }

    #[test]
    fn names_of_parameters_are_valid_and_different() {
        let mut names: Vec<_> =
            FIELDS.iter().map(|field| field.name()).chain(["targets", "details", "omitted"]).collect();
        let is_valid =
            |name: &&str| name.len() <= MAX_NAME_BYTES && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
        assert!(names.iter().all(is_valid));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_is_too_long_gives_way_visibly() {
        let mut event = AuditEvent::new(EventType::AUTH);
        event.request.user_agent = Some("u".repeat(500).into());
        event.details.insert("text".into(), "d".repeat(4000).into());
        for max in [1, 20, 100, 200, 300, 500, 1000, 4000] {
            let data = StructuredData::new(&SdId::default(), &event, max);
            assert!(data.is_cut && (data.text.len() <= max || data.text == "-"), "{max}: {}", data.text);
            assert!(data.text == "-" || data.text.contains("(cut:") || data.text.contains("omitted="), "{}", data.text);
            assert_eq!(data.text.contains("event_id="), max >= 100, "{max}: {}", data.text);
        }
    }

    #[test]
    fn wrong_names_are_named() {
        for good in ["audit@32473", "a@1.2.3", "exampleSDID@32473"] {
            assert!(SdId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "audit", "@1", "audit@", "a b@1", "a]@1", "a@1.", "a@b", &format!("{}@1", "a".repeat(31))] {
            assert!(SdId::parse(bad).unwrap_err().to_string().contains("audit@32473"), "{bad}");
        }
    }
}
