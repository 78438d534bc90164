//! Values that look like credentials, wherever they stand. `docs/capture.md` lists them.

use std::borrow::Cow;

use super::secret_names::HIDDEN;

/// Puts `***` in the place of everything in the text that looks like a credential: the token behind `Bearer` or `Basic`, a
/// JWT, the number of a payment card, a PEM block.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut masked, mut copied, mut at) = (String::new(), 0, 0);
    let mut run = TokenRun::default();
    while at < bytes.len() {
        let is_begin =
            at == 0 || bytes[at] == b'-' || !bytes[at - 1].is_ascii_alphanumeric() || is_after_escape(bytes, at);
        match Some(at).filter(|_| is_begin).and_then(|at| secret_at(text, at, &mut run)) {
            Some((begin, end)) => {
                masked.push_str(&text[copied..begin]);
                masked.push_str(HIDDEN);
                (copied, at) = (end, end);
            }
            None => at += 1,
        }
    }
    if copied == 0 && masked.is_empty() {
        return text.into();
    }
    masked.push_str(&text[copied..]);
    masked.into()
}

/// Returns true if `%` and two hexadecimal digits stand before this place, or such an escape escaped: a header may have a URL
/// in it, and that one in a parameter.
fn is_after_escape(bytes: &[u8], at: usize) -> bool {
    let Some((mut before, digits)) = bytes[..at].split_last_chunk::<2>() else { return false };
    for _ in 0..ESCAPED_AGAIN {
        before = before.strip_suffix(b"25").unwrap_or(before);
    }
    before.ends_with(b"%") && digits.iter().all(u8::is_ascii_hexdigit)
}

/// The place of a secret that begins here: only ASCII is looked at, so both ends are between characters.
fn secret_at(text: &str, at: usize, run: &mut TokenRun) -> Option<(usize, usize)> {
    let rest = &text.as_bytes()[at..];
    match rest.first()? {
        b'-' => pem(text, at).map(|end| (at, end)),
        b'B' | b'b' => scheme(rest).map(|(begin, end)| (at + begin, at + end)),
        b'e' if rest.starts_with(b"eyJ") => run.jwt_at(text.as_bytes(), at).map(|end| (at, end)),
        b'2'..=b'6' => card(rest).map(|end| (at, at + end)),
        _ => None,
    }
}

/// `-----BEGIN … -----END …-----`; without an end, all that follows.
fn pem(text: &str, at: usize) -> Option<usize> {
    const END: &str = "-----END ";
    let rest = text[at..].strip_prefix("-----BEGIN ")?;
    let from = text.len() - rest.len();
    let Some(end) = rest.find(END).map(|end| from + end + END.len()) else { return Some(text.len()) };
    Some(text[end..].find("-----").map_or(text.len(), |dashes| end + dashes + 5))
}

/// The token behind `Bearer` or `Basic` (RFC 9110 section 11.4: token68).
fn scheme(rest: &[u8]) -> Option<(usize, usize)> {
    const SCHEMES: [&[u8]; 2] = [b"bearer", b"basic"];
    let scheme =
        SCHEMES.into_iter().find(|name| rest.get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name)))?;
    let blanks = blanks(&rest[scheme.len()..]);
    if blanks == 0 {
        return None;
    }
    let begin = scheme.len() + blanks;
    let is_token = |b: &&u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
    let length = rest[begin..].iter().take_while(is_token).count();
    (length >= MIN_TOKEN_BYTES).then_some((begin, begin + length))
}

/// The number of bytes of the blanks at the beginning: as they are, or escaped as in a URL.
fn blanks(text: &[u8]) -> usize {
    let mut rest = text;
    loop {
        rest = match rest {
            [b' ' | b'\t', after @ ..] | [b'%', b'2', b'0', after @ ..] | [b'%', b'0', b'9', after @ ..] => after,
            // A form's blank; one that belongs to the token is not first.
            [b'+', after @ ..] if rest.len() == text.len() => after,
            _ => return text.len() - rest.len(),
        };
    }
}

/// A run of the characters of a JWT, read once however often a JWT seems to begin in it.
#[derive(Debug, Default)]
struct TokenRun {
    /// The place from which `dots` counts.
    from: usize,
    end: usize,
    dots: usize,
    /// The number of dots at the end: a sentence may end behind a JWT.
    last_dots: usize,
}

impl TokenRun {
    /// The end of a JWT that begins here: three or five parts between dots, the first of which is a JSON object in base64url
    /// (RFC 7519).
    fn jwt_at(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let dots = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'.').count();
        if at >= self.end {
            let is_jwt = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            self.end = at + bytes[at..].iter().take_while(is_jwt).count();
            self.dots = dots(&bytes[at..self.end]);
            self.last_dots = bytes[at..self.end].iter().rev().take_while(|byte| **byte == b'.').count();
        } else {
            self.dots -= dots(&bytes[self.from..at]);
        }
        self.from = at;
        // An unsecured JWT ends in a dot of its own.
        let possible = self.dots - self.last_dots..=self.dots;
        let own = [4, 2].into_iter().find(|own| possible.contains(own))?;
        Some(self.end - (self.dots - own))
    }
}

/// 13 to 19 digits, with single blanks or hyphens between them, whose last one is right by Luhn (ISO/IEC 7812-1).
fn card(rest: &[u8]) -> Option<usize> {
    let mut digits = Vec::with_capacity(MAX_CARD_DIGITS);
    let mut end = 0;
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' if digits.len() == MAX_CARD_DIGITS => return None,
            b'0'..=b'9' => {
                digits.push(byte - b'0');
                end = at + 1;
            }
            b' ' | b'-' if end == at => {}
            _ => break,
        }
    }
    let is_end = rest.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let sum: u32 = digits.iter().rev().enumerate().map(|(at, digit)| luhn(at, *digit)).sum();
    (digits.len() >= MIN_CARD_DIGITS && is_end && sum.is_multiple_of(10)).then_some(end)
}

/// Every second digit from the right counts twice; of 18, the sum of its digits is 9.
fn luhn(from_right: usize, digit: u8) -> u32 {
    let value = u32::from(digit) << (from_right % 2);
    if value > 9 { value - 9 } else { value }
}

/// The shortest token that is masked: `Bearer of news` is none.
const MIN_TOKEN_BYTES: usize = 6;
/// The largest number of times that an escape is escaped.
const ESCAPED_AGAIN: usize = 2;
const MIN_CARD_DIGITS: usize = 13;
const MAX_CARD_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_masked_and_nothing_else() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        let jwe = "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn";
        let pem = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----";
        for (text, masked) in [
            ("Bearer abc.DEF-123", "Bearer ***"),
            ("authorization: bEaReR  c2VjcmV0 and more", "authorization: bEaReR  *** and more"),
            ("Basic YWxpY2U6c2VjcmV0", "Basic ***"),
            (&format!("a {jwt}, b"), "a ***, b"),
            (jwe, "***"),
            (&format!("It was {jwt}. Then {jwe}..."), "It was ***. Then ***..."),
            ("eyJhbGciOiJub25lIn0.e30.", "***"),
            (&format!("eyJ-{jwt} eyJ.eyJ-x"), "*** eyJ.eyJ-x"),
            ("4111 1111 1111 1111", "***"),
            ("card=5500-0000-0000-0004.", "card=***."),
            ("378282246310005", "***"),
            ("Bearer\tabc.DEF-123", "Bearer\t***"),
            ("/in?next=%2Fcb%3Fauth%3DBearer%20c2VjcmV0%26a", "/in?next=%2Fcb%3Fauth%3DBearer%20***%26a"),
            ("auth=Basic+YWxpY2U6c2VjcmV0", "auth=Basic+***"),
            (&format!("/cb%3Ftoken%3D{jwt}%26b"), "/cb%3Ftoken%3D***%26b"),
            (&format!("/in?next=%2Fcb%253Ftoken%253D{jwt}"), "/in?next=%2Fcb%253Ftoken%253D***"),
            ("card%3D4111111111111111", "card%3D***"),
            ("card3D4111111111111111", "card3D4111111111111111"),
            (&format!("x{pem}y{pem}"), "x***y***"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIB", "***"),
            ("Bearer of news", "Bearer of news"),
            ("4111 1111 1111 1112", "4111 1111 1111 1112"),
            ("1764500000000", "1764500000000"),
            ("41111111111111110000000", "41111111111111110000000"),
            ("a4111111111111111", "a4111111111111111"),
            ("eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9"),
            ("forbearer secret", "forbearer secret"),
            ("é Bearer sécret — ü", "é Bearer sécret — ü"),
            ("", ""),
        ] {
            assert_eq!(mask(text), masked, "{text}");
        }
    }

    /// A megabyte of beginnings would be read a hundred thousand times.
    #[test]
    fn a_run_is_read_once_for_all_tokens_that_seem_to_begin_in_it() {
        let mut run = TokenRun::default();
        assert_eq!(run.jwt_at(b"eyJ-eyJ.a.b.c", 0), None);
        assert_eq!(run.jwt_at(b"eyJ-eyJ.a.b c", 4), None, "what was read is not read again");
        assert_eq!(TokenRun::default().jwt_at(b"eyJ-eyJ.a.b c", 4), Some(11));
    }

    #[test]
    fn the_manual_names_each_kind() {
        const MANUAL: &str = include_str!("../../docs/capture.md");
        for kind in ["`Bearer` or `Basic`", "JWT", "payment card", "PEM block"] {
            assert!(MANUAL.contains(kind), "{kind} is not in docs/capture.md");
        }
    }
}
