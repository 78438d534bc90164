//! A path pattern of a rule.

use super::path_variants::{Decoding, PathVariant, UnorderedSegments};
use super::{path_parameters, percent};
use crate::event::excerpt;

/// `/users/{id}`, `/auth/admin/{*rest}`: whole segments that are literal or a parameter, and at the end perhaps what
/// takes all the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern {
    text: Box<str>,
    segments: Box<[PatternSegment]>,
    catch_all: bool,
    /// The literal segments, fully decoded.
    literals: Box<[Box<[u8]>]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternSegment {
    /// As written, and decoded if that is something else: a rule may be written as the path is, or as it is meant.
    Literal(Box<[u8]>, Option<Box<[u8]>>),
    Parameter,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The fault, and the form that is expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{:?} is no path pattern: {why}", excerpt(text)));
        let Some(inner) = text.strip_prefix('/') else { return wrong("it must start with `/`") };
        let inner = inner.strip_suffix('/').filter(|inner| !inner.is_empty()).unwrap_or(inner);
        let mut segments = Vec::new();
        let mut catch_all = false;
        for segment in inner.split('/').take_while(|_| !inner.is_empty()) {
            if catch_all {
                return wrong("nothing can follow the `{*…}` that takes all the rest");
            }
            match segment {
                "" => return wrong("it has an empty segment; write a single `/`"),
                _ if is_dots(segment) => return wrong("`.` and `..` never reach a route; leave them out"),
                _ if segment.starts_with([':', '*']) => {
                    return wrong("a parameter is written `{name}`, and `{*name}` takes all the rest");
                }
                _ if segment.contains(['?', '#']) => return wrong("a path ends before `?` and `#`"),
                _ if !segment.contains(['{', '}']) => segments.push(PatternSegment::literal(segment)),
                _ => {
                    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                    let name = name.map(|name| name.strip_prefix('*').map_or((name, false), |name| (name, true)));
                    match name {
                        Some((name, all)) if !name.is_empty() && !name.contains(['{', '}', '*']) => {
                            if all {
                                catch_all = true;
                            } else {
                                segments.push(PatternSegment::Parameter);
                            }
                        }
                        _ => return wrong("a parameter is a whole segment: `{name}`, or `{*name}` at the end"),
                    }
                }
            }
        }
        let literals = inner.split('/').filter(|segment| !segment.contains('{'));
        let literals = literals.flat_map(UnorderedSegments::of_literal).collect();
        Ok(Self { text: text.into(), segments: segments.into(), catch_all, literals })
    }

    /// The pattern as it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the number of segments before a `{*rest}`.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Returns true if it ends in `{*rest}`.
    pub(super) fn is_catch_all(&self) -> bool {
        self.catch_all
    }

    /// Returns true if it has a parameter of this name.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        path_parameters::names(&self.text).any(|own| own == name)
    }

    /// Returns true if all segments are literal.
    pub(super) fn is_literal(&self) -> bool {
        !self.catch_all && !self.segments.contains(&PatternSegment::Parameter)
    }

    /// Returns true if `variant` begins with this literal path.
    pub(super) fn is_prefix_of(&self, variant: &PathVariant<'_, '_>) -> bool {
        variant.total >= self.len() && self.has_same_segments(variant)
    }

    /// Returns true if the pattern matches this variant of a path.
    pub(super) fn matches(&self, variant: &PathVariant<'_, '_>) -> bool {
        (if self.catch_all { variant.total >= self.len() } else { variant.total == self.len() })
            && self.has_same_segments(variant)
    }

    /// Returns true if the literal segments of the pattern are among these, in their order.
    pub(super) fn may_match(&self, segments: &UnorderedSegments) -> bool {
        let mut segments = segments.iter();
        self.literals.iter().all(|literal| segments.any(|segment| segment == &**literal))
    }

    /// Matches a path that has one variant only.
    ///
    /// Most paths are those of another route: the comparison ends at the first byte that differs, without splitting.
    pub(super) fn matches_plain(&self, path: &str) -> bool {
        let mut rest = after_slashes(path.as_bytes());
        for segment in &self.segments {
            match segment.strip_from(rest) {
                Some(after) => rest = after_slashes(after),
                None => return false,
            }
        }
        self.catch_all || rest.is_empty()
    }

    fn has_same_segments(&self, variant: &PathVariant<'_, '_>) -> bool {
        self.segments.iter().zip(variant.segments).all(|(pattern, segment)| pattern.matches(segment, variant.decoding))
    }
}

fn after_slashes(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] = path {
        path = rest;
    }
    path
}

impl PatternSegment {
    fn literal(text: &str) -> Self {
        let meant: Box<[u8]> = percent::decoded(text.as_bytes()).collect();
        let meant = (*meant != *text.as_bytes()).then_some(meant);
        Self::Literal(text.as_bytes().into(), meant)
    }

    fn matches(&self, segment: &[u8], decoding: Decoding) -> bool {
        let is = |literal: &[u8]| match decoding {
            Decoding::AsIs => segment == literal,
            Decoding::Once => percent::decoded(segment).eq(literal.iter().copied()),
            Decoding::Full => *percent::fully_decoded(segment) == *literal,
        };
        match self {
            Self::Literal(text, meant) => is(text) || meant.as_deref().is_some_and(is),
            Self::Parameter => true,
        }
    }

    /// Returns the path after its first segment, if that matches as it is written.
    fn strip_from<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let (text, meant) = match self {
            Self::Literal(text, meant) => (text, meant),
            Self::Parameter => {
                let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
                return if end > 0 { Some(&path[end..]) } else { None };
            }
        };
        let strip = |literal: &[u8]| {
            let rest = path.strip_prefix(literal)?;
            rest.first().is_none_or(|byte| *byte == b'/').then_some(rest)
        };
        // A slash that is meant within a segment is none in a path that has one reading only.
        strip(text).or_else(|| strip(meant.as_deref().filter(|meant| !meant.contains(&b'/'))?))
    }
}

fn is_dots(segment: &str) -> bool {
    percent::decoded(segment.as_bytes()).eq(*b".") || percent::decoded(segment.as_bytes()).eq(*b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern() {
        for (bad, why) in [
            ("", "must start with `/`"),
            ("scans", "must start with `/`"),
            ("/a//b", "empty segment"),
            ("//", "empty segment"),
            ("/a/../b", "never reach"),
            ("/%2e/b", "never reach"),
            ("/{*rest}/x", "nothing can follow"),
            ("/:id", "written `{name}`"),
            ("/a/*", "written `{name}`"),
            ("/a?b", "ends before"),
            ("/{}", "whole segment"),
            ("/{*}", "whole segment"),
            ("/x{id}", "whole segment"),
            ("/{id}.json", "whole segment"),
            ("/{a", "whole segment"),
            ("/{a}{b}", "whole segment"),
        ] {
            let error = PathPattern::parse(bad).expect_err(bad);
            assert!(error.contains(why) && error.starts_with(&format!("{bad:?} ")), "{bad}: {error}");
        }
    }

    #[test]
    fn plain_paths() {
        for (pattern, path, matches) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/scans", "/scans", true),
            ("/scans/", "/scans", true),
            ("/scans", "/scans/", true),
            ("/scans", "/Scans", false),
            ("/scans", "/scansx", false),
            ("/scans", "/scans/x", false),
            ("/scans", "/", false),
            ("/users/{id}", "/users/7", true),
            ("/users/{id}", "/users", false),
            ("/a%2Fb", "/a/b", false),
            ("/%61/b", "/a/b", true),
            ("/users/{id}", "/users//7", true),
            ("/users/{id}", "users/7", true),
            ("/users/{id}", "/users/7/x", false),
            ("/x/{*rest}", "/x", true),
            ("/x/{*rest}", "/x/", true),
            ("/x/{*rest}", "/x/a/b", true),
            ("/x/{*rest}", "/xy", false),
            ("/{*rest}", "/", true),
        ] {
            assert_eq!(PathPattern::parse(pattern).expect(pattern).matches_plain(path), matches, "{pattern} {path}");
        }
    }
}
