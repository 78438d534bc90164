//! The log's own relations, and those that are missing.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::relation::{Place, Relation, relations};
use crate::log_lines::log_line;
use crate::store::StoreError;
use crate::store::postgres::error::{DuringOperation as _, config};
use crate::store::postgres::expected_schema::{DEFAULT, OPEN_INDEX, PARTITION_KEY, TABLES_BESIDE, VERSION};
use crate::store::postgres::identifiers::{
    CREATE_PARTITION, DROP_PARTITION, Identifiers, VERSION as VERSION_TABLE, quote_identifier,
};

/// The relations with the names of a log, without the monthly partitions.
pub(in crate::store::postgres) struct Survey {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) relations: HashMap<String, Relation>,
    functions: usize,
    version: Option<i32>,
}

/// Parts of a log that are missing, and that its owner can make again without a loss.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::postgres) struct Missing {
    pub(in crate::store::postgres) parts: Vec<String>,
    /// Nothing can be read or appended without them.
    pub(in crate::store::postgres) is_fatal: bool,
}

impl Survey {
    /// Looks without a change.
    pub(in crate::store::postgres) async fn of(
        db: &mut PgConnection,
        names: &Identifiers,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let relations = relations(db, names, doing).await?;
        let functions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             WHERE n.nspname = $1 AND p.proname = ANY($2)",
        )
        .bind(names.schema())
        .bind([CREATE_PARTITION, DROP_PARTITION].map(|function| names.unquoted(function)))
        .fetch_one(&mut *db)
        .await
        .during(doing)?;
        let mut survey = Self {
            schema: names.schema().to_owned(),
            table: names.unquoted(""),
            relations,
            functions: usize::try_from(functions).unwrap_or(0),
            version: None,
        };
        survey.read_version(db, names, doing).await?;
        Ok(survey)
    }

    pub(super) fn get(&self, suffix: &str) -> Option<&Relation> {
        self.relations.get(&format!("{}{suffix}", self.table))
    }

    /// Reports that something has this name.
    pub(in crate::store::postgres) fn has(&self, name: &str) -> bool {
        self.relations.contains_key(name)
    }

    /// Reads the version, if there is a table of it.
    async fn read_version(
        &mut self,
        db: &mut PgConnection,
        names: &Identifiers,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        if self.get(VERSION_TABLE).is_some_and(|table| self.is_ours(VERSION_TABLE, table)) {
            // No append reads this table. Waiting for it would keep sessions from being opened.
            if is_locked(db, names, doing).await? {
                log_line(|| {
                    tracing::warn!("the table of the audit log's version is locked: it is taken to be as before")
                });
                self.version = Some(VERSION);
                return Ok(());
            }
            let sql = format!("SELECT version FROM {}", names.side_table(VERSION_TABLE));
            self.version = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(db).await.during(doing)?;
        }
        Ok(())
    }

    /// An error if the tables are of a version that this program does not know.
    pub(in crate::store::postgres) fn refuse_other_version(&self) -> Result<(), StoreError> {
        match self.version {
            None | Some(VERSION) => Ok(()),
            Some(other) => Err(config(format!(
                "the tables have version {other} and this program knows version {VERSION}: use the program that made them"
            ))),
        }
    }

    /// The table of the events, if what has its name is one.
    pub(super) fn events(&self) -> Option<&Relation> {
        self.get("").filter(|events| events.kind == 'p' && events.partition_key.as_deref() == Some(PARTITION_KEY))
    }

    pub(super) fn is_events(&self, place: &Place) -> bool {
        self.events().is_some() && place.0 == self.schema && place.1 == self.table
    }

    /// The place of the events, if their table was renamed or moved: its partitions still belong to it.
    pub(super) fn moved(&self) -> Option<&Place> {
        if self.events().is_some() {
            return None;
        }
        let default = self.get(DEFAULT).filter(|default| default.kind == 'r')?;
        // A table that was made in the place of ours has no part of ours.
        default.of.as_ref()
    }

    /// Reports that what has this name is the log's.
    pub(super) fn is_ours(&self, suffix: &str, relation: &Relation) -> bool {
        if let Some((_, columns)) = TABLES_BESIDE.iter().find(|(known, _)| *known == suffix) {
            return relation.kind == 'r' && columns.iter().all(|column| relation.has(column));
        }
        let is_part = relation.of.as_ref().is_none_or(|of| self.is_events(of) || self.moved() == Some(of));
        match suffix {
            "" => self.events().is_some(),
            DEFAULT => relation.kind == 'r' && is_part && (relation.of.is_some() || relation.has("event_id uuid")),
            OPEN_INDEX => {
                relation.of.as_ref().is_some_and(|of| of.0 == self.schema && of.1 == format!("{}_started", self.table))
            }
            _ => matches!(relation.kind, 'i' | 'I') && is_part,
        }
    }

    fn sequence(&self) -> Option<&Relation> {
        self.relations.get(&format!("seq_{}_id", self.table))
    }

    /// Reports that nothing of a log is there: what numbers no rows may be left over from a table that was dropped.
    pub(in crate::store::postgres) fn is_empty(&self) -> bool {
        TABLES_BESIDE.iter().all(|(suffix, _)| self.get(suffix).is_none()) && self.get("").is_none()
    }

    /// The bare names of the tables that are there.
    pub(in crate::store::postgres) fn tables(&self) -> Vec<String> {
        let suffixes = TABLES_BESIDE.iter().map(|(suffix, _)| *suffix).chain([""]);
        // A part goes with the whole.
        let detached = self.get(DEFAULT).filter(|default| default.of.is_none()).map(|_| DEFAULT);
        suffixes
            .filter(|suffix| self.get(suffix).is_some())
            .chain(detached)
            .map(|suffix| format!("{}{suffix}", self.table))
            .collect()
    }

    /// The missing parts that can be created again.
    pub(in crate::store::postgres) fn missing(&self) -> Option<Missing> {
        let mut parts = Vec::new();
        for suffix in TABLES_BESIDE.iter().map(|(suffix, _)| *suffix).chain([""]) {
            if self.get(suffix).is_none() {
                parts.push(format!("the table {}", quote_identifier(&format!("{}{suffix}", self.table))));
            }
        }
        let is_fatal = !parts.is_empty();
        if self.get(DEFAULT).is_none() {
            parts.push("the default partition".to_owned());
        }
        if self.sequence().is_none() {
            parts.push("the sequence".to_owned());
        }
        if let Some(events) = self.events() {
            // All that a statement need not give has a default.
            for name in ["id", "phase", "event"] {
                if events.columns.iter().any(|column| column.name == name && column.must_be_given) {
                    parts.push(format!("the default of {name}"));
                }
            }
        }
        if self.get(VERSION_TABLE).is_some() && self.version.is_none() {
            parts.push("the version".to_owned());
        }
        if self.functions < 2 {
            parts.push("the functions that create and drop partitions".to_owned());
        }
        (!parts.is_empty()).then_some(Missing { parts, is_fatal })
    }
}

/// Returns true if another session has locked out readers of the version.
async fn is_locked(db: &mut PgConnection, names: &Identifiers, doing: &'static str) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted \
         AND l.pid <> pg_catalog.pg_backend_pid() AND n.nspname = $1 AND c.relname = $2 AND l.database = \
            (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))",
    )
    .bind(names.schema())
    .bind(names.unquoted(VERSION_TABLE))
    .fetch_one(db)
    .await
    .during(doing)
}
