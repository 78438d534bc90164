//! JSON that is written by hand: names are copied with their quotes, and texts are searched for escapes eight bytes at a time.

use serde_json::Result;

use super::details::{self, Details};

/// A value that is appended to a text as JSON.
pub(crate) trait WriteJson {
    /// Appends the bytes of `serde_json::to_writer`.
    ///
    /// # Errors
    /// Those of `serde_json`.
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()>;
}

/// Appends an entry of an object. `name`: a comma, the quoted name, and a colon.
#[inline]
pub(super) fn write_entry(to: &mut Vec<u8>, name: &'static str, value: &impl WriteJson) -> Result<()> {
    // The first entry has no comma before it.
    let begin = usize::from(to.last() == Some(&b'{'));
    to.extend_from_slice(&name.as_bytes()[begin..]);
    value.write_json(to)
}

/// Appends the entries of an object that the format does not know. `reserved`: the names that it has for itself there.
#[inline]
pub(super) fn write_extra(to: &mut Vec<u8>, extra: &Details, reserved: &[&str]) -> Result<()> {
    if extra.is_empty() {
        return Ok(());
    }
    for (name, value) in &*details::apart(extra, reserved) {
        if to.last() != Some(&b'{') {
            to.push(b',');
        }
        write_text(to, name)?;
        to.push(b':');
        serde_json::to_writer(&mut *to, value)?;
    }
    Ok(())
}

pub(super) fn write_text(to: &mut Vec<u8>, text: &str) -> Result<()> {
    if needs_escape(text.as_bytes()) {
        return serde_json::to_writer(to, text);
    }
    to.reserve(text.len() + 2);
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
    Ok(())
}

/// Returns true if a text with these bytes has a character that JSON escapes: a quote, a backslash, or a control character.
///
/// Eight bytes at a time: a word has a byte below N if subtracting N from each of its bytes sets a high bit that was not set.
pub(crate) fn needs_escape(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & (ONES << 7);
    let escapes_in = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        below(word, b' ') | equal(b'"') | equal(b'\\')
    };
    // The last word overlaps the one before.
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\');
    };
    bytes.as_chunks().0.iter().fold(escapes_in(last), |escapes, word| escapes | escapes_in(word)) != 0
}

impl<T: WriteJson> WriteJson for Option<T> {
    #[inline]
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        if let Some(value) = self {
            return value.write_json(to);
        }
        to.extend_from_slice(b"null");
        Ok(())
    }
}

impl WriteJson for u64 {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        let mut digits = [0; 20];
        let (mut begin, mut left) = (digits.len(), *self);
        loop {
            begin -= 1;
            digits[begin] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        to.extend_from_slice(&digits[begin..]);
        Ok(())
    }
}

impl WriteJson for Details {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        if self.is_empty() {
            to.extend_from_slice(b"{}");
            return Ok(());
        }
        serde_json::to_writer(to, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_found_at_every_place() {
        for length in 0..40 {
            for fill in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                let mut bytes = vec![fill; length];
                assert!(!needs_escape(&bytes), "{length} {fill}");
                for place in 0..length {
                    for escaped in [0, 1, 0x1f, b'"', b'\\'] {
                        bytes[place] = escaped;
                        assert!(needs_escape(&bytes), "{length} {fill} {place} {escaped}");
                    }
                    bytes[place] = fill;
                }
            }
        }
    }
}
