//! The include/exclude filter over event types.

use super::EventType;
use super::truncate::excerpt;

/// The selected event types: those included, less those excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventTypeFilter {
    /// Empty means everything.
    include: Vec<FilterEntry>,
    exclude: Vec<FilterEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FilterEntry {
    All,
    /// `resource.all`, as `resource.`: a longer resource of the same beginning is another one.
    Resource(String),
    Name(String),
}

/// An entry that matches no type, or lists without an entry.
#[derive(Debug)]
pub(crate) struct EventTypeFilterError {
    /// `include` or `exclude`, and the index of the entry; none if the fault is of both lists.
    pub(crate) entry: Option<(&'static str, usize)>,
    /// The problem in words.
    pub(crate) problem: String,
}

impl EventTypeFilter {
    /// Reads both lists; one that was never given is `None`.
    ///
    /// # Errors
    /// If an entry matches none of the `known` types, or there are lists, but nothing in them.
    pub(crate) fn new(
        include: Option<&[String]>,
        exclude: Option<&[String]>,
        known: &[&EventType],
    ) -> Result<Self, EventTypeFilterError> {
        let read = |list: &'static str, names: Option<&[String]>| {
            let entries = names.unwrap_or_default().iter().enumerate();
            let entries = entries.map(|(item, name)| {
                FilterEntry::new(name, known)
                    .map_err(|problem| EventTypeFilterError { entry: Some((list, item)), problem })
            });
            entries.collect::<Result<Vec<_>, _>>()
        };
        let filter = Self { include: read("include", include)?, exclude: read("exclude", exclude)? };
        if (include.is_some() || exclude.is_some()) && filter == Self::default() {
            let problem = "neither `include` nor `exclude` has an entry: expected event types, `resource.all` or `all`";
            return Err(EventTypeFilterError { entry: None, problem: problem.to_owned() });
        }
        Ok(filter)
    }

    pub(crate) fn allows(&self, event_type: &EventType) -> bool {
        let name = event_type.as_str();
        let among = |entries: &[FilterEntry]| entries.iter().any(|entry| entry.matches(name));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

impl FilterEntry {
    fn new(text: &str, known: &[&EventType]) -> Result<Self, String> {
        let entry = match text.split_once('.') {
            None if text == "all" => return Ok(Self::All),
            Some((resource, "all")) => Self::Resource(format!("{resource}.")),
            _ => Self::Name(text.to_owned()),
        };
        if known.iter().any(|known| entry.matches(known.as_str())) {
            return Ok(entry);
        }
        let problem = match entry {
            Self::Resource(_) => "matches no event type",
            _ => "is no known event type",
        };
        let names = known.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
        Err(format!(
            "{:?} {problem}: expected `all`, `resource.all`, or one of {names}; types of handlers are made known by `declare`",
            excerpt(text)
        ))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Resource(prefix) => name.starts_with(prefix.as_str()),
            Self::Name(known) => name == known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The types that pass the filter, or the error.
    fn check(include: &[&str], exclude: &[&str]) -> String {
        let known: Vec<EventType> =
            ["upload", "auth", "events.get", "events.create", "eventsource.open", "oauth.token.issued"]
                .map(|name| name.parse().expect("a type"))
                .into();
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        match EventTypeFilter::new(Some(&owned(include)), Some(&owned(exclude)), &known.iter().collect::<Vec<_>>()) {
            Ok(filter) => {
                let allowed = known.iter().filter(|known| filter.allows(known)).map(EventType::as_str);
                allowed.collect::<Vec<_>>().join(" ")
            }
            Err(error) => {
                let list = error.entry.map(|(list, _)| format!("{list}: ")).unwrap_or_default();
                list + error.problem.split(':').next().unwrap_or_default()
            }
        }
    }

    /// The table of the system that the filter comes from, with what it silently got wrong made right or an error.
    #[test]
    fn truth_table() {
        const EVERYTHING: &str = "upload auth events.get events.create eventsource.open oauth.token.issued";
        for (include, exclude, expected) in [
            (&["all"][..], &[][..], EVERYTHING),
            (&[], &["all"], ""),
            (&[], &[], "neither `include` nor `exclude` has an entry"),
            (&["all"], &["events.get"], "upload auth events.create eventsource.open oauth.token.issued"),
            (&["events.all"], &["all"], ""),
            (&[], &["events.get"], "upload auth events.create eventsource.open oauth.token.issued"),
            (&["events.all"], &["events.get"], "events.create"),
            (&["events.all"], &[], "events.get events.create"),
            (&[], &["events.all"], "upload auth eventsource.open oauth.token.issued"),
            (&["upload"], &["upload"], ""),
            (&["all", "events.get"], &[], EVERYTHING),
            (&["oauth.all"], &[], "oauth.token.issued"),
            (&["upload", "auth"], &["auth"], "upload"),
            // An event name without a type is an error, not a silent pass.
            (&["event.get"], &[], "include: \"event.get\" is no known event type"),
            (&[], &["event.get"], "exclude: \"event.get\" is no known event type"),
            (&[], &["event.all"], "exclude: \"event.all\" matches no event type"),
            (&["upload.all"], &[], "include: \"upload.all\" matches no event type"),
            (&["oauth.token.all"], &[], "include: \"oauth.token.all\" is no known event type"),
            (&["ALL"], &[], "include: \"ALL\" is no known event type"),
            (&[""], &[], "include: \"\" is no known event type"),
            (&[".all"], &[], "include: \".all\" matches no event type"),
        ] {
            assert_eq!(check(include, exclude), expected, "{include:?} {exclude:?}");
        }
    }

    #[test]
    fn without_lists_there_is_no_filter() {
        let filter = EventTypeFilter::new(None, None, &[]).expect("no filter");
        assert!(filter.allows(&"never.heard".parse().expect("a type")));
        assert!(EventTypeFilter::new(Some(&[]), None, &[]).is_err());
        assert!(EventTypeFilter::new(None, Some(&[]), &[]).is_err());
    }
}
