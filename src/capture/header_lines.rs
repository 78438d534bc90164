//! The lines of one header.

use http::HeaderValue;

use crate::event::limits::MAX_HEADER_BYTES;
use crate::event::{CompactText, truncate_bytes};

/// The lines of one header, in the order in which they came. Of nearly every header there is one, which allocates nothing.
#[derive(Default)]
pub(super) struct HeaderLines {
    first: Option<HeaderValue>,
    /// Boxed, for there are hardly ever any, and every request drops the room for them.
    more: Option<Box<MoreLines>>,
}

#[derive(Default)]
struct MoreLines(Vec<HeaderValue>);

/// The maximum number of further keys of a header that are kept: more than an event names, so that it says that there were more.
const MAX_MORE_KEYS: usize = 16;
/// The maximum number of lines of a proxies' header that are read: the last ones.
const MAX_FORWARDED_LINES: usize = 16;

impl HeaderLines {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let more = self.more.iter().flat_map(|more| &more.0);
        self.first.iter().chain(more).map(HeaderValue::as_bytes)
    }

    /// Adds a line of a header that may have a key in it.
    pub(super) fn push_key(&mut self, line: &HeaderValue, key_in: impl Fn(&[u8]) -> Option<&[u8]>) {
        if self.first.is_none() {
            self.first = Some(line.clone());
            return;
        }
        // A line without a key, or with one that is known, leaves no room for others if it is kept.
        let key = key_in(line.as_bytes());
        if key.is_some() && self.iter().count() <= MAX_MORE_KEYS && !self.iter().any(|known| key_in(known) == key) {
            self.more.get_or_insert_default().0.push(line.clone());
        }
    }

    /// Adds a line. Of more than [`MAX_FORWARDED_LINES`], the last ones are kept.
    pub(super) fn push_last(&mut self, line: &HeaderValue) {
        if self.first.is_none() {
            self.first = Some(line.clone());
            return;
        }
        let more = &mut self.more.get_or_insert_default().0;
        if more.len() + 1 == MAX_FORWARDED_LINES {
            self.first = Some(more.remove(0));
        }
        more.push(line.clone());
    }

    /// The lines as one list (RFC 9110 section 5.3).
    pub(super) fn joined(&self) -> Option<CompactText> {
        let first = self.first.as_ref()?;
        if self.more.is_none() {
            return Some(truncate_bytes(first.as_bytes(), MAX_HEADER_BYTES).into());
        }
        let all = self.iter().collect::<Vec<_>>().join(&b", "[..]);
        Some(truncate_bytes(&all, MAX_HEADER_BYTES).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut lines = HeaderLines::default();
        assert_eq!(lines.joined(), None);
        for number in 0..20_u16 {
            lines.push_last(&number.into());
        }
        let kept: Vec<String> = (4..20).map(|number: u16| number.to_string()).collect();
        assert_eq!(lines.joined().as_deref(), Some(kept.join(", ").as_str()));
    }

    #[test]
    fn of_keys_each_is_kept_once_and_the_first_ones() {
        let mut lines = HeaderLines::default();
        fn same(line: &[u8]) -> Option<&[u8]> {
            Some(line).filter(|line| !line.is_empty())
        }
        for line in ["", "a", "a", "", "b"] {
            lines.push_key(&HeaderValue::from_static(line), same);
        }
        assert_eq!(lines.iter().collect::<Vec<_>>(), [&b""[..], b"a", b"b"]);
        for number in 0..100_u16 {
            lines.push_key(&number.into(), same);
        }
        assert_eq!(lines.iter().count(), 1 + MAX_MORE_KEYS);
    }
}
