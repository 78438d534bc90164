//! The hops that a proxies' header names.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::event::address::{self, is_port, node, plain_text};

/// The members of the list that a header line is, from left to right: the address of each, none where it names no
/// address. An error is the last one: the line is no such list.
pub(super) trait ForwardedHops: Iterator<Item = Result<Option<IpAddr>, MalformedHop>> {}

impl<I: Iterator<Item = Result<Option<IpAddr>, MalformedHop>>> ForwardedHops for I {}

/// A header line that its grammar does not know.
pub(super) struct MalformedHop;

/// Reads a line of `X-Forwarded-For`. No standard says what is in it; proxies write addresses between commas.
///
/// Taken are all forms of an address that [`address::read`] knows.
pub(super) fn in_x_forwarded_for(line: &[u8]) -> impl ForwardedHops {
    line.split(|byte| *byte == b',')
        .map(trimmed)
        .filter(|member| !member.is_empty())
        .map(|member| Ok(address::read(member)))
}

/// Reads a line of `Forwarded` by RFC 7239 section 4. Blanks around `;`, which its grammar does not have, are passed
/// over: people write them, and they mean nothing else.
pub(super) fn in_forwarded(line: &[u8]) -> impl ForwardedHops {
    Elements { rest: line }
}

/// ```text
/// Forwarded         = 1#forwarded-element                                        RFC 7239 section 4
/// forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
/// forwarded-pair    = token "=" value
/// value             = token / quoted-string
/// #element          = [ element ] *( OWS "," OWS [ element ] )                   RFC 9110 section 5.6.1.2
/// ```
struct Elements<'h> {
    rest: &'h [u8],
}

impl Iterator for Elements<'_> {
    type Item = Result<Option<IpAddr>, MalformedHop>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.skip_blanks();
            match self.rest.first()? {
                // An empty member is none.
                b',' => self.skip(1),
                _ => break,
            }
        }
        let element = self.element();
        if element.is_err() {
            self.rest = &[];
        }
        Some(element)
    }
}

impl<'h> Elements<'h> {
    fn element(&mut self) -> Result<Option<IpAddr>, MalformedHop> {
        let mut hop = None;
        let mut is_named = false;
        loop {
            self.skip_blanks();
            match self.rest.first() {
                None | Some(b',') => return Ok(hop),
                Some(b';') => self.skip(1),
                Some(_) => {
                    let (name, value) = self.pair()?;
                    if name.eq_ignore_ascii_case(b"for") {
                        // "Each parameter MUST NOT occur more than once" (section 4): then nobody knows which one counts.
                        hop = if is_named { None } else { node(&value, plain_text, is_forwarded_port) };
                        is_named = true;
                    }
                    self.skip_blanks();
                    if !matches!(self.rest.first(), None | Some(b',' | b';')) {
                        return Err(MalformedHop);
                    }
                }
            }
        }
    }

    fn pair(&mut self) -> Result<(&'h [u8], Cow<'h, [u8]>), MalformedHop> {
        let name = self.token()?;
        self.rest = self.rest.strip_prefix(b"=").ok_or(MalformedHop)?;
        let value = match self.rest.strip_prefix(b"\"") {
            Some(rest) => {
                self.rest = rest;
                self.quoted_string()?
            }
            None => Cow::Borrowed(self.token()?),
        };
        Ok((name, value))
    }

    /// `token = 1*tchar` (RFC 9110 section 5.6.2).
    fn token(&mut self) -> Result<&'h [u8], MalformedHop> {
        let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let len = self.rest.iter().position(|byte| !is_tchar(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest;
        if token.is_empty() { Err(MalformedHop) } else { Ok(token) }
    }

    /// Reads a quoted string after its first quote (RFC 9110 section 5.6.4):
    ///
    /// ```text
    /// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
    /// qdtext        = HTAB / SP / %x21 / %x23-5B / %x5D-7E / obs-text
    /// quoted-pair   = "\" ( HTAB / SP / VCHAR / obs-text )
    /// ```
    fn quoted_string(&mut self) -> Result<Cow<'h, [u8]>, MalformedHop> {
        let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        let given = self.rest;
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = 0;
        loop {
            let byte = match given.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let before = &given[..at];
                    unescaped.get_or_insert_with(|| before.to_vec());
                    at += 1;
                    given.get(at)
                }
                byte => byte,
            };
            let byte = *byte.filter(|byte| is_text(**byte)).ok_or(MalformedHop)?;
            if let Some(unescaped) = &mut unescaped {
                unescaped.push(byte);
            }
            at += 1;
        }
        self.rest = &given[at + 1..];
        Ok(unescaped.map_or(Cow::Borrowed(&given[..at]), Cow::Owned))
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}

/// `obfport = "_" 1*( ALPHA / DIGIT / "." / "_" / "-" )`
fn is_forwarded_port(port: &[u8]) -> bool {
    let is_hidden =
        |name: &[u8]| !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    is_port(port) || port.strip_prefix(b"_").is_some_and(is_hidden)
}

fn trimmed(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |end| end + 1);
    &text[start..end]
}
