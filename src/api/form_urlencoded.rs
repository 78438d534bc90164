//! The percent encoding of query strings.

use std::borrow::Cow;

/// Decodes a value of a form. Invalid UTF-8 is an error, not U+FFFD: a filter would match other text than was given.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if !text.contains(['%', '+', '\0']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let pair = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                pair.ok_or("has a % that two hexadecimal digits do not follow")?
            }
            plain => plain,
        });
    }
    if bytes.contains(&0) {
        return Err("has U+0000 in it, which no event has");
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| "is not UTF-8")
}

/// Percent-encodes everything but ASCII letters, digits and `-._~` (RFC 3986, unreserved).
pub(crate) fn encode_into(query: &mut String, value: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push('%');
            query.push(char::from(DIGITS[usize::from(byte >> 4)]));
            query.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}
