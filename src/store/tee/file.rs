//! The file of a tee, feature `policy-file`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::NAME;
use super::builder::{TeeBuilder, known_types};
use super::lane::Role;
use super::late_member::LateMember;
use super::member::TeeMember;
use super::quorum::{Quorum, Unmatched};
use super::store::TeeStore;
use crate::config_file::{FileError, RawValue, SpannedValue, TableEntry, contents};
use crate::event::{EventType, EventTypeFilter, excerpt};
use crate::store::{AuditStore, OpenOptions, StoreError, StoreErrorKind};

const KEYS: &str = "`members`, `quorum`, `read`, `declare`, `unmatched` and `strict_health`";
const MEMBER_KEYS: &str = "`name`, `url`, `url_env`, `required`, `timeout_ms`, `backlog` and `filter`";
const FILTER_KEYS: &str = "`include` and `exclude`";

/// A tee as its file has it: its members are not open.
pub(in crate::store) struct TeeFile {
    /// The path, for errors.
    shown: String,
    builder: TeeBuilder,
    pub(in crate::store) members: Vec<FileMember>,
}

/// A member as the file has it.
pub(in crate::store) struct FileMember {
    line: usize,
    pub(in crate::store) name: String,
    pub(in crate::store) url: String,
    role: Option<Role>,
    timeout: Option<Duration>,
    backlog: Option<usize>,
    filter: Option<FileFilter>,
    is_read: bool,
}

/// A member of the file, opened or to be opened.
pub(in crate::store) enum OpenedMember {
    Open(Arc<dyn AuditStore>),
    Late(Arc<LateMember>),
}

#[derive(Default)]
struct FileFilter {
    include: Option<Vec<FilterName>>,
    exclude: Option<Vec<FilterName>>,
}

/// A name in a filter, and its place.
struct FilterName {
    name: String,
    place: String,
}

/// A fault, with its place in front.
struct Problem(String);

type Found<T> = Result<T, Problem>;

impl TeeFile {
    /// Reads a file whose name ends in `.toml`, `.yaml`, `.yml` or `.json`.
    pub(in crate::store) fn read(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        root_of(path).and_then(|root| Self::of(&root, shown)).map_err(|Problem(hint)| config(hint))
    }

    fn of(root: &SpannedValue, shown: String) -> Found<Self> {
        let at = |line: usize| format!("{shown}, line {line}: ");
        let mut builder = TeeStore::builder();
        let (mut members, mut read, mut declared) = (Vec::new(), None, Vec::new());
        for entry in table(root, KEYS, &at)? {
            let value = Value { entry, at: &at };
            match entry.name.as_str() {
                "members" => {
                    for node in value.list()? {
                        members.push(FileMember::of(node, &at)?);
                    }
                }
                "quorum" => builder = builder.quorum(value.quorum()?),
                "read" => read = Some((value.text()?.to_owned(), entry.line)),
                "declare" => {
                    for (name, line) in value.texts()? {
                        let event_type = EventType::new(&name);
                        declared.push(event_type.map_err(|error| Problem(format!("{}`declare`: {error}", at(line))))?);
                    }
                }
                "unmatched" => {
                    builder = builder.unmatched(match value.text()? {
                        "refuse" => Unmatched::Refuse,
                        "discard" => Unmatched::Discard,
                        _ => return Err(value.problem("expected `refuse` or `discard`")),
                    });
                }
                "strict_health" => builder = builder.strict_health(value.flag()?),
                _ => return Err(value.unknown(KEYS)),
            }
        }
        let known = known_types(&declared);
        for filter in members.iter().filter_map(|member: &FileMember| member.filter.as_ref()) {
            filter.check(&known)?;
        }
        if let Some((name, line)) = read {
            let Some(member) = members.iter_mut().find(|member: &&mut FileMember| member.name == name) else {
                return Err(Problem(format!("{}`read`: {:?} is no member", at(line), excerpt(&name))));
            };
            member.is_read = true;
            builder = builder.read_from(name);
        }
        builder = builder.declare(declared.iter().map(EventType::as_str));
        Ok(Self { shown, builder, members })
    }

    /// Builds the tee of the opened members, in their order.
    pub(in crate::store) fn build(
        self,
        stores: Vec<OpenedMember>,
        options: OpenOptions,
    ) -> Result<TeeStore, StoreError> {
        let Self { shown, builder, members } = self;
        let builder = builder.durability(options.durability).timeout(options.timeout);
        let members = members.into_iter().zip(stores).map(|(member, store)| member.with_store(store));
        let builder = members.fold(builder, TeeBuilder::member);
        builder.checked().map_err(|hint| config(format!("{shown}: {hint}")))
    }

    /// Returns the error of a member that cannot be opened.
    pub(in crate::store) fn error_of(&self, member: &FileMember, error: StoreError) -> StoreError {
        StoreError::new(error.kind(), NAME, "opening")
            .with_hint(format!("{}, line {}: the member `{}`", self.shown, member.line, member.name))
            .with_source(error)
    }
}

impl FileMember {
    /// Returns true if the tee is opened without it while it is not reached.
    pub(in crate::store) fn may_be_late(&self) -> bool {
        self.role != Some(Role::Required) && !self.is_read
    }

    fn of(node: &SpannedValue, at: &dyn Fn(usize) -> String) -> Found<Self> {
        let (mut name, mut url) = (None, None);
        let mut member = Self {
            line: node.line,
            name: String::new(),
            url: String::new(),
            role: None,
            timeout: None,
            backlog: None,
            filter: None,
            is_read: false,
        };
        for entry in table(node, MEMBER_KEYS, at)? {
            let value = Value { entry, at };
            match entry.name.as_str() {
                "name" => name = Some(value.text()?.to_owned()),
                "url" | "url_env" if url.is_some() => {
                    return Err(value.problem("`url` and `url_env` both name a store: give one of them"));
                }
                "url" => url = Some(value.url(value.text()?.to_owned())?),
                "url_env" => {
                    let variable = value.text()?;
                    let given = std::env::var(variable).ok().filter(|given| !given.is_empty());
                    let missing =
                        || value.problem(&format!("the environment variable {:?} is not set", excerpt(variable)));
                    url = Some(value.url(given.ok_or_else(missing)?)?);
                }
                "required" => member.role = Some(if value.flag()? { Role::Required } else { Role::BestEffort }),
                "timeout_ms" => member.timeout = Some(Duration::from_millis(value.number(1..=3_600_000)? as u64)),
                "backlog" => member.backlog = Some(value.number(1..=1_000_000)?),
                "filter" => member.filter = Some(value.filter()?),
                _ => return Err(value.unknown(MEMBER_KEYS)),
            }
        }
        let missing = |key: &str| Problem(format!("{}a member has no `{key}`", at(node.line)));
        member.name = name.ok_or_else(|| missing("name"))?;
        member.url = url.ok_or_else(|| missing("url"))?;
        Ok(member)
    }

    fn with_store(self, opened: OpenedMember) -> TeeMember {
        let mut member = match opened {
            OpenedMember::Open(store) => TeeMember::new(self.name, store),
            OpenedMember::Late(late) => {
                let mut member = TeeMember::new(self.name, Arc::clone(&late));
                member.is_open = Some(Arc::new(move || late.is_open()));
                member
            }
        };
        member.role = self.role;
        member.timeout = self.timeout;
        if let Some(events) = self.backlog {
            member.max_events = events;
        }
        let names = |list: Vec<FilterName>| list.into_iter().map(|it| it.name).collect::<Vec<_>>();
        if let Some(FileFilter { include, exclude }) = self.filter {
            // Lists that are there and empty are an error.
            member.include = Some(include.map(names).unwrap_or_default());
            member.exclude = exclude.map(names);
        }
        member
    }
}

impl FileFilter {
    /// Reads both lists; Pryv's have the key `methods` around them.
    fn of(node: &SpannedValue, at: &dyn Fn(usize) -> String) -> Found<Self> {
        if let [only] = node.entries()
            && only.name == "methods"
        {
            return Self::of(&only.node, at);
        }
        let mut filter = Self::default();
        for entry in table(node, FILTER_KEYS, at)? {
            let value = Value { entry, at };
            let names = || {
                let names = value.texts()?.into_iter();
                Ok(Some(names.map(|(name, line)| FilterName { name, place: at(line) }).collect()))
            };
            match entry.name.as_str() {
                "include" => filter.include = names()?,
                "exclude" => filter.exclude = names()?,
                _ => return Err(value.unknown(FILTER_KEYS)),
            }
        }
        let is_empty = |list: &Option<Vec<FilterName>>| list.as_ref().is_none_or(Vec::is_empty);
        if is_empty(&filter.include) && is_empty(&filter.exclude) {
            let problem = "neither `include` nor `exclude` has an entry: expected event types, `resource.all` or `all`";
            return Err(Problem(format!("{}{problem}", at(node.line))));
        }
        Ok(filter)
    }

    fn check(&self, known: &[&EventType]) -> Found<()> {
        for (key, list) in [("include", &self.include), ("exclude", &self.exclude)] {
            for FilterName { name, place } in list.iter().flatten() {
                EventTypeFilter::new(Some(std::slice::from_ref(name)), None, known)
                    .map_err(|error| Problem(format!("{place}`{key}`: {}", error.problem)))?;
            }
        }
        Ok(())
    }
}

/// A value and its key.
struct Value<'v> {
    entry: &'v TableEntry,
    at: &'v dyn Fn(usize) -> String,
}

impl<'v> Value<'v> {
    fn problem(&self, problem: &str) -> Problem {
        Problem(format!("{}`{}`: {problem}", (self.at)(self.entry.line), self.entry.name))
    }

    fn unknown(&self, keys: &str) -> Problem {
        Problem(format!("{}{:?} is unknown: expected {keys}", (self.at)(self.entry.line), excerpt(&self.entry.name)))
    }

    fn expected(&self, what: &str) -> Problem {
        self.problem(&format!("{}: expected {what}", self.entry.node.value.kind()))
    }

    fn text(&self) -> Found<&'v str> {
        match &self.entry.node.value {
            RawValue::Text(text) => Ok(text),
            _ => Err(self.expected("a text")),
        }
    }

    fn flag(&self) -> Found<bool> {
        match self.entry.node.value {
            RawValue::Bool(flag) => Ok(flag),
            _ => Err(self.expected("true or false")),
        }
    }

    fn number(&self, range: std::ops::RangeInclusive<usize>) -> Found<usize> {
        let number = match self.entry.node.value {
            RawValue::Int(number) => usize::try_from(number).ok().filter(|number| range.contains(number)),
            _ => None,
        };
        number.ok_or_else(|| self.problem(&format!("expected a number from {} to {}", range.start(), range.end())))
    }

    fn list(&self) -> Found<&'v [SpannedValue]> {
        match &self.entry.node.value {
            RawValue::List(items) => Ok(items),
            _ => Err(self.expected("a list")),
        }
    }

    /// Returns the texts of a list, each with its line.
    fn texts(&self) -> Found<Vec<(String, usize)>> {
        let text = |item: &SpannedValue| match &item.value {
            RawValue::Text(text) => Ok((text.clone(), item.line)),
            other => Err(self.problem(&format!("{}: expected a list of texts", other.kind()))),
        };
        self.list()?.iter().map(text).collect()
    }

    fn quorum(&self) -> Found<Quorum> {
        match &self.entry.node.value {
            RawValue::Text(text) if text == "all" => Some(Quorum::All),
            RawValue::Text(text) if text == "any" => Some(Quorum::Any),
            RawValue::Int(number) => usize::try_from(*number).ok().and_then(NonZeroUsize::new).map(Quorum::AtLeast),
            _ => None,
        }
        .ok_or_else(|| self.problem("expected `all`, `any`, or the number of members, at least 1"))
    }

    /// Checks a URL; it is not shown.
    fn url(&self, url: String) -> Found<String> {
        match url.split_once(':') {
            Some((NAME, _)) => Err(self.problem("a tee is no member of a tee: list its members here")),
            _ => Ok(url),
        }
    }

    /// Reads a filter: here, or in a file of its own.
    fn filter(&self) -> Found<FileFilter> {
        let RawValue::Text(path) = &self.entry.node.value else { return FileFilter::of(&self.entry.node, self.at) };
        let path = Path::new(path);
        let root = root_of(path)?;
        FileFilter::of(&root, &|line| format!("{}, line {line}: ", path.display()))
    }
}

fn table<'v>(node: &'v SpannedValue, keys: &str, at: &dyn Fn(usize) -> String) -> Found<&'v [TableEntry]> {
    match &node.value {
        RawValue::Table(entries) => Ok(entries),
        other => Err(Problem(format!("{}{}: expected a table with {keys}", at(node.line), other.kind()))),
    }
}

/// Reads a file in the language that its name tells.
fn root_of(path: &Path) -> Found<SpannedValue> {
    let shown = path.display();
    let unreadable = |FileError { line, problem, source }: FileError| {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let cause = source.map(|source| format!(": {source}")).unwrap_or_default();
        Problem(format!("{shown}{line}: {problem}{cause}"))
    };
    let text = contents(path).map_err(unreadable)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => SpannedValue::from_toml(&text).map_err(unreadable),
        // JSON is YAML.
        Some("yaml" | "yml" | "json") => SpannedValue::from_yaml(&text).map_err(unreadable),
        _ => Err(Problem(format!("{shown}: expected a file that ends in `.toml`, `.yaml`, `.yml` or `.json`"))),
    }
}

fn config(hint: String) -> StoreError {
    StoreError::new(StoreErrorKind::Config, NAME, "opening").with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDING: &str = "yaml";

    fn read(extension: &str, text: &str) -> Result<TeeFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("tee.{extension}"));
        std::fs::write(&path, text).unwrap();
        let folder = format!("{}/", folder.path().display());
        TeeFile::read(&path).map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn both_languages_say_the_same() {
        let toml = r#"
            quorum = "any"
            read = "local"
            declare = ["orders.get", "orders.list"]
            [[members]]
            name = "local"
            url = "memory:"
            [[members]]
            name = "alarms"
            url = "syslog:///dev/log"
            required = false
            timeout_ms = 500
            backlog = 100
            filter = { include = ["auth", "orders.all"], exclude = ["orders.list"] }
        "#;
        let yaml = r#"
quorum: any
read: local
declare: [orders.get, orders.list]
members:
  - name: local
    url: "memory:"
  - name: alarms
    url: syslog:///dev/log
    required: false
    timeout_ms: 500
    backlog: 100
    filter:
      methods:
        include: [auth, orders.all]
        exclude: [orders.list]
"#;
        for file in [read("toml", toml).unwrap(), read("yaml", yaml).unwrap()] {
            let [local, alarms] = file.members.as_slice() else { panic!("two members") };
            assert_eq!((local.name.as_str(), local.url.as_str(), local.role), ("local", "memory:", None));
            assert!(local.is_read && !local.may_be_late() && alarms.may_be_late());
            assert_eq!(alarms.role, Some(Role::BestEffort));
            assert_eq!((alarms.timeout, alarms.backlog), (Some(Duration::from_millis(500)), Some(100)));
            let filter = alarms.filter.as_ref().unwrap();
            assert_eq!(filter.include.as_ref().unwrap().len() + filter.exclude.as_ref().unwrap().len(), 3);
        }
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        let member = "members:\n  - name: a\n    url: 'memory:'\n";
        for (text, named) in [
            ("[1]".to_owned(), "tee.yaml, line 1: a list: expected a table with `members`"),
            (format!("{member}quorum: 0"), "tee.yaml, line 4: `quorum`: expected `all`, `any`, or the number"),
            (format!("{member}quorum: most"), "line 4: `quorum`: expected `all`"),
            (format!("{member}read: b"), "line 4: `read`: \"b\" is no member"),
            (format!("{member}unmatched: drop"), "line 4: `unmatched`: expected `refuse` or `discard`"),
            (format!("{member}declare: [A]"), "line 4: `declare`: "),
            (format!("{member}colour: red"), "line 4: \"colour\" is unknown: expected `members`"),
            (format!("{member}    required: maybe"), "line 4: `required`: a text: expected true or false"),
            (format!("{member}    timeout_ms: 0"), "line 4: `timeout_ms`: expected a number from 1"),
            (
                format!("{member}    filter: {{include: [event.get]}}"),
                "line 4: `include`: \"event.get\" is no known event type",
            ),
            (
                format!("{member}    filter:\n      exclude:\n      - auth\n      - event.all"),
                "line 7: `exclude`: \"event.all\" matches no event type",
            ),
            (
                format!("{member}    filter: {{include: [], exclude: []}}"),
                "line 4: neither `include` nor `exclude` has an entry",
            ),
            (
                format!("{member}    filter: {{methods: {{includes: []}}}}"),
                "line 4: \"includes\" is unknown: expected `include`",
            ),
            (format!("{member}    filter: nowhere.json"), "nowhere.json: the file cannot be read"),
            (format!("{member}    filter: nowhere.txt"), "nowhere.txt: the file cannot be read"),
            (format!("{member}    url_env: X"), "line 4: `url_env`: `url` and `url_env` both"),
            (
                "members:\n  - name: a\n    url_env: TOWER_AUDIT_NOT_SET".to_owned(),
                "line 3: `url_env`: the environment variable",
            ),
            (
                "members:\n  - name: a\n    url: 'tee:other.toml'".to_owned(),
                "line 3: `url`: a tee is no member of a tee",
            ),
            ("members:\n  - name: a".to_owned(), "line 2: a member has no `url`"),
            ("members:\n  - url: 'memory:'".to_owned(), "line 2: a member has no `name`"),
            ("members: [".to_owned(), "not YAML"),
        ] {
            let error = read(ENDING, &text).err().unwrap_or_else(|| panic!("{text:?} is read"));
            assert!(error.contains(named), "{text:?}: {error}");
        }
        assert!(read("conf", "").err().unwrap().contains("expected a file that ends in `.toml`"));
        assert!(read("toml", "quorum = [").err().unwrap().contains("not TOML"));
    }
}
