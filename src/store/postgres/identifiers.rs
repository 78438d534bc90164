//! The names of the tables, quoted.
//!
//! Every name in a statement has its schema before it: what `search_path` says decides nothing.

use std::fmt;
use std::sync::Arc;

use super::error::config;
use crate::event::excerpt;
use crate::store::StoreError;

/// The tables of one log.
#[derive(Clone)]
pub(super) struct Identifiers {
    schema: Arc<str>,
    table: Arc<str>,
    /// The prefix of the roles' names, if one is configured.
    roles: Option<Arc<str>>,
}

impl Identifiers {
    pub(super) fn new(schema: &str, table: &str, roles: Option<&str>) -> Result<Self, StoreError> {
        let prefix = roles.map(|roles| ("prefix of roles", roles, MAX_ROLE_PREFIX_BYTES));
        for (what, name, most) in
            [("schema", schema, MAX_NAME_BYTES), ("table", table, MAX_TABLE_BYTES)].into_iter().chain(prefix)
        {
            if name.is_empty() || name.len() > most || name.contains('\0') {
                return Err(config(format!(
                    "{:?} is no name for a {what}: expected 1 to {most} bytes without U+0000",
                    excerpt(name)
                )));
            }
        }
        Ok(Self { schema: schema.into(), table: table.into(), roles: roles.map(Into::into) })
    }

    /// The bare name of the schema, to be bound.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// The prefix of the roles' names, if one is configured.
    pub(super) fn roles(&self) -> Option<&str> {
        self.roles.as_deref()
    }

    /// The bare name of a table beside the one of the events, to be bound; `""` for that one itself.
    pub(super) fn unquoted(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.table)
    }

    /// The quoted name of the table of the events.
    pub(super) fn table(&self) -> String {
        self.side_table("")
    }

    /// The quoted name of what stands beside it.
    pub(super) fn side_table(&self, suffix: &str) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.unquoted(suffix)))
    }

    /// The bare name of the sequence that numbers the events.
    pub(super) fn bare_sequence(&self) -> String {
        format!("seq_{}_id", self.table)
    }

    /// The quoted name of the sequence that numbers the events.
    pub(super) fn sequence(&self) -> String {
        format!("{}.{}", self.quoted_schema(), quote_identifier(&self.bare_sequence()))
    }

    /// The quoted name of the schema.
    pub(super) fn quoted_schema(&self) -> String {
        quote_identifier(&self.schema)
    }

    /// Puts the names into a text with `{…}` in it: `{table}` and what is beside it, `{sequence}`, some of them as
    /// literals (`…_text`), `{bare}` to be put between double quotes with something after it, the `{lock_key}`, and
    /// `{body}` for what a function's body is put between.
    pub(super) fn expand(&self, template: &str) -> String {
        let mut parts = template.split('{');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let named = part.split_once('}').and_then(|(name, after)| Some((self.placeholder(name)?, after)));
            match named {
                Some((text, after)) => filled.extend([&text, after]),
                None => filled.extend(["{", part]),
            }
        }
        filled
    }

    /// The text for a placeholder.
    fn placeholder(&self, name: &str) -> Option<String> {
        Some(match name {
            "schema_text" => quote_literal(&self.schema),
            "bare_text" => quote_literal(&self.table),
            "bare" => self.table.replace('"', "\"\""),
            "sequence" => self.sequence(),
            "sequence_text" => quote_literal(&self.sequence()),
            "lock_key" => self.lock_key().to_string(),
            "body" => DOLLAR_QUOTE.to_owned(),
            _ => self.side_table(name.strip_prefix("table")?),
        })
    }

    /// The number of an advisory lock that no other program is likely to take: FNV-1a of the names.
    pub(super) fn lock_key(&self) -> i64 {
        let bytes = b"tower-audit\0".iter().chain(self.schema.as_bytes()).chain(b"\0").chain(self.table.as_bytes());
        hash(bytes.copied()).cast_signed()
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}

/// FNV-1a.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A name as an identifier, whatever is in it.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal that means the same whatever `standard_conforming_strings` is.
pub(super) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!(" E'{}'", doubled.replace('\\', r"\\")) } else { format!("'{doubled}'") }
}

/// Longer than any name, so that no name can have it within.
const DOLLAR_QUOTE: &str = "$a_body_with_names_in_it_of_63_bytes_at_the_most_ends_at_the_next_one_of_these$";

/// The function that creates a partition.
pub(super) const CREATE_PARTITION: &str = "_create_partition";
/// The function that drops a partition.
pub(super) const DROP_PARTITION: &str = "_drop_partition";
/// The `started` events that nothing has ended yet.
pub(super) const STARTED: &str = "_started";
/// The writers.
pub(super) const WRITERS: &str = "_writers";
/// The leaves of the seal.
pub(super) const LEAVES: &str = "_leaves";
/// The nodes of the seal.
pub(super) const NODES: &str = "_nodes";
/// The checkpoints of the seal.
pub(super) const CHECKPOINTS: &str = "_checkpoints";
/// The signed removals of the seal.
pub(super) const REMOVALS: &str = "_removals";
/// The version of the tables.
pub(super) const VERSION: &str = "_version";
/// PostgreSQL cuts names there.
pub(super) const MAX_NAME_BYTES: usize = 63;
/// The longest end of a role's name is `_appender`.
pub(super) const MAX_ROLE_PREFIX_BYTES: usize = MAX_NAME_BYTES - 9;
/// The other tables, indexes and functions have the table's name and a suffix.
const MAX_TABLE_BYTES: usize = 40;
