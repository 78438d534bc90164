//! The names of the tables, quoted. Every name in a statement has its database before it.

use std::fmt;
use std::sync::Arc;

use super::error::config;
use crate::event::excerpt;
use crate::store::StoreError;

/// The tables of one log.
#[derive(Clone)]
pub(super) struct Identifiers {
    database: Arc<str>,
    table: Arc<str>,
}

impl Identifiers {
    pub(super) fn new(database: &str, table: &str) -> Result<Self, StoreError> {
        for (what, name, most) in [("database", database, MAX_NAME_CHARS), ("table", table, MAX_TABLE_CHARS)] {
            let is_name = (1..=most).contains(&name.chars().count())
                && name.chars().all(|c| c != '\0' && c <= '\u{FFFF}')
                && !name.ends_with(' ');
            if !is_name {
                return Err(config(format!(
                    "{:?} is no name for a {what}: expected 1 to {most} characters up to U+FFFF without U+0000 and without a \
                     blank at the end",
                    excerpt(name)
                )));
            }
        }
        Ok(Self { database: database.into(), table: table.into() })
    }

    /// The bare name of the database, to be bound.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// The bare name of a table beside that of the events, to be bound; `""` for that one itself.
    pub(super) fn unquoted(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.table)
    }

    /// The quoted name of the table of the events.
    pub(super) fn table(&self) -> String {
        self.side_table("")
    }

    /// The quoted name of a table beside it.
    pub(super) fn side_table(&self, suffix: &str) -> String {
        format!("{}.{}", quote_identifier(&self.database), quote_identifier(&self.unquoted(suffix)))
    }

    /// The name of the lock of who changes the tables: named locks are those of the whole server.
    pub(super) fn schema_lock(&self) -> String {
        let bytes = self.database.bytes().chain(*b"\0").chain(self.table.bytes());
        // FNV-1a.
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("tower_audit.schema.{hash:016x}")
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}

/// A name between backticks.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The table of open events, of writers, and of the version.
pub(super) const STARTED: &str = "_started";
pub(super) const WRITERS: &str = "_writers";
pub(super) const VERSION: &str = "_version";
/// The tables of the seal.
pub(super) const LEAVES: &str = "_leaves";
pub(super) const NODES: &str = "_nodes";
pub(super) const CHECKPOINTS: &str = "_checkpoints";
pub(super) const REMOVALS: &str = "_removals";
pub(super) const SEAL_TABLES: [&str; 4] = [LEAVES, NODES, CHECKPOINTS, REMOVALS];
const MAX_NAME_CHARS: usize = 64;
/// Names beside it are longer.
const MAX_TABLE_CHARS: usize = 40;
