//! The columns of an event, read off a text as a writer of this version makes it.
//!
//! Moving an event into a segment reads its text again. A JSON parser compares every name with all that it knows, and finds out what
//! each value is. Here the names come in the order in which [`WriteJson`](crate::event::WriteJson) writes them, and no text has an
//! escape. Any other text is for the parser, a damaged one too.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::event_columns::{
    ActorColumns, ClassificationColumns, EventColumns, RequestColumns, ResourceColumns, TargetColumns, TargetList,
};
use crate::event::{Phase, needs_escape};

impl<'a> EventColumns<'a> {
    /// Reads the columns.
    ///
    /// # Errors
    /// If the text is no event.
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        read(text).map_or_else(|| serde_json::from_str(text), Ok)
    }

    /// Adds the values that a segment has in the text of an event alone.
    pub(super) fn with_values_of(mut self, text: &'a str) -> Self {
        let of_text = Self::read(text).unwrap_or_else(|_| Self::salvaged(text, self.cursor()));
        self.actor.api_key_hash = of_text.actor.api_key_hash;
        self.actor.acting_for = of_text.actor.acting_for;
        self.resource.method = of_text.resource.method;
        Self {
            request: of_text.request,
            classification: of_text.classification,
            targets: of_text.targets,
            details: of_text.details,
            ..self
        }
    }
}

/// Returns the columns; none if the text is in another form.
fn read(text: &str) -> Option<EventColumns<'_>> {
    let mut scanner = Scanner(text);
    scanner.skip("{\"event_id\":")?;
    let event_id = scanner.text()?.parse().ok()?;
    scanner.skip(",\"event_type\":")?;
    let event_type = scanner.text()?.into();
    scanner.skip(",\"created_at\":")?;
    let created_at = scanner.text()?.parse().ok()?;
    scanner.skip(",\"phase\":")?;
    let phase = scanner.text()?.parse::<Phase>().ok()?;
    scanner.skip(",\"actor\":{\"user_email\":")?;
    let user_email = scanner.text_or_null()?;
    scanner.skip(",\"api_key_hash\":")?;
    let api_key_hash = scanner.text_or_null()?;
    scanner.skip(",\"remote_addr\":")?;
    let remote_addr = scanner.text_or_null()?;
    let acting_for = scanner.entry(",\"acting_for\":", Scanner::text)?.map(Cow::Borrowed);
    scanner.skip("},\"resource\":{\"route\":")?;
    let route = scanner.text_or_null()?;
    scanner.skip(",\"method\":")?;
    let method = scanner.text_or_null()?;
    scanner.skip("}")?;
    let targets = scanner.entry(",\"targets\":[", Scanner::targets)?.unwrap_or_default();
    scanner.entry(",\"targets_omitted\":", Scanner::number)?;
    scanner.skip(",\"outcome\":")?;
    let outcome = scanner.number_or_null()?;
    scanner.skip(",\"details\":")?;
    let details = scanner.object()?;
    let mut request = RequestColumns::default();
    if scanner.skip(",\"request\":{").is_some() {
        let mut object = Sparse::new(&mut scanner);
        request.request_id = object.text("\"request_id\":")?;
        object.text("\"started_event_id\":")?;
        request.request_uri = object.text("\"request_uri\":")?;
        object.text("\"user_agent\":")?;
        object.text("\"forwarded\":")?;
        request.trace_id = object.text("\"trace_id\":")?;
        object.entry("\"duration_us\":", Scanner::number)?;
        scanner.skip("}")?;
    }
    let mut classification = ClassificationColumns::default();
    if scanner.skip(",\"classification\":{").is_some() {
        let mut object = Sparse::new(&mut scanner);
        classification.domain = object.text("\"domain\":")?;
        classification.action = object.text("\"action\":")?;
        classification.error = object.text("\"error\":")?;
        scanner.skip("}")?;
    }
    (scanner.0 == "}").then_some(EventColumns {
        event_id,
        created_at,
        event_type,
        phase,
        actor: ActorColumns { user_email, api_key_hash, remote_addr, acting_for },
        resource: ResourceColumns { route, method },
        outcome,
        request,
        classification,
        targets,
        details,
    })
}

/// The part of a text that is still to be read.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn skip(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Reads an entry if it is next. The outer `Option` is none if it is malformed.
    fn entry<T>(&mut self, name: &str, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.skip(name).is_some() { value(self).map(Some) } else { Some(None) }
    }

    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        (!needs_escape(text.as_bytes())).then_some(text)
    }

    /// Reads a text or `null`.
    fn text_or_null(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.skip("null").is_some() { Some(None) } else { self.text().map(|text| Some(text.into())) }
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|character: char| !character.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        // JSON has no leading zeros.
        if digits.len() > 1 && digits.starts_with('0') { None } else { digits.parse().ok() }
    }

    fn number_or_null(&mut self) -> Option<Option<u16>> {
        if self.skip("null").is_some() { Some(None) } else { u16::try_from(self.number()?).ok().map(Some) }
    }

    /// Reads an object; none within if it is empty.
    fn object(&mut self) -> Option<Option<&'a RawValue>> {
        if self.skip("{}").is_some() {
            return Some(None);
        }
        if !self.0.starts_with('{') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<&'a RawValue>();
        let object = values.next()?.ok()?;
        self.0 = &self.0[values.byte_offset()..];
        Some(Some(object))
    }

    fn targets(&mut self) -> Option<TargetList<'a>> {
        let mut targets = TargetList::default();
        loop {
            self.skip("{\"type\":")?;
            let target_type = self.text()?.into();
            self.skip(",\"id\":")?;
            let id = self.text()?.into();
            self.entry(",\"label\":", Self::text)?;
            self.skip("}")?;
            targets.insert(TargetColumns { target_type, id });
            if self.skip(",").is_none() {
                break;
            }
        }
        self.skip("]")?;
        Some(targets)
    }
}

/// The entries of an object in which any may be absent.
struct Sparse<'r, 'a> {
    scanner: &'r mut Scanner<'a>,
    is_first: bool,
}

impl<'r, 'a> Sparse<'r, 'a> {
    fn new(scanner: &'r mut Scanner<'a>) -> Self {
        Self { scanner, is_first: true }
    }

    fn text(&mut self, name: &str) -> Option<Option<Cow<'a, str>>> {
        Some(self.entry(name, Scanner::text)?.map(Cow::Borrowed))
    }

    fn entry<T>(&mut self, name: &str, value: impl FnOnce(&mut Scanner<'a>) -> Option<T>) -> Option<Option<T>> {
        let entry = if self.is_first { Some(self.scanner.0) } else { self.scanner.0.strip_prefix(',') };
        let Some(rest) = entry.and_then(|entry| entry.strip_prefix(name)) else { return Some(None) };
        self.scanner.0 = rest;
        self.is_first = false;
        value(self.scanner).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AuditEvent, EventId, EventType, FIELDS, Target};
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        "[a-z]{1,40}|[a-z]{0,8}|\\PC{0,20}|[ -~]{0,30}"
    }

    fn events() -> impl Strategy<Value = AuditEvent> {
        let fields = prop::collection::vec(prop::option::of(text()), FIELDS.len());
        let targets = prop::collection::vec((text(), text(), prop::option::of(text())), 0..18);
        let details = prop::option::of((text(), text()));
        let numbers = (any::<Option<u16>>(), any::<Option<u64>>(), any::<Option<u128>>());
        let phase = prop::sample::select(&[Phase::Started, Phase::Completed, Phase::Unknown][..]);
        (fields, targets, details, numbers, phase).prop_map(|(fields, targets, details, numbers, phase)| {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            for (field, text) in FIELDS.iter().zip(fields) {
                if let Some(text) = text {
                    field.set_text(&mut event, &text);
                }
            }
            event.phase = phase;
            (event.outcome, event.request.duration_us) = (numbers.0, numbers.1);
            event.request.started_event_id = numbers.2.map(EventId::from_u128);
            event.details.extend(details.map(|(name, value)| (name, value.into())));
            event.targets.extend(targets.into_iter().map(|(target_type, id, label)| {
                let mut target = Target::new(target_type, id);
                target.label = label.map(Into::into);
                target
            }));
            event.truncate_to_limits();
            event
        })
    }

    fn shown(columns: &EventColumns<'_>) -> String {
        // An empty object is as good as none.
        format!("{columns:?}").replace("Some(RawValue({}))", "None")
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

        #[test]
        fn the_columns_are_those_of_the_parser(event in events()) {
            let json = serde_json::to_string(&event).unwrap();
            let parsed = serde_json::from_str::<EventColumns<'_>>(&json).unwrap();
            match read(&json) {
                Some(columns) => prop_assert_eq!(shown(&columns), shown(&parsed)),
                None => prop_assert!(json.contains('\\') || json.contains(r#""targets":[]"#), "{}", json),
            }
        }

        /// The parser has the same view of a text with a byte lost or changed, or the only one.
        #[test]
        fn damage_is_for_the_parser(
            event in events(), at in any::<prop::sample::Index>(), to in prop::option::of("[ -~\\x00-\\x1f]"),
        ) {
            let mut json = serde_json::to_string(&event).unwrap();
            let place = at.index(json.len());
            prop_assume!(json.is_char_boundary(place) && json.is_char_boundary(place + 1));
            json.replace_range(place..=place, to.as_deref().unwrap_or(""));
            if let Some(columns) = read(&json) {
                let parsed = serde_json::from_str::<EventColumns<'_>>(&json);
                prop_assert_eq!(parsed.map(|parsed| shown(&parsed)).ok(), Some(shown(&columns)), "{}", json);
            }
        }
    }
}
