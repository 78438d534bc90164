//! The pieces of a journal row's text: one for each of its events, also where bytes are damaged.
//!
//! The text is a JSON array of objects, each of which begins with [`BEGINNING`]. No text within an event has it, because
//! quotes are escaped there. So a damaged array is cut at the beginnings of its events, and one damaged byte costs one
//! event:
//!
//! - `[A,{"event_id":…#…},C]`: the second piece is no JSON, the others are.
//! - `[A,#"event_id":…},C]`: the beginning of B is gone. The piece of A has B behind it. The row counts three events, so
//!   it is cut behind the first value.
//! - `[A#B,C]`: every event is whole.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// Splits a text into pieces that do not overlap. A row that counts more events than there are pieces has empty ones for
/// the others.
pub(super) fn pieces(text: &str, events: usize) -> Vec<&str> {
    let mut pieces: Vec<&str> = match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(values) => values.into_iter().map(RawValue::get).collect(),
        Err(_) => cut(text, events),
    };
    pieces.resize(pieces.len().max(events), "");
    pieces
}

/// Returns the stretches of a row's text in which this text stands, each from one beginning to the next. None is decoded. Where the
/// beginning of an event is damaged, the one before it is in the same stretch.
pub(crate) fn events_with<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(wanted).map(move |(at, _)| {
        let begin = text[..at].rfind(BEGINNING).unwrap_or(0);
        let end = text[at..].find(BEGINNING).map_or(text.len(), |next| at + next);
        &text[begin..end]
    })
}

/// A part of a damaged text, from one beginning to the next.
struct Part<'a> {
    text: &'a str,
    /// The length of the JSON value that it begins with, if more follows.
    value_len: Option<usize>,
}

fn cut(text: &str, events: usize) -> Vec<&str> {
    let parts = parts(text);
    let mut missing = events.saturating_sub(parts.len());
    let mut pieces = Vec::with_capacity(parts.len() + missing);
    for part in parts {
        match part.value_len.filter(|_| missing > 0) {
            Some(len) => {
                missing -= 1;
                let (value, more) = part.text.split_at(len);
                pieces.extend([value, &more[char_len(more)..]]);
            }
            None => pieces.push(part.text),
        }
    }
    pieces
}

/// Cuts a text at the beginnings of its events.
fn parts(text: &str) -> Vec<Part<'_>> {
    parts_within(&mut Values::of(text))
}

fn parts_within<'a>(values: &mut Values<'a>) -> Vec<Part<'a>> {
    let text = values.text;
    let mut parts = Vec::new();
    let mut begin = match text.get(char_len(text)..) {
        Some(first) if first.starts_with(BEGINNING) || text.starts_with('[') => char_len(text),
        _ => 0,
    };
    while begin < text.len() {
        let value_end = values.value_len(begin).map(|len| begin + len);
        if let Some(end) = value_end {
            let next = end + char_len(&text[end..]);
            if next == text.len() || text[next..].starts_with(BEGINNING) {
                parts.push(Part { text: &text[begin..end], value_len: None });
                begin = next;
                continue;
            }
        }
        let next = values.next_beginning(value_end.unwrap_or(begin + 1)).unwrap_or(text.len());
        let part = &text[begin..next];
        let part = part.strip_suffix([',', ']']).unwrap_or(part);
        parts.push(Part { text: part, value_len: value_end.map(|end| end - begin).filter(|len| *len < part.len()) });
        begin = next;
    }
    parts
}

/// The JSON values in a damaged text. Reading them has a budget of bytes: of nested lists without an end, each value would be
/// read to the end of the text. Without budget, every beginning is one of an event.
struct Values<'a> {
    text: &'a str,
    /// True for the places of objects that are elements of a list within an event, false for those of events.
    is_nested: HashMap<usize, bool>,
    /// The bytes that were read.
    read: usize,
}

impl<'a> Values<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, is_nested: HashMap::new(), read: 0 }
    }

    /// Finds the first beginning of an event at or after this place.
    fn next_beginning(&mut self, from: usize) -> Option<usize> {
        let text = self.text;
        let from = (from..=text.len()).find(|at| text.is_char_boundary(*at))?;
        let found = text[from..].match_indices(BEGINNING).map(|(at, _)| from + at);
        found.filter(|at| text[..*at].ends_with(',')).find(|at| !self.is_nested(*at))
    }

    /// Returns true for an object within an event: it and its neighbours end with the list that they are in, and that
    /// is not the end of the text.
    fn is_nested(&mut self, at: usize) -> bool {
        let (mut chain, mut place) = (Vec::new(), at);
        let is_nested = loop {
            if let Some(known) = self.is_nested.get(&place) {
                break *known;
            }
            chain.push(place);
            let Some(len) = self.value_len(place) else { break false };
            let rest = &self.text[place + len..];
            match rest.strip_prefix(',') {
                Some(next) if next.starts_with(BEGINNING) => place += len + 1,
                _ => break rest.len() > 1 && rest.starts_with(']'),
            }
        };
        self.is_nested.extend(chain.into_iter().map(|place| (place, is_nested)));
        is_nested
    }

    /// Returns the length of the JSON object at this place; `None` if there is none, or the budget is spent.
    fn value_len(&mut self, at: usize) -> Option<usize> {
        let text = &self.text[at..];
        if self.read > BUDGET_FOR_BYTE * self.text.len() || !text.starts_with('{') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let (len, read) = match values.next()? {
            Ok(_) => (Some(values.byte_offset()), values.byte_offset()),
            Err(error) => (None, place_of(&error, text)),
        };
        self.read += read;
        len
    }
}

/// Returns the number of bytes before an error.
fn place_of(error: &serde_json::Error, text: &str) -> usize {
    let lines: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    lines + error.column()
}

/// Returns the length of the first character.
fn char_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Every event that a writer serialises begins with it.
const BEGINNING: &str = "{\"event_id\":";
/// A whole text is read once, and one with damaged events once or twice more.
const BUDGET_FOR_BYTE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AuditEvent, EventType};
    use proptest::prelude::*;

    /// Events with every kind of value: texts with quotes and backslashes, lists, and objects that look like events.
    fn event(n: usize) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        event.details.insert("text".into(), "\"],{\"event_id\":\\ é".into());
        let inner = serde_json::to_value(AuditEvent::new(EventType::AUTH)).unwrap();
        event.details.insert("like events".into(), vec![inner; n % 4].into());
        event
    }

    fn text_of(events: &[AuditEvent]) -> String {
        serde_json::to_string(events).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

        #[test]
        fn a_damaged_byte_costs_one_event(n in 1..6_usize, place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let events: Vec<_> = (0..n).map(event).collect();
            let mut bytes = text_of(&events).into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let text = String::from_utf8_lossy(&bytes);
            let found = pieces(&text, n);
            prop_assert_eq!(found.len(), n);
            prop_assert!(found.iter().map(|piece| piece.len()).sum::<usize>() <= text.len());
            let whole = found.iter().zip(&events);
            let whole = whole.filter(|(piece, event)| serde_json::from_str(piece).is_ok_and(|found: AuditEvent| found == **event));
            prop_assert!(whole.count() >= n - 1, "{text}");
        }

        #[test]
        fn any_bytes_have_as_many_pieces_as_they_are_to_have(text in "[\\[\\]{},:\"a\\\\#]{0,40}", n in 0..4_usize, in_array in any::<bool>()) {
            let text = if in_array { format!("[{}]", text.replace('#', BEGINNING)) } else { text.replace('#', BEGINNING) };
            let found = pieces(&text, n);
            prop_assert!(found.len() >= n);
            prop_assert!(found.iter().map(|piece| piece.len()).sum::<usize>() <= text.len());
        }

        #[test]
        fn lost_stretches_leave_the_events_around_them(from in any::<prop::sample::Index>(), len in 1..3000_usize) {
            let events: Vec<_> = (0..8).map(event).collect();
            let mut bytes = text_of(&events).into_bytes();
            let from = from.index(bytes.len());
            let end = (from + len).min(bytes.len());
            let hit = {
                let mut begin = 0;
                let ends: Vec<usize> = events.iter().map(|event| { begin += serde_json::to_string(event).unwrap().len() + 1; begin }).collect();
                let first = ends.iter().filter(|event_end| **event_end <= from).count();
                let last = ends.iter().filter(|event_end| **event_end < end).count();
                last + 1 - first
            };
            bytes[from..end].fill(0);
            let text = String::from_utf8_lossy(&bytes);
            let found = pieces(&text, 8);
            let is_there = |event: &&AuditEvent| found.iter().any(|piece| serde_json::from_str(piece).is_ok_and(|found: AuditEvent| found == **event));
            prop_assert!(events.iter().filter(is_there).count() + hit >= 8, "{text}");
            prop_assert!(found.iter().map(|piece| piece.len()).sum::<usize>() <= text.len());
        }
    }

    #[test]
    fn a_text_of_nothing_but_beginnings_takes_no_long_time() {
        let text = format!("[{{\"event_id\":[{}", format!(",{BEGINNING}[").repeat(100_000));
        assert!(pieces(&text, 3).iter().map(|piece| piece.len()).sum::<usize>() <= text.len());
    }

    /// Each value would be read to the end of the text: 45 KB are 68 MB.
    #[test]
    fn nested_lists_without_an_end_are_not_read_again_and_again() {
        let text = format!("[{}", format!("{BEGINNING}[0,").repeat(3000));
        let mut values = Values::of(&text);
        assert_eq!((values.value_len(1), values.read), (None, text.len() - 1));
        assert_eq!(parts_within(&mut values).len(), 3000);
        // The last one is read to its end.
        assert!(values.read <= (BUDGET_FOR_BYTE + 1) * text.len(), "{} of {}", values.read, text.len());
    }
}
