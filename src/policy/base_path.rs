//! The prefix under which an app is mounted.

use super::path_pattern::PathPattern;
use super::path_variants::PathVariant;
use crate::event::excerpt;

/// A prefix such as `/cgi`, which appears neither in rules nor in events. The default has no segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BasePath {
    /// With a `/` in front and none at the end, or empty.
    text: Box<str>,
    pattern: Option<PathPattern>,
}

impl BasePath {
    /// Reads a prefix.
    ///
    /// # Errors
    /// The fault, and the form that is expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pattern = PathPattern::parse(text)?;
        if !pattern.is_literal() || text.contains('%') {
            return Err(format!("{:?} is no base path: it must be literal, such as \"/cgi\"", excerpt(text)));
        }
        let pattern = Some(pattern).filter(|pattern| pattern.len() > 0);
        Ok(Self { text: text.strip_suffix('/').unwrap_or(text).into(), pattern })
    }

    pub(super) fn len(&self) -> usize {
        self.pattern.as_ref().map_or(0, PathPattern::len)
    }

    /// Returns the rest of a path or a route template after the prefix, or all of it.
    pub(super) fn strip<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(&*self.text) {
            Some("") if !path.is_empty() => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Returns the prefix if the path begins with it, else an empty text.
    pub(super) fn prefix_of(&self, path: &str) -> &str {
        if self.strip(path).len() < path.len() { &self.text } else { "" }
    }

    /// Returns the rest of a variant after the prefix, if it begins with it.
    pub(super) fn strip_variant<'r, 'p>(&self, variant: &PathVariant<'r, 'p>) -> Option<PathVariant<'r, 'p>> {
        let pattern = self.pattern.as_ref().filter(|pattern| pattern.is_prefix_of(variant))?;
        let segments = variant.segments.get(pattern.len()..).unwrap_or_default();
        Some(PathVariant { segments, total: variant.total - pattern.len(), ..*variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_ends_at_a_segment() {
        for (mount, path, rest) in [
            ("/cgi", "/cgi/scans", "/scans"),
            ("/cgi/", "/cgi/scans", "/scans"),
            ("/cgi", "/cgi", "/"),
            ("/cgi", "/cgi/", "/"),
            ("/cgi", "/cgix/scans", "/cgix/scans"),
            ("/cgi", "/scans", "/scans"),
            ("/cgi", "/x/cgi/scans", "/x/cgi/scans"),
            ("/a/b", "/a/b/c", "/c"),
            ("/a/b", "/a/c", "/a/c"),
            ("/", "/scans", "/scans"),
            ("/", "", ""),
            ("/cgi", "", ""),
        ] {
            assert_eq!(BasePath::parse(mount).expect(mount).strip(path), rest, "{mount} {path}");
        }
        assert_eq!(BasePath::default().strip("/scans"), "/scans");
    }

    #[test]
    fn what_is_no_prefix() {
        for bad in ["", "cgi", "/c%67i", "/{x}", "/{*rest}", "/a//b"] {
            assert!(BasePath::parse(bad).is_err(), "{bad}");
        }
    }
}
