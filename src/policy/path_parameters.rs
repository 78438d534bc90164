//! The parameters of a route template, their values in a path, and paths without some of these.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::path_variants::is_plain;
use super::percent;
use super::secret_names::HIDDEN;
use crate::event::limits::MAX_TARGET_ID_BYTES;
use crate::event::{CompactText, truncate_bytes};

/// Returns the names of the parameters: `id` and `rest` of `/users/{id}/{*rest}`.
pub(super) fn names(template: &str) -> impl Iterator<Item = &str> {
    segments(template).flat_map(parameters).map(|(name, _)| name)
}

/// Returns the path with [`HIDDEN`] in the place of the parameters that `hides` names; the template, if it does not fit the
/// path.
pub(super) fn redact(path: &str, template: &str, hides: impl Fn(&str) -> bool) -> String {
    let wanted: Vec<&str> = segments(template).collect();
    let given: Vec<&str> = segments(path).collect();
    let alignments = alignments(&given, &wanted, is_plain(path));
    if alignments.is_empty() {
        return template.to_owned();
    }
    let hidden_at = |number: usize| {
        let mut parameters =
            alignments.iter().flat_map(|alignment| alignment.at(number).into_iter().flat_map(parameters));
        parameters.find(|(name, _)| hides(name)).map(|(_, takes_rest)| takes_rest)
    };
    let mut shown = String::with_capacity(path.len() + HIDDEN.len());
    let mut number = 0;
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            shown.push('/');
        }
        if segment.is_empty() {
            continue;
        }
        match hidden_at(number) {
            None => shown.push_str(segment),
            Some(takes_rest) => {
                shown.push_str(HIDDEN);
                if takes_rest {
                    break;
                }
            }
        }
        number += 1;
    }
    shown
}

/// A template that fits a path segment by segment, from the beginning of both to the end.
#[derive(Debug)]
pub(super) struct Fitted<'a> {
    wanted: Segments<'a>,
    given: Segments<'a>,
    /// Those of the path as it is recorded; absent if that is the path as it was sent.
    recorded: Option<Segments<'a>>,
}

type Segments<'a> = SmallVec<[&'a str; 12]>;

/// A parameter that has one segment for itself, or all of the rest.
#[derive(Debug)]
pub(super) struct FittedParameter<'f, 'a> {
    pub(super) name: &'a str,
    /// True if the recorded path has the same value.
    pub(super) is_recorded: bool,
    given: &'f [&'a str],
}

impl<'a> Fitted<'a> {
    pub(super) fn of(template: &'a str, path: &'a str, recorded: Option<&'a str>) -> Option<Self> {
        let (wanted, given): (Segments<'a>, Segments<'a>) = (segments(template).collect(), segments(path).collect());
        if !all_fit(&given, &wanted) {
            return None;
        }
        let is_as_sent = recorded.is_some_and(|recorded| std::ptr::eq(recorded, path));
        let recorded = (!is_as_sent).then(|| recorded.into_iter().flat_map(segments).collect());
        Some(Self { wanted, given, recorded })
    }

    /// Returns the parameters of one segment each that have a literal one before them, the last first, with that one.
    pub(super) fn parameters_behind_literals(&self) -> impl Iterator<Item = (Cow<'a, str>, FittedParameter<'_, 'a>)> {
        self.wanted.windows(2).enumerate().rev().filter_map(|(before, pair)| {
            let (name, takes_rest) = whole_parameter(pair[1])?;
            let is_literal = parameters(pair[0]).next().is_none();
            (is_literal && !takes_rest).then(|| (unescaped(pair[0]), self.at(name, before + 1..before + 2)))
        })
    }

    /// Returns the parameter of this name.
    pub(super) fn parameter(&self, name: &str) -> Option<FittedParameter<'_, 'a>> {
        self.wanted.iter().enumerate().find_map(|(number, segment)| {
            let (own, takes_rest) = whole_parameter(segment).filter(|(own, _)| *own == name)?;
            Some(self.at(own, number..if takes_rest { self.given.len() } else { number + 1 }))
        })
    }

    fn at(&self, name: &'a str, range: Range<usize>) -> FittedParameter<'_, 'a> {
        let given = self.given.get(range.clone()).unwrap_or_default();
        let is_recorded = self.recorded.as_ref().is_none_or(|recorded| recorded.get(range) == Some(given));
        FittedParameter { name, is_recorded, given }
    }
}

impl FittedParameter<'_, '_> {
    /// Returns the value as a router hands it on: decoded once.
    pub(super) fn value(&self) -> CompactText {
        match self.given {
            [one] if !one.contains('%') => (*one).into(),
            many => {
                let text = many.join("/");
                let bytes: Vec<u8> = percent::decoded(text.as_bytes()).collect();
                truncate_bytes(&bytes, MAX_TARGET_ID_BYTES).into()
            }
        }
    }
}

/// Returns the name of the parameter that is the whole segment, and true if it takes all the rest.
fn whole_parameter(segment: &str) -> Option<(&str, bool)> {
    let (name, takes_rest) = parameters(segment).next()?;
    // The braces, and the star.
    (segment.len() == name.len() + 2 + usize::from(takes_rest)).then_some((name, takes_rest))
}

/// A template laid against a path.
struct Alignment<'t> {
    /// The number of the path's segments before it.
    skipped: usize,
    wanted: &'t [&'t str],
}

impl<'t> Alignment<'t> {
    /// The segment of the template for this one of the path.
    fn at(&self, number: usize) -> Option<&'t str> {
        self.wanted.get(number.checked_sub(self.skipped)?).copied()
    }
}

/// The ways to lay a template against a path: from the beginning of both, if that fits. Else a part of either is missing: a
/// nested router sees the rest of a path alone, an app behind a prefix knows nothing of that. Of all ways that fit then, none
/// is surely the right one. A path by a detour (`/./`, `%2f`) could fit one by chance.
fn alignments<'t>(given: &[&str], wanted: &'t [&'t str], is_plain: bool) -> Vec<Alignment<'t>> {
    if all_fit(given, wanted) {
        return vec![Alignment { skipped: 0, wanted }];
    }
    if !is_plain {
        return Vec::new();
    }
    let path_first = (1..given.len()).map(|skipped| (skipped, 0));
    let template_first = (1..wanted.len()).map(|skipped| (0, skipped));
    path_first
        .chain(template_first)
        .filter(|(path, template)| all_fit(&given[*path..], &wanted[*template..]))
        .map(|(skipped, template)| Alignment { skipped, wanted: &wanted[template..] })
        .collect()
}

/// Returns true if a template fits a path from the beginning of both to the end.
#[cfg(feature = "axum")]
pub(crate) fn fits(template: &str, path: &str) -> bool {
    Fitted::of(template, path, None).is_some()
}

fn all_fit(given: &[&str], wanted: &[&str]) -> bool {
    let takes_rest = wanted.last().is_some_and(|last| parameters(last).any(|(_, takes_rest)| takes_rest));
    let enough = if takes_rest { given.len() + 1 >= wanted.len() } else { given.len() == wanted.len() };
    enough && given.iter().zip(wanted).all(|(given, wanted)| is_same(given, wanted))
}

/// Returns true if the segment of a path fits that of a template; any fits a parameter.
fn is_same(given: &str, wanted: &str) -> bool {
    parameters(wanted).next().is_some()
        || (given == wanted && !wanted.contains(['{', '}']))
        || percent::decoded(given.as_bytes()).eq(percent::decoded(unescaped(wanted).as_bytes()))
}

/// The segments that are not empty. They are short: a byte at a time, they are found sooner than by a search.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        loop {
            let end = position(rest, b'/').unwrap_or(rest.len());
            let (segment, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if !segment.is_empty() {
                return Some(segment);
            }
            if rest.is_empty() {
                return None;
            }
        }
    })
}

fn position(text: &str, byte: u8) -> Option<usize> {
    text.bytes().position(|other| other == byte)
}

/// The parameters in a segment, of which routers allow more than one: each name, and whether it takes all the rest. Doubled
/// braces stand for themselves.
fn parameters(segment: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        loop {
            let begin = position(rest, b'{')?;
            let after = &rest[begin + 1..];
            if let Some(after) = after.strip_prefix('{') {
                rest = after;
                continue;
            }
            let end = position(after, b'}')?;
            rest = &after[end + 1..];
            let name = &after[..end];
            return Some(name.strip_prefix('*').map_or((name, false), |name| (name, true)));
        }
    })
}

fn unescaped(segment: &str) -> Cow<'_, str> {
    if segment.contains("{{") || segment.contains("}}") {
        segment.replace("{{", "{").replace("}}", "}").into()
    } else {
        segment.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(path: &str, template: &str) -> String {
        redact(path, template, |name| name == "token")
    }

    #[test]
    fn a_parameter_is_hidden_wherever_it_stands() {
        for (path, template, shown) in [
            ("/reset/S", "/reset/{token}", "/reset/***"),
            ("/reset/S/", "/reset/{token}", "/reset/***/"),
            ("//reset//S", "/reset/{token}/", "//reset//***"),
            ("/%72eset/S", "/reset/{token}", "/%72eset/***"),
            ("/S/7/S", "/{token}/{id}/{token}", "/***/7/***"),
            ("/files/S.txt", "/files/{token}.txt", "/files/***"),
            ("/a/S/S/S", "/a/{*token}", "/a/***"),
            ("/a", "/a/{*token}", "/a"),
            ("/a/{token}/S", "/a/{{token}}/{token}", "/a/{token}/***"),
            ("/users/7", "/users/{id}", "/users/7"),
            // A mount prefix, and a nested router that sees the rest of the path.
            ("/cgi/reset/S", "/reset/{token}", "/cgi/reset/***"),
            // As the end of a nested router's template it fits, too.
            ("/cgi/a/S/S", "/a/{*token}", "/***"),
            ("/reset/S", "/api/v1/reset/{token}", "/reset/***"),
            ("/S", "/api/reset/{token}", "/***"),
            ("/a/S/S", "/{token}/{*rest}", "/***/S/S"),
            // Where the parameter is, nobody knows.
            ("/S/./7", "/{token}/{id}", "/{token}/{id}"),
            ("/S%2f7", "/{token}/{id}", "/{token}/{id}"),
            ("/other/S", "/reset/{token}", "/reset/{token}"),
            ("/reset%2FS", "/reset/{token}/x", "/reset/{token}/x"),
            ("", "/reset/{token}", "/reset/{token}"),
        ] {
            assert_eq!(check(path, template), shown, "{path} {template}");
        }
    }

    #[test]
    fn names_are_those_of_the_parameters() {
        assert_eq!(names("/a/{b}/{c}.{d}/{{e}}/{*f}").collect::<Vec<_>>(), ["b", "c", "d", "f"]);
    }

    proptest! {
        /// No path shows the value of a hidden parameter.
        #[test]
        fn no_path_shows_what_is_hidden(
            before in proptest::collection::vec("[ab]{0,2}|%61|\\{token\\}", 0..3),
            template in proptest::collection::vec("[ab]{1,2}|\\{id\\}", 0..3),
        ) {
            let template = format!("/{}/{{token}}", template.join("/"));
            let path = format!("/{}/S3cr3t", before.join("/"));
            prop_assert!(!check(&path, &template).contains("S3cr3t"), "{}", check(&path, &template));
        }
    }
}
