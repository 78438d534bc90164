//! The filter form, the active filters, and links to common ones.

use super::links::Links;
use super::safe_html::SafeText;
use crate::api::Caller;
use crate::api::query_params::Params;

/// A field of the form.
#[derive(Debug)]
pub(super) struct FormField<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// A note after the label.
    pub(super) note: &'static str,
    pub(super) hint: &'static str,
    /// The suggested values.
    pub(super) options: &'static [&'static str],
    /// The placeholder of the field for another value.
    pub(super) more: &'static str,
    /// The current values, and an empty one to add another.
    pub(super) values: Vec<&'a str>,
}

/// An active filter, and the link that removes it.
#[derive(Debug)]
pub(super) struct ActiveFilter<'a> {
    pub(super) label: &'a str,
    pub(super) relation: &'static str,
    pub(super) value: SafeText<'a>,
    pub(super) without: String,
}

/// A link that sets filters.
#[derive(Debug)]
pub(super) struct QuickFilter {
    pub(super) label: &'static str,
    pub(super) href: String,
    pub(super) is_set: bool,
}

#[derive(Debug)]
pub(super) struct FilterForm<'a> {
    pub(super) action: String,
    pub(super) is_admin: bool,
    /// True on the page that the search box leads to.
    pub(super) has_search: bool,
    /// The link to the other way of folding.
    pub(super) folding: QuickFilter,
    pub(super) controls: Vec<FormField<'a>>,
    /// The filters without a field, which the form sends again.
    pub(super) others: Vec<Pair<'a>>,
    pub(super) limit: Option<usize>,
    pub(super) chips: Vec<ActiveFilter<'a>>,
    pub(super) times: Vec<QuickFilter>,
    pub(super) kinds: Vec<QuickFilter>,
    pub(super) without_any: String,
}

#[rustfmt::skip]
const CONTROLS: [(&str, &str, &str, &[&str]); 8] = [
    ("user_email", "User", "alice@example.org", &[]),
    ("event_type", "Type", "upload", &["upload", "admin_action", "oversize_query", "auth", "audit.read"]),
    ("outcome", "Status", "403, 4xx", &["2xx", "3xx", "4xx", "5xx", "none", "200", "401", "403", "404", "500"]),
    ("route", "Route", "/users/*", &[]),
    ("remote_addr", "Address", "192.0.2.*", &[]),
    ("phase", "Phase", "unknown", &["completed", "started", "unknown"]),
    ("since", "Since", "7d", &["1h", "1d", "7d", "30d", "1y"]),
    ("until", "Until", "2026-05-25", &[]),
];

const TIMES: [(&str, &str); 6] = [
    ("1 hour", "1h"),
    ("1 day", "1d"),
    ("7 days", "7d"),
    ("30 days", "30d"),
    ("1 year", "1y"),
    ("All time", "1970-01-01"),
];

type Pair<'a> = (&'a str, &'a str);

/// Common filters; `true`: for administrators only.
const QUICK_FILTERS: [(&str, &[Pair<'static>], bool); 4] = [
    ("Denied", &[("outcome", "401"), ("outcome", "403")], false),
    ("Failed", &[("outcome", "5xx")], false),
    ("Unknown end", &[("phase", "unknown")], false),
    ("Anonymous", &[("user_email", "!*")], true),
];

impl<'a> FilterForm<'a> {
    /// The form of a page, filled with its parameters.
    pub(super) fn of(params: &'a Params, caller: &Caller, links: &Links, page: &str) -> Self {
        let given: Vec<Pair<'a>> = params.raw_filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let limit = params.explicit_limit().map(|limit| limit.to_string());
        let link = |pairs: &[Pair<'_>]| {
            let limit = limit.as_deref().map(|limit| ("limit", limit));
            links.to(page, pairs.iter().copied().chain(limit))
        };
        let controls = CONTROLS
            .into_iter()
            // A user can only name themselves.
            .filter(|(name, ..)| *name != "user_email" || caller.is_admin())
            .map(|(name, label, hint, options)| {
                let mut values: Vec<_> = given.iter().filter(|(of, _)| *of == name).map(|(_, value)| *value).collect();
                let more = if !values.is_empty() && values.iter().all(|value| value.starts_with('!')) {
                    "and not: !…"
                } else {
                    "or also"
                };
                if values.is_empty() || !matches!(name, "since" | "until") {
                    values.push("");
                }
                let note = match name {
                    "since" | "until" => "UTC",
                    _ => "",
                };
                FormField { name, label, note, hint, options, more, values }
            });
        let shown = given.iter().enumerate().filter(|(_, (name, _))| *name != "folded");
        let chips = shown.map(|(n, (name, value))| {
            let without: Vec<_> =
                given.iter().enumerate().filter(|(other, _)| *other != n).map(|(_, it)| *it).collect();
            let label = CONTROLS.iter().find(|(of, ..)| of == name).map_or(*name, |(_, label, ..)| label);
            let is_time = matches!(*name, "since" | "until");
            let (relation, value) = match value.strip_prefix('!') {
                Some(rest) => ("is not", rest),
                None => (if is_time { "" } else { "is" }, *value),
            };
            ActiveFilter { label, relation, value: SafeText::line(value), without: link(&without) }
        });
        let times = TIMES.into_iter().map(|(label, since)| {
            let others = given.iter().copied().filter(|(name, _)| !matches!(*name, "since" | "until"));
            let pairs: Vec<_> = others.chain([("since", since)]).collect();
            QuickFilter { label, href: link(&pairs), is_set: is_same(&pairs, &given) }
        });
        let kinds =
            QUICK_FILTERS.into_iter().filter(|(.., admins)| caller.is_admin() || !admins).map(|(label, set, _)| {
                let (same_fields, others): (Vec<_>, Vec<_>) =
                    given.iter().copied().partition(|(name, _)| set.iter().any(|(of, _)| of == name));
                // With another value of the field, such as `outcome=5xx&outcome=4xx`, it is another filter.
                let is_set = is_same(&same_fields, set);
                let pairs: Vec<_> = others.into_iter().chain(set.iter().copied().filter(|_| !is_set)).collect();
                QuickFilter { label, href: link(&pairs), is_set }
            });
        Self {
            action: links.to(page, []),
            is_admin: caller.is_admin(),
            has_search: page.is_empty(),
            folding: {
                let others = given.iter().copied().filter(|(name, _)| *name != "folded");
                let pairs: Vec<_> = others.chain(params.filter.folded.then_some(("folded", "false"))).collect();
                QuickFilter { label: "Starts, too", href: link(&pairs), is_set: !params.filter.folded }
            },
            limit: params.explicit_limit(),
            others: given.iter().copied().filter(|(name, _)| CONTROLS.iter().all(|(of, ..)| of != name)).collect(),
            controls: controls.collect(),
            chips: chips.collect(),
            times: times.collect(),
            kinds: kinds.collect(),
            without_any: link(&[]),
        }
    }
}

fn is_same(one: &[Pair<'_>], other: &[Pair<'_>]) -> bool {
    one.len() == other.len() && one.iter().all(|pair| other.contains(pair))
}

/// Returns the query string without empty fields, or `None` if there are none. Browsers submit every field of a form.
pub(super) fn strip_empty_fields(query: Option<&str>) -> Option<String> {
    let query = query?;
    let is_filled = |pair: &&str| pair.split_once('=').is_some_and(|(_, value)| !value.is_empty());
    let filled: Vec<_> = query.split('&').filter(is_filled).collect();
    let has_empty = query.split('&').any(|pair| pair.split_once('=').is_some_and(|(_, value)| value.is_empty()));
    has_empty.then(|| if filled.is_empty() { String::new() } else { format!("?{}", filled.join("&")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Filter;
    use crate::viewer::operations::EVENTS;

    #[test]
    fn every_field_is_a_filter() {
        assert!(CONTROLS.iter().all(|(name, ..)| Filter::FIELD_NAMES.contains(name)));
    }

    #[test]
    fn empty_fields_are_left_out() {
        for (query, clean) in [
            ("user_email=&outcome=4xx&route=", Some("?outcome=4xx")),
            ("user_email=&outcome=", Some("")),
            ("outcome=4xx", None),
            ("outcome", None),
            ("", None),
        ] {
            assert_eq!(strip_empty_fields(Some(query)).as_deref(), clean, "{query}");
        }
    }

    fn form<T>(query: &str, read: impl FnOnce(FilterForm<'_>) -> T) -> T {
        let root = Caller::admin("root");
        let now = "2026-05-25T12:00:00Z".parse().unwrap();
        let params = Params::from_query(Some(query), &EVENTS, &root, now).unwrap();
        read(FilterForm::of(&params, &root, &Links::from("./"), ""))
    }

    #[test]
    fn a_quick_filter_is_set_only_if_it_is_the_whole_condition() {
        for (query, expected) in [
            ("outcome=5xx", Some("Failed")),
            ("outcome=5xx&route=/scans", Some("Failed")),
            ("outcome=5xx&outcome=4xx", None),
            ("outcome=5xx&outcome=!503", None),
            ("outcome=403,401", Some("Denied")),
            ("outcome=403", None),
            ("user_email=!*", Some("Anonymous")),
            ("user_email=!*&user_email=alice", None),
        ] {
            let set = form(query, |form| form.kinds.iter().find(|kind| kind.is_set).map(|kind| kind.label));
            assert_eq!(set, expected, "{query}");
        }
        let link = form("outcome=4xx&route=/scans", |form| form.kinds[1].href.clone());
        assert_eq!(link, "./?route=%2Fscans&outcome=5xx");
    }

    #[test]
    fn another_excluded_value_is_asked_for_as_one() {
        for (query, more) in
            [("outcome=200", "or also"), ("outcome=!200", "and not: !…"), ("outcome=!200&outcome=2xx", "or also")]
        {
            let outcome = form(query, |form| form.controls.iter().find(|it| it.name == "outcome").map(|it| it.more));
            assert_eq!(outcome, Some(more), "{query}");
        }
    }
}
