//! The values of a file in TOML or YAML, each with its line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
#[cfg(feature = "policy-file")]
use toml::de::{DeTable, DeValue};

use super::FileError;

/// The maximum nesting depth of a YAML file.
const MAX_YAML_DEPTH: usize = 16;

/// A value and the line on which it begins.
#[derive(Debug)]
pub(crate) struct SpannedValue {
    pub(crate) line: usize,
    pub(crate) value: RawValue,
}

#[derive(Debug)]
pub(crate) enum RawValue {
    Null,
    Bool(#[cfg_attr(not(feature = "policy-file"), expect(dead_code, reason = "rules of retention have none"))] bool),
    Int(i128),
    Text(String),
    List(Vec<SpannedValue>),
    /// In the order of the file.
    Table(Vec<TableEntry>),
    /// A value that no key takes, by its name: a date, a fraction.
    Other(&'static str),
}

/// A key, its line, and its value.
#[derive(Debug)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) node: SpannedValue,
}

impl SpannedValue {
    #[cfg(feature = "policy-file")]
    pub(crate) fn from_toml(text: &str) -> Result<Self, FileError> {
        let lines = LineIndex::of(text);
        let table = DeTable::parse(text).map_err(|error| {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            FileError::new(format!("not TOML: {}", one_line(error.message()))).on_line(line)
        })?;
        Ok(Self { line: 1, value: toml_table(table.get_ref(), &lines) })
    }

    pub(crate) fn from_yaml(text: &str) -> Result<Self, FileError> {
        // A policy has four levels, a list of rules two. The parser's own limit, 64, takes more than the stack of a thread in a build for tests.
        let budget = serde_saphyr::budget! { max_depth: MAX_YAML_DEPTH };
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true, budget: budget };
        let value: Spanned<Yaml> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(1, |location| line(location.line()));
            let message = error.to_string();
            // The position comes first in our own words.
            let message = message.split(" at line ").next().unwrap_or(&message);
            FileError::new(format!("not YAML: {}", one_line(message))).on_line(line)
        })?;
        Ok(Self { line: 1, value: value.value.0 })
    }

    pub(crate) fn entries(&self) -> &[TableEntry] {
        match &self.value {
            RawValue::Table(entries) => entries,
            _ => &[],
        }
    }

    #[cfg(feature = "policy-file")]
    pub(crate) fn entry(&self, name: &str) -> Option<&TableEntry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    #[cfg(feature = "policy-file")]
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            RawValue::List(items) => items,
            _ => &[],
        }
    }
}

impl RawValue {
    /// Returns the kind of the value, for an error.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

#[cfg(feature = "policy-file")]
fn toml_table(table: &DeTable<'_>, lines: &LineIndex) -> RawValue {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name_text: &std::borrow::Cow<'_, str> = name.get_ref();
        TableEntry { name: name_text.to_string(), line: lines.at(name.span().start), node: toml_node(value, lines) }
    };
    RawValue::Table(entries.into_iter().map(entry).collect())
}

#[cfg(feature = "policy-file")]
fn toml_node(node: &toml::Spanned<DeValue<'_>>, lines: &LineIndex) -> SpannedValue {
    let value = match node.get_ref() {
        DeValue::String(text) => RawValue::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(RawValue::Other("a huge number"), RawValue::Int),
        DeValue::Float(_) => RawValue::Other("a fraction"),
        DeValue::Boolean(value) => RawValue::Bool(*value),
        DeValue::Datetime(_) => RawValue::Other("a date"),
        DeValue::Array(items) => RawValue::List(items.iter().map(|item| toml_node(item, lines)).collect()),
        DeValue::Table(table) => toml_table(table, lines),
    };
    SpannedValue { line: lines.at(node.span().start), value }
}

/// A value of YAML; the lines are inside of it.
struct Yaml(RawValue);

fn yaml_node(value: Spanned<Yaml>) -> SpannedValue {
    SpannedValue { line: line(value.referenced.line()), value: value.value.0 }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor).map(Self)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(i128::try_from(value).map_or(RawValue::Other("a huge number"), RawValue::Int))
    }

    fn visit_f64<E>(self, _: f64) -> Result<RawValue, E> {
        Ok(RawValue::Other("a fraction"))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Yaml>>()? {
            list.push(yaml_node(item));
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, value)) = pairs.next_entry::<Spanned<String>, Spanned<Yaml>>()? {
            let line = line(name.referenced.line());
            entries.push(TableEntry { name: name.value, line, node: yaml_node(value) });
        }
        Ok(RawValue::Table(entries))
    }
}

/// The offsets at which the lines of a text begin.
#[cfg(feature = "policy-file")]
struct LineIndex(Vec<usize>);

#[cfg(feature = "policy-file")]
impl LineIndex {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|&start| start <= byte) + 1
    }
}

fn line(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX).max(1)
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}
