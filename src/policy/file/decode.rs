//! From the values of a policy file to a policy.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config_file::{RawValue, SpannedValue, TableEntry};
use crate::event::EventType;
use crate::event::excerpt;
use crate::policy::error::Location;
use crate::policy::{
    ApiKeySource, AuditPolicy, BodyCapture, FailMode, PolicyBuilder, PolicyError, ProxyHeader, QueryString, RecordWhen,
    RequestPath, Rule, presets,
};

const ROOT_KEYS: &[&str] = &["preset", "base_path", "max_results", "rules", "declare", "filter", "capture"];
const RULE_KEYS: &[&str] = &[
    "type",
    "methods",
    "paths",
    "when",
    "write_ahead",
    "body_end",
    "target",
    "domain",
    "action",
    "headers",
    "query",
    "body",
    "fail_mode",
];
const FILTER_KEYS: &[&str] = &["include", "exclude"];
const CAPTURE_KEYS: &[&str] =
    &["trusted_proxies", "proxy_header", "query_string", "path", "api_key", "default_target", "redact"];

/// Adds the rules of a preset.
type AddPreset = fn(PolicyBuilder) -> PolicyBuilder;

/// The values of `preset`.
const PRESETS: &[(&str, AddPreset)] =
    &[("mutations", PolicyBuilder::preset_mutations), ("ivre", PolicyBuilder::preset_ivre)];

type Result<T> = std::result::Result<T, PolicyError>;

/// The language of a file: what an error advises is written in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Language {
    Toml,
    Yaml,
}

impl Language {
    /// Returns a key with a text as its value.
    fn setting(self, key: &str, value: &str) -> String {
        match self {
            Self::Toml => format!("`{key} = \"{value}\"`"),
            Self::Yaml => format!("`{key}: {value}`"),
        }
    }
}

/// Returns the policy that a file describes.
pub(super) fn policy(root: &SpannedValue, language: Language) -> Result<AuditPolicy> {
    builder(root, language)?.build().map_err(|error| {
        let line = line_of(root, error.location());
        error.on_line(line)
    })
}

fn builder(root: &SpannedValue, language: Language) -> Result<PolicyBuilder> {
    let table = KnownTable::new(root, Location::default(), "", ROOT_KEYS)?;
    if !["preset", "rules", "declare"].iter().any(|key| root.entry(key).is_some()) {
        let preset = language.setting("preset", "mutations");
        let problem = format!("nothing would be audited: expected {preset}, or `rules`, or `declare`");
        return Err(PolicyError::new(Location::default(), problem));
    }

    let mut builder = AuditPolicy::builder();
    if let Some(rules) = table.field("rules") {
        for (index, node) in rules.list()?.iter().enumerate() {
            builder = builder.rule(rule(index, node)?);
        }
    }
    if let Some(preset) = table.field("preset") {
        builder = preset.choice(PRESETS)?(builder);
    }
    if let Some(base_path) = table.field("base_path") {
        builder = builder.base_path(base_path.text()?);
    }
    if let Some(max_results) = table.field("max_results") {
        builder = builder.max_results(max_results.count()?);
    }
    if let Some(declare) = table.field("declare") {
        builder = builder.declare(declare.texts()?);
    }
    if let Some(filter) = table.table("filter", FILTER_KEYS)? {
        // The table alone is as good as two empty lists, which are an error.
        builder = builder.include([""; 0]);
        if let Some(include) = filter.field("include") {
            builder = builder.include(include.texts()?);
        }
        if let Some(exclude) = filter.field("exclude") {
            builder = builder.exclude(exclude.texts()?);
        }
    }
    match table.table("capture", CAPTURE_KEYS)? {
        Some(table) => capture(&table, builder),
        None => Ok(builder),
    }
}

fn rule(index: usize, node: &SpannedValue) -> Result<Rule> {
    let name = match node.entry("type").map(|entry| &entry.node.value) {
        Some(RawValue::Text(name)) => name.as_str(),
        _ => "",
    };
    let place = Location { rule: Some((index, excerpt(name).escape_debug().to_string())), ..Location::default() };
    let table = KnownTable::new(node, place, "", RULE_KEYS)?;
    let Some(field) = table.field("type") else {
        let place = Location { key: Some("type".to_owned()), ..table.place };
        return Err(PolicyError::new(place, "is missing: expected the type of the events").on_line(node.line));
    };
    let event_type = EventType::new(field.text()?).map_err(|error| field.error(error.to_string()))?;

    // The paths of IVRE are no default: without `paths` a rule of another app would match nothing, silently.
    let built_in = [presets::ivre::upload().without_paths(), presets::ivre::admin_action().without_paths()];
    let built_in = built_in.into_iter().find(|rule| *rule.event_type() == event_type);
    let mut rule = built_in.unwrap_or_else(|| Rule::new(event_type));
    if let Some(methods) = table.field("methods") {
        rule = match &methods.node().value {
            RawValue::Text(text) if text == "any" => rule.any_method(),
            RawValue::Text(text) if text == "unsafe" => rule.unsafe_methods(),
            RawValue::List(_) => rule.methods(methods.texts()?),
            _ => return Err(methods.expected("a list of methods, \"any\" or \"unsafe\"")),
        };
    }
    if let Some(paths) = table.field("paths") {
        rule = rule.paths(paths.texts()?);
    }
    if let Some(when) = table.field("when") {
        rule = rule.when(self::when(&when)?);
    }
    if let Some(write_ahead) = table.flag("write_ahead")? {
        rule = rule.write_ahead(write_ahead);
    }
    if let Some(body_end) = table.flag("body_end")? {
        rule = rule.body_end(body_end);
    }
    if let Some(target) = table.field("target") {
        rule = match target.text()? {
            "off" => rule.without_target(),
            text => match text.split_once('/') {
                Some((target_type, id)) => rule.target(target_type, id),
                None => {
                    return Err(
                        target.expected("TYPE/ID with parameters of the path, such as \"order/{id}\", or \"off\"")
                    );
                }
            },
        };
    }
    match (table.field("domain"), table.field("action")) {
        (Some(domain), Some(action)) => rule = rule.classify(domain.text()?, action.text()?),
        (Some(domain), None) => return Err(domain.error("has no effect without `action`")),
        (None, Some(action)) => return Err(action.error("has no effect without `domain`")),
        (None, None) => {}
    }
    if let Some(names) = table.field("headers") {
        rule = rule.capture_headers(names.texts()?);
    }
    if let Some(names) = table.field("query") {
        rule = rule.capture_query(names.texts()?);
    }
    if let Some(body) = table.field("body") {
        rule = rule.capture_body(body.choice(&[("digest", BodyCapture::Digest), ("redacted", BodyCapture::Redacted)])?);
    }
    if let Some(fail) = table.field("fail_mode") {
        let modes = [("closed", FailMode::Closed), ("open", FailMode::Open)];
        rule = rule.fail_mode(fail.choice(&modes)?);
    }
    Ok(rule)
}

fn when(field: &TableField<'_>) -> Result<RecordWhen> {
    let RawValue::List(items) = &field.node().value else { return when_item(field, field.node(), None) };
    let mut when = RecordWhen::statuses([]);
    for (index, item) in items.iter().enumerate() {
        when = when.or(when_item(field, item, Some(index))?);
    }
    Ok(when)
}

fn when_item(field: &TableField<'_>, node: &SpannedValue, index: Option<usize>) -> Result<RecordWhen> {
    const EXPECTED: &str = "`always`, `success`, `effect_possible`, `abnormal`, `declared`, a status such as 404, or a \
                            range such as \"4xx\" or \"200-299\"";
    let status = |number: u16| Some(number).filter(|number| (100..=999).contains(number));
    let when = match &node.value {
        RawValue::Int(number) => {
            u16::try_from(*number).ok().and_then(status).map(|number| RecordWhen::statuses([number]))
        }
        RawValue::Text(text) => match text.as_str() {
            "always" => Some(RecordWhen::always()),
            "success" => Some(RecordWhen::success()),
            "effect_possible" => Some(RecordWhen::effect_possible()),
            "abnormal" => Some(RecordWhen::abnormal()),
            "declared" => Some(RecordWhen::declared()),
            text => range(text)
                .and_then(|(first, last)| status(first).zip(status(last)))
                .filter(|(first, last)| first <= last)
                .map(|(first, last)| RecordWhen::statuses(first..=last)),
        },
        _ => None,
    };
    when.ok_or_else(|| {
        let shown = excerpt_of(&node.value);
        let mut place = field.place.clone();
        place.item = index;
        PolicyError::new(place, format!("{shown}: expected {EXPECTED}")).on_line(node.line)
    })
}

/// `4xx`, `200-299`, `404`.
fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    if let Some(hundreds) = text.strip_suffix("xx") {
        let first = number(&format!("{hundreds}00"))?;
        return Some((first, first + 99));
    }
    match text.split_once('-') {
        Some((first, last)) => number(first.trim_end()).zip(number(last.trim_start())),
        None => number(text).map(|number| (number, number)),
    }
}

fn capture(table: &KnownTable<'_>, mut builder: PolicyBuilder) -> Result<PolicyBuilder> {
    let headers = [("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)];
    let header = table.field("proxy_header");
    match (table.field("trusted_proxies"), header) {
        (Some(proxies), header) => {
            let mut nets = Vec::new();
            for (index, text) in proxies.texts()?.into_iter().enumerate() {
                let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
                nets.push(net.ok_or_else(|| {
                    let expected =
                        "is no network: expected an address such as 10.0.0.1, or a network such as 10.0.0.0/8";
                    proxies.item_error(index, format!("{:?} {expected}", excerpt(text)))
                })?);
            }
            let header = header.map(|header| header.choice(&headers)).transpose()?.unwrap_or_default();
            builder = builder.trusted_proxies(nets, header);
        }
        (None, Some(header)) => return Err(header.error("has no effect without `trusted_proxies`")),
        (None, None) => {}
    }

    if let Some(query) = table.field("query_string") {
        builder =
            builder.query_string(query.choice(&[("off", QueryString::Off), ("redacted", QueryString::Redacted)])?);
    }
    if let Some(path) = table.field("path") {
        let parts = [
            ("redacted", RequestPath::Redacted),
            ("as-sent", RequestPath::AsSent),
            ("template", RequestPath::Template),
        ];
        builder = builder.request_path(path.choice(&parts)?);
    }
    if let Some(api_key) = table.field("api_key") {
        let sources = [
            ("both", ApiKeySource::Both),
            ("x-api-key", ApiKeySource::XApiKey),
            ("bearer", ApiKeySource::Bearer),
            ("off", ApiKeySource::Off),
        ];
        builder = builder.api_key(api_key.choice(&sources)?);
    }
    if let Some(default_target) = table.flag("default_target")? {
        builder = builder.default_target(default_target);
    }
    if let Some(names) = table.field("redact") {
        builder = builder.redact(names.texts()?);
    }
    Ok(builder)
}

/// A table all of whose keys are known.
struct KnownTable<'n> {
    node: &'n SpannedValue,
    /// Without a key.
    place: Location,
    /// The prefix of its keys in an error: `filter.`.
    prefix: String,
}

impl<'n> KnownTable<'n> {
    fn new(node: &'n SpannedValue, place: Location, prefix: &str, known: &[&str]) -> Result<Self> {
        match node.value {
            RawValue::Table(_) => {}
            // An empty file, or an empty YAML table.
            RawValue::Null if place == Location::default() => {}
            _ => {
                let problem =
                    format!("{}: expected a table with keys such as `{}`", node.value.kind(), known.join("`, `"));
                return Err(PolicyError::new(place, problem).on_line(node.line));
            }
        }
        let table = Self { node, place, prefix: prefix.to_owned() };
        for entry in node.entries() {
            if !known.contains(&entry.name.as_str()) {
                let place = table.key(&excerpt(&entry.name).escape_debug().to_string());
                let problem = format!("is unknown: expected one of `{}`", known.join("`, `"));
                return Err(PolicyError::new(place, problem).on_line(entry.line));
            }
        }
        Ok(table)
    }

    fn field(&self, name: &str) -> Option<TableField<'n>> {
        self.node.entry(name).map(|entry| TableField { entry, place: self.key(name) })
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(field) = self.field(name) else { return Ok(None) };
        match field.node().value {
            RawValue::Bool(flag) => Ok(Some(flag)),
            _ => Err(field.expected("true or false")),
        }
    }

    fn table(&self, name: &str, known: &[&str]) -> Result<Option<Self>> {
        let Some(field) = self.field(name) else { return Ok(None) };
        if !matches!(field.node().value, RawValue::Table(_)) {
            return Err(field.expected(&format!("a table with keys such as `{}`", known.join("`, `"))));
        }
        KnownTable::new(field.entry.node(), Location::default(), &format!("{name}."), known).map(Some)
    }

    fn key(&self, name: &str) -> Location {
        Location { key: Some(format!("{}{name}", self.prefix)), ..self.place.clone() }
    }
}

/// A key that is there.
struct TableField<'n> {
    entry: &'n TableEntry,
    place: Location,
}

impl<'n> TableField<'n> {
    fn node(&self) -> &'n SpannedValue {
        &self.entry.node
    }

    fn error(&self, problem: impl Into<String>) -> PolicyError {
        PolicyError::new(self.place.clone(), problem).on_line(self.entry.line)
    }

    fn item_error(&self, index: usize, problem: String) -> PolicyError {
        let line = self.node().items().get(index).map_or(self.entry.line, |item| item.line);
        PolicyError::new(self.place.clone().item(index), problem).on_line(line)
    }

    fn expected(&self, expected: &str) -> PolicyError {
        self.error(format!("{}: expected {expected}", excerpt_of(&self.node().value)))
    }

    fn text(&self) -> Result<&'n str> {
        match &self.node().value {
            RawValue::Text(text) => Ok(text),
            value => Err(self.error(format!("{}: expected a text", value.kind()))),
        }
    }

    fn list(&self) -> Result<&'n [SpannedValue]> {
        match &self.node().value {
            RawValue::List(items) => Ok(items),
            value => Err(self.error(format!("{}: expected a list", value.kind()))),
        }
    }

    fn texts(&self) -> Result<Vec<&'n str>> {
        let text = |(index, item): (usize, &'n SpannedValue)| match &item.value {
            RawValue::Text(text) => Ok(text.as_str()),
            value => Err(self.item_error(index, format!("{}: expected a text", excerpt_of(value)))),
        };
        self.list()?.iter().enumerate().map(text).collect()
    }

    fn count(&self) -> Result<u64> {
        let count = match &self.node().value {
            RawValue::Int(count) => u64::try_from(*count).ok(),
            _ => None,
        };
        count.ok_or_else(|| self.expected("a number from 0"))
    }

    fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let chosen = match &self.node().value {
            RawValue::Text(text) => choices.iter().find(|(name, _)| name == text),
            _ => None,
        };
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.expected(&names.join(" or "))
        })
    }
}

impl TableEntry {
    fn node(&self) -> &SpannedValue {
        &self.node
    }
}

/// A value as an error shows it.
fn excerpt_of(value: &RawValue) -> String {
    match value {
        RawValue::Text(text) => format!("{:?}", excerpt(text)),
        RawValue::Int(number) => number.to_string(),
        RawValue::Bool(flag) => flag.to_string(),
        other => other.kind().to_owned(),
    }
}

/// The line of what an error is about, as near as the file has it.
fn line_of(root: &SpannedValue, place: &Location) -> usize {
    let (mut line, mut node) = (root.line, root);
    if let Some((index, _)) = place.rule
        && let Some(rule) = root.entry("rules").and_then(|rules| rules.node.items().get(index))
    {
        (line, node) = (rule.line, rule);
    }
    for name in place.key.iter().flat_map(|key| key.split('.')) {
        match node.entry(name) {
            Some(entry) => (line, node) = (entry.line, &entry.node),
            None => return line,
        }
    }
    place.item.and_then(|item| node.items().get(item)).map_or(line, |item| item.line)
}
