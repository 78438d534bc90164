//! Percent-decoding (RFC 3986, section 2.1).

use smallvec::SmallVec;

/// Decoded bytes; without an allocation while they are few.
pub(super) type Bytes = SmallVec<[u8; 256]>;

/// Decodes every escape once. An incomplete escape stays as it is: `%61%6` is `a%6`.
pub(super) fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let &byte = text.get(at)?;
        let escaped = match text.get(at..at + 3) {
            Some(&[b'%', high, low]) => byte_of(high, low),
            _ => None,
        };
        at += if escaped.is_some() { 3 } else { 1 };
        Some(escaped.unwrap_or(byte))
    })
}

/// Decodes until no escape is left: `%252561` is `a`.
pub(super) fn fully_decoded(text: &[u8]) -> Bytes {
    let mut bytes = Bytes::with_capacity(text.len());
    for &byte in text {
        bytes.push(byte);
        // A decoded byte may complete another escape: `%25` before `61`.
        while let [.., b'%', high, low] = *bytes
            && let Some(byte) = byte_of(high, low)
        {
            bytes.truncate(bytes.len() - 3);
            bytes.push(byte);
        }
    }
    bytes
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decoding_once() {
        let text = |text: &str| decoded(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(text("%61%2F%2f%C3%A9"), "a//é".as_bytes());
        assert_eq!(text("%%61%6"), b"%a%6");
        assert_eq!(text("%2561"), b"%61");
        assert_eq!(text("%+1"), b"%+1");
    }

    proptest! {
        #[test]
        fn decoding_fully_is_decoding_until_nothing_changes(text in "(%|25|2|5|6|1|a|/){0,24}") {
            let mut expected = text.clone().into_bytes();
            loop {
                let next: Vec<u8> = decoded(&expected).collect();
                if next == expected {
                    break;
                }
                expected = next;
            }
            prop_assert_eq!(fully_decoded(text.as_bytes()).to_vec(), expected);
        }
    }
}
