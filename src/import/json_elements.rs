//! The elements of a JSON array, one after the other.

use std::io::{self, BufRead};

use super::Rejection;
use super::raw_record::{MAX_RECORD_BYTES, Numbered};

/// The elements of an array, each as it stands. Only its borders are looked for; whether it is JSON is for the reader of
/// the element.
///
/// An element that does not end is torn where a line begins with `{`: no valid one has that within, except an array that
/// was indented by nothing.
#[derive(Debug)]
pub(super) struct JsonElements<R> {
    input: R,
    line: u64,
    state: State,
    /// A byte that was read and belongs to the next element.
    ahead: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Before,
    Within,
    After,
}

impl<R: BufRead> JsonElements<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 1, state: State::Before, ahead: None }
    }

    /// Returns the next element, and the line at which it begins.
    pub(super) fn next_element(&mut self) -> io::Result<Option<Numbered<Vec<u8>>>> {
        loop {
            let Some(byte) = self.byte()? else {
                let was_within = std::mem::replace(&mut self.state, State::After) == State::Within;
                // An array that does not end is not whole.
                return Ok(was_within.then_some((self.line, Err(Rejection::Torn))));
            };
            match (self.state, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n' | 0) => {}
                (State::Before, b'[') => self.state = State::Within,
                (State::Within, b',') => {}
                (State::Within, b']') => self.state = State::After,
                (State::Within, first) => return self.element(first).map(Some),
                (State::Before | State::After, first) => {
                    self.state = State::Within;
                    return self.element(first).map(Some);
                }
            }
        }
    }

    fn element(&mut self, first: u8) -> io::Result<Numbered<Vec<u8>>> {
        let begin = self.line;
        let (mut element, mut is_too_long, mut is_torn) = (Vec::new(), false, false);
        let (mut depth, mut in_text, mut is_escaped, mut after_line) = (0_usize, false, false, false);
        let mut next = Some(first);
        loop {
            let Some(byte) = next else {
                is_torn |= depth > 0 || in_text;
                break;
            };
            if after_line && byte == b'{' && depth > 0 {
                // Another element begins.
                self.ahead = Some(byte);
                is_torn = true;
                break;
            }
            if depth == 0 && !in_text && matches!(byte, b',' | b']' | b'\n') {
                self.ahead = Some(byte);
                if byte == b'\n' {
                    self.ahead = None;
                }
                break;
            }
            after_line = byte == b'\n';
            if after_line && in_text {
                // No text of JSON has a line feed in it.
                (in_text, is_torn) = (false, true);
            }
            match (in_text, byte) {
                (true, b'\\') => is_escaped = !is_escaped,
                (true, b'"') if !is_escaped => in_text = false,
                (true, _) => is_escaped = false,
                (false, b'"') => (in_text, is_escaped) = (true, false),
                (false, b'{' | b'[') => depth += 1,
                (false, b'}' | b']') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if element.len() == MAX_RECORD_BYTES {
                is_too_long = true;
                element.clear();
            }
            if !is_too_long {
                element.push(byte);
            }
            if depth == 0 && !in_text && matches!(byte, b'}' | b']') {
                break;
            }
            next = self.byte()?;
        }
        let content = match (is_too_long, is_torn) {
            (true, _) => Err(Rejection::TooLong),
            (false, true) => Err(Rejection::Torn),
            (false, false) => Ok(element.trim_ascii().to_vec()),
        };
        Ok((begin, content))
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.ahead.take() {
            return Ok(Some(byte));
        }
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(chunk) => {
                    let Some(byte) = chunk.first().copied() else { return Ok(None) };
                    self.input.consume(1);
                    self.line += u64::from(byte == b'\n');
                    return Ok(Some(byte));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<(u64, Result<String, Rejection>)> {
        let mut elements = JsonElements::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some((line, element)) = elements.next_element().unwrap() {
            found.push((line, element.map(|bytes| String::from_utf8(bytes).unwrap())));
        }
        found
    }

    #[test]
    fn elements_are_found_in_any_layout() {
        let one = |line, text: &str| (line, Ok(text.to_owned()));
        for (text, expected) in [
            ("[]", vec![]),
            (
                "[\n{\"a\":1},\n{\"b\":\"]},{[\\\"\\\\\"}\n]\n",
                vec![one(2, "{\"a\":1}"), one(3, "{\"b\":\"]},{[\\\"\\\\\"}")],
            ),
            ("[{\"a\":[{}]},{\"b\":2}]", vec![one(1, "{\"a\":[{}]}"), one(1, "{\"b\":2}")]),
            (
                "[\n  {\n    \"a\": {}\n  },\n  7,\n  \"x\"]",
                vec![one(2, "{\n    \"a\": {}\n  }"), one(5, "7"), one(6, "\"x\"")],
            ),
        ] {
            assert_eq!(elements(text), expected, "{text}");
        }
    }

    #[test]
    fn a_torn_element_takes_no_other_with_it() {
        let torn = "[\n{\"a\":1},\n{\"b\":\"x\n{\"c\":3},\n{\"d\":{\n{\"e\":5}\n]\n";
        let found = elements(torn);
        let whole: Vec<_> =
            found.iter().filter_map(|(line, element)| Some((*line, element.as_deref().ok()?))).collect();
        assert_eq!(whole, [(2, "{\"a\":1}"), (4, "{\"c\":3}"), (6, "{\"e\":5}")]);
        let lines: Vec<_> = found.iter().filter(|(_, element)| element.is_err()).map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 5]);
        // An array that is cut off.
        assert_eq!(elements("[\n{\"a\":1},\n{\"b\":").last(), Some(&(3, Err(Rejection::Torn))));
        assert_eq!(elements("[\n{\"a\":1}\n").last(), Some(&(3, Err(Rejection::Torn))));
    }
}
