//! The variants of a path: each way in which a proxy or an app may read it.
//!
//! A request passes several programs, and each may decode a path, merge its slashes, or resolve its dots before it looks for
//! a route. A rule matches if it matches one variant, so that no spelling gets around it. A request that is matched too often
//! leaves an event too many; one that is matched too seldom leaves none.
//!
//! | path | variants |
//! |---|---|
//! | no `%`, no `\` | dots left in place, `.` dropped, `..` resolved with empty segments (RFC 3986, section 5.2.4) and without |
//! | `%`, and no dot segments | split as sent, decoded once, and fully decoded; each segment as it is, and decoded further |
//! | `\`, or `%` with dot segments | [unordered](UnorderedSegments) |
//!
//! `%25` is an escaped `%`: a path that is decoded twice, by a proxy and by an app, has a second meaning. `\` is a slash to
//! parsers of the WHATWG's URL standard. Empty segments never count.
//!
//! Time is linear in the path. Nothing is allocated for a path of up to 256 bytes and patterns of up to 16 segments.

use smallvec::SmallVec;

use super::percent::{self, Bytes};

/// One way to read a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathVariant<'r, 'p> {
    /// The first segments, as many as the longest pattern has.
    pub(super) segments: &'r [&'p [u8]],
    /// The number of all segments. Beyond the length of the longest pattern it may be too low.
    pub(super) total: usize,
    /// The decoding of a segment before it is compared.
    pub(super) decoding: Decoding,
}

/// The decoding of a segment before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    /// None.
    AsIs,
    Once,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DotSegments {
    Literal,
    /// `.` is dropped, `..` stays.
    SkipSingle,
    /// `..` removes the last segment that is not empty.
    Resolve,
    /// `..` removes the last segment, even an empty one (RFC 3986).
    ResolveRfc3986,
}

type Segments<'p> = SmallVec<[&'p [u8]; 16]>;

/// Returns true if a path has one variant only: no `%`, `\`, `//` or `/.`.
pub(super) fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let plain = byte != b'%' && byte != b'\\' && !(after_slash && matches!(byte, b'/' | b'.'));
            after_slash = byte == b'/';
            plain
        })
}

/// Calls `visit` with each variant of `path` until it returns true. A variant has up to `limit` segments.
///
/// A path that [`UnorderedSegments::of`] takes is none for this function.
pub(super) fn each_variant(path: &str, limit: usize, mut visit: impl FnMut(PathVariant<'_, '_>) -> bool) {
    let path = path.as_bytes();
    if !path.contains(&b'%') {
        each_dot_variant(path, limit, visit);
        return;
    }
    let once: Bytes = percent::decoded(path).collect();
    let full = percent::fully_decoded(path);
    let is_full = once == full;
    let texts: &[&[u8]] = if is_full { &[path, &once] } else { &[path, &once, &full] };
    let decodings: &[Decoding] =
        if is_full { &[Decoding::AsIs, Decoding::Once] } else { &[Decoding::AsIs, Decoding::Once, Decoding::Full] };
    for text in texts {
        for backslash in [false, true] {
            if backslash && !text.contains(&b'\\') {
                continue;
            }
            let is_separator = |byte: &u8| *byte == b'/' || (backslash && *byte == b'\\');
            let (segments, total) = first_segments(text.split(is_separator), limit, DotSegments::Literal);
            // In the last text nothing is left to decode.
            let decodings = if text.contains(&b'%') { decodings } else { &decodings[..1] };
            for &decoding in decodings {
                if visit(PathVariant { segments: &segments, total, decoding }) {
                    return;
                }
            }
        }
    }
}

fn each_dot_variant(path: &[u8], limit: usize, mut visit: impl FnMut(PathVariant<'_, '_>) -> bool) {
    let climbs = path.windows(2).any(|pair| pair == b"..");
    let dots: &[DotSegments] = match climbs {
        true => &[DotSegments::Literal, DotSegments::SkipSingle, DotSegments::Resolve, DotSegments::ResolveRfc3986],
        false => &[DotSegments::Literal, DotSegments::SkipSingle],
    };
    for &dots in dots {
        let split = path.split(|byte| *byte == b'/');
        let (segments, total) = match dots {
            DotSegments::Literal | DotSegments::SkipSingle => first_segments(split, limit, dots),
            DotSegments::Resolve | DotSegments::ResolveRfc3986 => resolved_segments(split, limit, dots),
        };
        if visit(PathVariant { segments: &segments, total, decoding: Decoding::AsIs }) {
            return;
        }
    }
}

fn first_segments<'p>(split: impl Iterator<Item = &'p [u8]>, limit: usize, dots: DotSegments) -> (Segments<'p>, usize) {
    let is_skipped = |segment: &[u8]| dots == DotSegments::SkipSingle && segment == b".";
    let mut first = Segments::new();
    let mut total = 0;
    for segment in split.filter(|segment| !segment.is_empty() && !is_skipped(segment)) {
        total += 1;
        // One more than the longest pattern has is enough to know.
        if total > limit {
            break;
        }
        first.push(segment);
    }
    (first, total)
}

/// Goes from the end, and counts each `..` until a segment is removed by it: one number is remembered, however deep the path
/// is. A `..` that is left over would lead above the root.
fn resolved_segments<'p>(
    split: impl DoubleEndedIterator<Item = &'p [u8]> + Clone,
    limit: usize,
    dots: DotSegments,
) -> (Segments<'p>, usize) {
    let from_the_end = || {
        let mut pending = 0_usize;
        split.clone().rev().filter(move |segment| match *segment {
            b"" if dots == DotSegments::Resolve => false,
            b"." => false,
            b".." => {
                pending += 1;
                false
            }
            _ if pending > 0 => {
                pending -= 1;
                false
            }
            segment => !segment.is_empty(),
        })
    };
    let total = from_the_end().count();
    let mut first: Segments<'_> = from_the_end().skip(total.saturating_sub(limit)).collect();
    first.reverse();
    (first, total)
}

/// The segments of a path whose dots may be resolved before or after it is split.
///
/// ```text
/// /p%2fq/../auth%2fadmin/u   resolved, then decoded: /auth/admin/u
///                            decoded, then resolved: /p/auth/admin/u
/// /auth\x\../admin/u         …
/// ```
///
/// Every program between client and handler removes segments and none reorders them. So whatever they make of the path, its
/// segments come in this order among those of the fully decoded path, split at `/` and `\`. A pattern matches if its literal
/// segments do. That matches too much, and no client that is not hostile sends such a path.
#[derive(Debug)]
pub(super) struct UnorderedSegments(Bytes);

impl UnorderedSegments {
    /// Returns the segments of a path that has `\`, or dot segments and `%`.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.as_bytes();
        let has_backslash = path.contains(&b'\\');
        if !has_backslash && !path.contains(&b'%') {
            return None;
        }
        let text = percent::fully_decoded(path);
        let has_dots = || text.split(is_any_separator).any(|segment| segment == b"." || segment == b"..");
        (has_backslash || has_dots()).then_some(Self(text))
    }

    /// Returns the segments of a literal that may itself be escaped, as they are to be found among those of a path.
    pub(super) fn of_literal(literal: &str) -> Vec<Box<[u8]>> {
        let text = percent::fully_decoded(literal.as_bytes());
        Self(text).iter().map(Box::from).collect()
    }

    /// Returns the segments without those that may be removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(is_any_separator).filter(|segment| !matches!(*segment, b"" | b"." | b".."))
    }
}

fn is_any_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants(path: &str, limit: usize) -> Vec<(String, usize)> {
        let mut variants = Vec::new();
        each_variant(path, limit, |variant| {
            let segments = variant.segments.iter().map(|segment| {
                let bytes: Vec<u8> = match variant.decoding {
                    Decoding::AsIs => segment.to_vec(),
                    Decoding::Once => percent::decoded(segment).collect(),
                    Decoding::Full => percent::fully_decoded(segment).to_vec(),
                };
                String::from_utf8_lossy(&bytes).into_owned()
            });
            variants.push((segments.collect::<Vec<_>>().join("|"), variant.total));
            false
        });
        variants.sort();
        variants.dedup();
        variants
    }

    fn texts(path: &str) -> Vec<String> {
        variants(path, 9).into_iter().map(|variant| variant.0).collect()
    }

    #[test]
    fn a_plain_path_has_one_variant() {
        for path in ["/", "/a", "/a/", "/a/b.c", "/a/b..", "/a;v=1/é"] {
            assert!(is_plain(path) && UnorderedSegments::of(path).is_none(), "{path}");
            assert_eq!(variants(path, 9).len(), 1, "{path}");
        }
        for path in ["", "*", "a", "//", "/a//", "/.", "/./a", "/a/..", "/.well-known", "/%61", "/a%", "/a\\b"] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn each_variant_is_visited() {
        assert_eq!(texts("//a//b/"), ["a|b"]);
        assert_eq!(texts("/a/./b"), ["a|.|b", "a|b"]);
        assert_eq!(texts("/a/../b"), ["a|..|b", "b"]);
        assert_eq!(texts("/../../a"), ["..|..|a", "a"]);
        assert_eq!(texts("/a%2Fb"), ["a%2Fb", "a/b", "a|b"]);
        assert_eq!(texts("/%61%zz%"), ["%61%zz%", "a%zz%"]);
        assert_eq!(texts("/a%252fb"), ["a%252fb", "a%2fb", "a/b", "a|b"]);
        assert_eq!(texts("/a%5cb"), ["a%5cb", "a\\b", "a|b"]);
    }

    #[test]
    fn an_empty_segment_may_be_removed_by_dots() {
        assert_eq!(texts("/a//../b"), ["a|..|b", "a|b", "b"]);
        assert_eq!(texts("/a//..//../b"), ["a|..|..|b", "a|b", "b"]);
    }

    #[test]
    fn a_path_is_unordered_if_dots_may_be_resolved_before_or_after_it_is_split() {
        for (path, segments) in [
            ("/a/../b", None),
            ("/a%2fb", None),
            ("/a%5cb", None),
            ("/a\\b", Some("a b")),
            ("/p%2fq/../auth%2fadmin/u", Some("p q auth admin u")),
            ("/%252e%252E/a", Some("a")),
            ("/a%20b/./c", Some("a b c")),
        ] {
            let found = UnorderedSegments::of(path)
                .map(|found| found.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), segments, "{path}");
        }
    }

    #[test]
    fn no_more_segments_are_kept_than_patterns_have() {
        let deep = format!("/{}", "a/".repeat(100_000));
        assert_eq!(variants(&deep, 3), [("a|a|a".to_owned(), 4)]);
        // Deeper than the limit and back again.
        let back = format!("{deep}{}", "../".repeat(99_999));
        assert!(variants(&back, 3).contains(&("a".to_owned(), 1)));
    }
}
