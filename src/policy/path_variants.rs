//! The readings of a path: every way in which an app may plausibly understand it.
//!
//! A path is split at `/`, or also at `%2f`; `.` and `..` stay in place, are dropped (`.` only) or are resolved, as
//! they are written or also as `%2e`; a `..` takes away the segment before it, or the last one that is not empty;
//! segments are compared as they are written or decoded. Apart from that, empty segments never count. All of it takes
//! time linear in the path, and room for as many segments as the longest pattern has.

use smallvec::SmallVec;

/// One way to read a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathVariant<'r, 'p> {
    /// The first segments, as they are written: as many as any pattern looks at.
    pub(super) segments: &'r [&'p [u8]],
    /// How many segments there are in all; beyond what any pattern looks at, it may be too low.
    pub(super) total: usize,
    /// Whether they mean what they decode to.
    pub(super) decode: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DotSegments {
    Literal,
    /// `.` is left out, `..` stays.
    SkipSingle,
    /// `..` takes away the segment before it that is not empty.
    Resolve,
    /// `..` takes away the segment before it, be it empty, as RFC 3986 has it.
    ResolveRfc3986,
}

type Segments<'p> = SmallVec<[&'p [u8]; 16]>;

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
pub(super) fn each_variant(path: &str, limit: usize, mut visit: impl FnMut(PathVariant<'_, '_>) -> bool) {
    let path = path.as_bytes();
    let encoded = path.contains(&b'%');
    // Without `%`, splitting and decoding make no difference; without `..`, nothing is to be resolved.
    let choices: &[bool] = if encoded { &[false, true] } else { &[false] };
    let climbs = encoded || path.windows(2).any(|pair| pair == b"..");
    let dots: &[DotSegments] = match climbs {
        true => &[DotSegments::Literal, DotSegments::SkipSingle, DotSegments::Resolve, DotSegments::ResolveRfc3986],
        false => &[DotSegments::Literal, DotSegments::SkipSingle],
    };
    for &split_encoded in choices {
        for &dots in dots {
            for &encoded_dots in choices {
                if dots == DotSegments::Literal && encoded_dots {
                    continue;
                }
                let split = SegmentIter { remaining: Some(path), encoded: split_encoded };
                let (segments, total) = match dots {
                    DotSegments::Literal | DotSegments::SkipSingle => split_literal(split, limit, dots, encoded_dots),
                    DotSegments::Resolve | DotSegments::ResolveRfc3986 => {
                        split_resolved(split, limit, dots, encoded_dots)
                    }
                };
                for &decode in choices {
                    if visit(PathVariant { segments: &segments, total, decode }) {
                        return;
                    }
                }
            }
        }
    }
}

fn split_literal(split: SegmentIter<'_>, limit: usize, dots: DotSegments, encoded_dots: bool) -> (Segments<'_>, usize) {
    let is_left_out = |segment: &[u8]| dots == DotSegments::SkipSingle && dot_count(segment, encoded_dots) == 1;
    let mut kept = Segments::new();
    let mut total = 0;
    for segment in split.filter(|segment| !segment.is_empty() && !is_left_out(segment)) {
        total += 1;
        // One more than any pattern looks at says enough.
        if total > limit {
            break;
        }
        kept.push(segment);
    }
    (kept, total)
}

/// From the end, each `..` waits for the next segment that it takes away. So nothing has to be remembered but a count,
/// however deep the path is; what waits in vain would have led above the root.
fn split_resolved(
    split: SegmentIter<'_>,
    limit: usize,
    dots: DotSegments,
    encoded_dots: bool,
) -> (Segments<'_>, usize) {
    let from_the_end = || {
        let mut waiting = 0_usize;
        split.clone().rev().filter(move |segment| {
            if segment.is_empty() && dots == DotSegments::Resolve {
                return false;
            }
            match dot_count(segment, encoded_dots) {
                1 => false,
                2 => {
                    waiting += 1;
                    false
                }
                _ if waiting > 0 => {
                    waiting -= 1;
                    false
                }
                _ => !segment.is_empty(),
            }
        })
    };
    let total = from_the_end().count();
    let mut kept: Segments<'_> = from_the_end().skip(total.saturating_sub(limit)).collect();
    kept.reverse();
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
            for byte in percent_decoded(segment) {
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
#[derive(Clone)]
struct SegmentIter<'p> {
    remaining: Option<&'p [u8]>,
    encoded: bool,
}

impl<'p> SegmentIter<'p> {
    /// How many bytes of a separator begin here.
    fn separator(&self, rest: &[u8], at: usize) -> Option<usize> {
        match rest.get(at) {
            Some(b'/') => Some(1),
            Some(b'%') if self.encoded => matches!(rest.get(at + 1..at + 3), Some([b'2', b'f' | b'F'])).then_some(3),
            _ => None,
        }
    }

    /// Goes on after (or before) the separator found, or ends.
    fn cut(&mut self, found: Option<(&'p [u8], &'p [u8])>, rest: &'p [u8]) -> &'p [u8] {
        self.remaining = found.map(|(_, others)| others);
        found.map_or(rest, |(segment, _)| segment)
    }
}

impl<'p> Iterator for SegmentIter<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let rest = self.remaining?;
        let found = (0..rest.len()).find_map(|at| {
            let width = self.separator(rest, at)?;
            Some((rest.get(..at)?, rest.get(at + width..)?))
        });
        Some(self.cut(found, rest))
    }
}

impl<'p> DoubleEndedIterator for SegmentIter<'p> {
    fn next_back(&mut self) -> Option<&'p [u8]> {
        let rest = self.remaining?;
        let found = (0..rest.len()).rev().find_map(|at| {
            let width = self.separator(rest, at)?;
            Some((rest.get(at + width..)?, rest.get(..at)?))
        });
        Some(self.cut(found, rest))
    }
}

/// The bytes that a percent-encoded text means; an incomplete escape means itself.
pub(super) fn percent_decoded(text: &[u8]) -> impl Iterator<Item = u8> {
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
        each_variant(path, limit, |reading| {
            let segments = reading.segments.iter().map(|segment| {
                let bytes = if reading.decode { percent_decoded(segment).collect() } else { segment.to_vec() };
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
        let text = |text: &str| percent_decoded(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(text("%61%2F%2f%C3%A9"), "a//é".as_bytes());
        assert_eq!(text("%%61%6"), b"%a%6");
        assert_eq!(text("%2561"), b"%61");
        assert_eq!(text("%+1"), b"%+1");
    }

    #[test]
    fn an_empty_segment_may_be_what_is_taken_away() {
        assert_eq!(texts("/a//../b"), ["a|..|b", "a|b", "b"]);
        assert_eq!(texts("/a//..//../b"), ["a|..|..|b", "a|b", "b"]);
    }

    #[test]
    fn splitting_from_both_ends_agrees() {
        for path in ["", "/", "//", "a", "/a/b/", "a%2fb", "%2f%2F/", "%%2f%2", "%2%2f2f", "/%2"] {
            for encoded in [false, true] {
                let split = SegmentIter { remaining: Some(path.as_bytes()), encoded };
                let mut back: Vec<_> = split.clone().rev().collect();
                back.reverse();
                assert_eq!(split.collect::<Vec<_>>(), back, "{path} {encoded}");
            }
        }
    }

    #[test]
    fn only_as_many_segments_are_kept_as_are_looked_at() {
        let deep = format!("/{}", "a/".repeat(100_000));
        assert_eq!(readings(&deep, 3), [("a|a|a".to_owned(), 4)]);
        // Deeper than the limit and back again.
        let back = format!("{deep}{}", "../".repeat(99_999));
        assert!(readings(&back, 3).contains(&("a".to_owned(), 1)));
    }
}
