//! The readings of a path: every way in which an app may plausibly understand it.
//!
//! A path is split at `/`, or also at `%2f`; `.` and `..` stay in place, are dropped (`.` only) or are resolved, as
//! they are written or also as `%2e`; segments are compared as they are written or decoded. Empty segments never
//! count. All of that takes time linear in the path, and room for as many segments as the longest pattern has.

use smallvec::SmallVec;

/// One way to read a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'r, 'p> {
    /// The first segments, as they are written: as many as any pattern looks at.
    pub(super) segments: &'r [&'p [u8]],
    /// How many segments there are in all; beyond what any pattern looks at, it may be too low.
    pub(super) total: usize,
    /// Whether they mean what they decode to.
    pub(super) decode: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    Kept,
    Skipped,
    Resolved,
}

/// Whether a path has one reading only, so that it can be compared as it stands.
pub(super) fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let plain = byte != b'%' && !(after_slash && matches!(byte, b'/' | b'.'));
            after_slash = byte == b'/';
            plain
        })
}

/// Shows every reading of `path` to `visit` until that says that it has seen enough. A reading has up to `limit`
/// segments.
pub(super) fn each_reading(path: &str, limit: usize, mut visit: impl FnMut(Reading<'_, '_>) -> bool) {
    let path = path.as_bytes();
    let encoded = path.contains(&b'%');
    // Without `%`, splitting and decoding make no difference.
    let choices: &[bool] = if encoded { &[false, true] } else { &[false] };
    for &split_encoded in choices {
        for dots in [Dots::Kept, Dots::Skipped, Dots::Resolved] {
            for &encoded_dots in choices {
                if dots == Dots::Kept && encoded_dots {
                    continue;
                }
                let (segments, total) = read(path, limit, split_encoded, dots, encoded_dots);
                for &decode in choices {
                    if visit(Reading { segments: &segments, total, decode }) {
                        return;
                    }
                }
            }
        }
    }
}

fn read(
    path: &[u8],
    limit: usize,
    split_encoded: bool,
    dots: Dots,
    encoded_dots: bool,
) -> (SmallVec<[&[u8]; 16]>, usize) {
    let mut kept = SmallVec::new();
    let mut total = 0_usize;
    for segment in (Split { rest: Some(path), encoded: split_encoded }) {
        if segment.is_empty() {
            continue;
        }
        let dot_count = if dots == Dots::Kept { 0 } else { dot_count(segment, encoded_dots) };
        match (dots, dot_count) {
            (_, 1) => continue,
            (Dots::Resolved, 2) => {
                total = total.saturating_sub(1);
                kept.truncate(total);
                continue;
            }
            _ => {}
        }
        if total < limit {
            kept.push(segment);
        }
        total += 1;
        // What follows can still take away segments only where `..` is resolved.
        if total > limit && dots != Dots::Resolved {
            break;
        }
    }
    (kept, total)
}

/// 1 for `.`, 2 for `..`, 0 for anything else.
fn dot_count(segment: &[u8], encoded: bool) -> usize {
    match segment {
        b"." => 1,
        b".." => 2,
        // Two dots take six bytes at the most.
        _ if encoded && segment.len() <= 6 => {
            let mut count = 0;
            for byte in decoded(segment) {
                count += 1;
                if byte != b'.' {
                    return 0;
                }
            }
            if count <= 2 { count } else { 0 }
        }
        _ => 0,
    }
}

/// The segments of a path between `/`, and, if told so, between `%2f`.
struct Split<'p> {
    rest: Option<&'p [u8]>,
    encoded: bool,
}

impl<'p> Iterator for Split<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let rest = self.rest?;
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            let width = match byte {
                b'/' => 1,
                b'%' if self.encoded && matches!(rest.get(at + 1..at + 3), Some(b"2f" | b"2F")) => 3,
                _ => {
                    at += 1;
                    continue;
                }
            };
            self.rest = rest.get(at + width..);
            return rest.get(..at);
        }
        self.rest = None;
        Some(rest)
    }
}

/// The bytes that a percent-encoded text means; an incomplete escape means itself.
pub(super) fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let &byte = text.get(at)?;
        let escaped = match text.get(at..at + 3) {
            Some(&[b'%', high, low]) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        at += if escaped.is_some() { 3 } else { 1 };
        Some(escaped.unwrap_or(byte))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(path: &str, limit: usize) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        each_reading(path, limit, |reading| {
            let segments = reading.segments.iter().map(|segment| {
                let bytes = if reading.decode { decoded(segment).collect() } else { segment.to_vec() };
                String::from_utf8_lossy(&bytes).into_owned()
            });
            found.push((segments.collect::<Vec<_>>().join("|"), reading.total));
            false
        });
        found.sort();
        found.dedup();
        found
    }

    fn texts(path: &str) -> Vec<String> {
        readings(path, 9).into_iter().map(|reading| reading.0).collect()
    }

    #[test]
    fn plain_is_what_has_one_reading() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/a/b..", "/a;v=1/é"] {
            assert!(is_plain(path), "{path}");
            assert_eq!(readings(path, 9).len(), 1, "{path}");
        }
        for path in ["", "*", "a", "//", "/a//", "/.", "/./a", "/a/..", "/.well-known", "/%61", "/a%"] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn every_reading_is_there() {
        assert_eq!(texts("//a//b/"), ["a|b"]);
        assert_eq!(texts("/a/./b"), ["a|.|b", "a|b"]);
        assert_eq!(texts("/a/../b"), ["a|..|b", "b"]);
        assert_eq!(texts("/../../a"), ["..|..|a", "a"]);
        assert_eq!(texts("/a%2Fb"), ["a%2Fb", "a/b", "a|b"]);
        assert_eq!(texts("/%61%zz%"), ["%61%zz%", "a%zz%"]);
        // Resolved as written, then decoded: what a proxy in front of a decoding app makes of it.
        assert!(texts("/x/../a/%2e%2E/b").contains(&"a|..|b".to_owned()));
        assert!(texts("/x/../a/%2e%2E/b").contains(&"b".to_owned()));
        assert!(texts("/x%2f..%2fa").contains(&"a".to_owned()));
    }

    #[test]
    fn decoding() {
        let text = |text: &str| decoded(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(text("%61%2F%2f%C3%A9"), "a//é".as_bytes());
        assert_eq!(text("%%61%6"), b"%a%6");
        assert_eq!(text("%2561"), b"%61");
        assert_eq!(text("%+1"), b"%+1");
    }

    #[test]
    fn only_as_many_segments_are_kept_as_are_looked_at() {
        let deep = format!("/{}", "a/".repeat(100_000));
        assert_eq!(readings(&deep, 3).len(), 2, "{:?}", readings(&deep, 3));
        assert!(readings(&deep, 3).iter().all(|(kept, total)| kept == "a|a|a" && *total > 3));
        // Deeper than the limit and back again.
        let back = format!("{deep}{}", "../".repeat(99_999));
        assert!(readings(&back, 3).contains(&("a".to_owned(), 1)));
    }
}
