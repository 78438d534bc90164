//! A survey of the names of a log: its own relations, another application's, or its own and changed.
//!
//! A table is the log's by its columns, whatever the version table says: another application may have dropped ours and
//! made its own. Nothing of another's is touched, and nothing of ours that was changed is mended by a guess: the errors
//! have the statements that an owner can run as they stand.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::error::{DuringOperation as _, config};
use super::expected_schema::{self, COLUMNS, DEFAULT, KEY, OPEN_INDEX, PARTITION_KEY, TABLES_BESIDE, VERSION};
use super::identifiers::{
    CREATE_PARTITION, DROP_PARTITION, Identifiers, MAX_NAME_BYTES, VERSION as VERSION_TABLE, quote_identifier,
};
use crate::log_lines::log_line;
use crate::store::StoreError;

/// A schema and a name in it.
type Place = (String, String);

/// The relations with the names of a log, without the monthly partitions.
pub(super) struct Survey {
    schema: String,
    table: String,
    relations: HashMap<String, Relation>,
    functions: usize,
    version: Option<i32>,
}

struct Relation {
    /// `pg_class.relkind`.
    kind: char,
    columns: Vec<Found>,
    /// The partition key.
    partition_key: Option<String>,
    /// The id alone is its primary key.
    has_key: bool,
    /// The table that it is a part of, or an index of, or numbers the rows of.
    of: Option<Place>,
}

/// A column that there is.
#[derive(Deserialize)]
struct Found {
    name: String,
    kind: String,
    /// A row must give a value.
    must_be_given: bool,
}

/// Parts of a log that are missing, and that its owner can make again without a loss.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) parts: Vec<String>,
    /// Nothing can be read or appended without them.
    pub(super) is_fatal: bool,
}

impl Survey {
    /// Looks without a change.
    pub(super) async fn of(
        db: &mut PgConnection,
        names: &Identifiers,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let rows = sqlx::query(ASK)
            .bind(names.schema())
            .bind(expected_schema::all(names))
            .fetch_all(&mut *db)
            .await
            .during(doing)?;
        let mut relations = HashMap::with_capacity(rows.len());
        for row in &rows {
            relations.insert(row.try_get(0).during(doing)?, Relation::of(row, doing)?);
        }
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

    fn get(&self, suffix: &str) -> Option<&Relation> {
        self.relations.get(&format!("{}{suffix}", self.table))
    }

    /// Reports that something has this name.
    pub(super) fn has(&self, name: &str) -> bool {
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
    pub(super) fn refuse_other_version(&self) -> Result<(), StoreError> {
        match self.version {
            None | Some(VERSION) => Ok(()),
            Some(other) => Err(config(format!(
                "the tables have version {other} and this program knows version {VERSION}: use the program that made them"
            ))),
        }
    }

    /// The table of the events, if what has its name is one.
    fn events(&self) -> Option<&Relation> {
        self.get("").filter(|events| events.kind == 'p' && events.partition_key.as_deref() == Some(PARTITION_KEY))
    }

    fn is_events(&self, place: &Place) -> bool {
        self.events().is_some() && place.0 == self.schema && place.1 == self.table
    }

    /// The place of the events, if their table was renamed or moved: its partitions still belong to it.
    fn moved(&self) -> Option<&Place> {
        if self.events().is_some() {
            return None;
        }
        let default = self.get(DEFAULT).filter(|default| default.kind == 'r')?;
        // A table that was made in the place of ours has no part of ours.
        default.of.as_ref()
    }

    /// Reports that what has this name is the log's.
    fn is_ours(&self, suffix: &str, relation: &Relation) -> bool {
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
    pub(super) fn is_empty(&self) -> bool {
        TABLES_BESIDE.iter().all(|(suffix, _)| self.get(suffix).is_none()) && self.get("").is_none()
    }

    /// The bare names of the tables that are there.
    pub(super) fn tables(&self) -> Vec<String> {
        let suffixes = TABLES_BESIDE.iter().map(|(suffix, _)| *suffix).chain([""]);
        // A part goes with the whole.
        let detached = self.get(DEFAULT).filter(|default| default.of.is_none()).map(|_| DEFAULT);
        suffixes
            .filter(|suffix| self.get(suffix).is_some())
            .chain(detached)
            .map(|suffix| format!("{}{suffix}", self.table))
            .collect()
    }

    /// An error with the statements that make room, if something of another application's is where the log belongs.
    pub(super) async fn refuse_strangers(&self, db: &mut PgConnection, names: &Identifiers) -> Result<(), StoreError> {
        let mut strangers: Vec<(String, char)> = Vec::new();
        for name in expected_schema::all(names) {
            let Some(relation) = self.relations.get(&name) else { continue };
            let is_ours = match name.strip_prefix(self.table.as_str()) {
                Some(suffix) if name != names.bare_sequence() => self.is_ours(suffix, relation),
                _ => self.is_numbering(relation),
            };
            if !is_ours {
                strangers.push((name, relation.kind));
            }
        }
        if strangers.is_empty() {
            return match self.moved() {
                Some(moved) => Err(config(format!(
                    "the table of the events is {}.{} now: `{}`",
                    quote_identifier(&moved.0),
                    quote_identifier(&moved.1),
                    self.move_back(moved)
                ))),
                None => Ok(()),
            };
        }
        let mut taken: HashSet<String> = sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1",
        )
        .bind(&self.schema)
        .fetch_all(db)
        .await
        .during("opening the log")?
        .into_iter()
        .collect();
        let mut statements = Vec::new();
        for (name, kind) in &strangers {
            let free = free_name(name, &taken);
            statements.push(format!(
                "ALTER {} {}.{} RENAME TO {};",
                kind_of(*kind),
                quote_identifier(&self.schema),
                quote_identifier(name),
                quote_identifier(&free)
            ));
            taken.insert(free);
        }
        statements.extend(self.moved().map(|moved| self.move_back(moved)));
        let listed: Vec<String> = strangers.iter().map(|(name, _)| quote_identifier(name)).collect();
        let is_replaced = self.get("").is_some() && self.events().is_none() && self.has_tables_beside();
        let after = if is_replaced { ", and the log's own table of events is gone" } else { "" };
        Err(config(format!(
            "what is called {} in the schema {} is another application's{after}: choose another place by `?schema=` or \
             `?table=`, or make room and run `tower-audit migrate`: `{}`",
            listed.join(", "),
            quote_identifier(&self.schema),
            statements.join(" ")
        )))
    }

    fn has_tables_beside(&self) -> bool {
        TABLES_BESIDE.iter().any(|(suffix, _)| self.get(suffix).is_some_and(|relation| self.is_ours(suffix, relation)))
    }

    /// Reports that the sequence numbers our events, or nothing.
    fn is_numbering(&self, sequence: &Relation) -> bool {
        let is_free = match &sequence.of {
            Some(of) => self.is_events(of) || self.moved() == Some(of),
            // Some programs ask it for numbers themselves: then it belongs to the table of that name.
            None => self.get("").is_none() || self.events().is_some(),
        };
        sequence.kind == 'S' && is_free
    }

    fn move_back(&self, (schema, table): &Place) -> String {
        let mut statements = Vec::new();
        if *table != self.table {
            statements.push(format!(
                "ALTER TABLE {}.{} RENAME TO {};",
                quote_identifier(schema),
                quote_identifier(table),
                quote_identifier(&self.table)
            ));
        }
        if *schema != self.schema {
            statements.push(format!(
                "ALTER TABLE {}.{} SET SCHEMA {};",
                quote_identifier(schema),
                quote_identifier(&self.table),
                quote_identifier(&self.schema)
            ));
        }
        statements.join(" ")
    }

    /// The missing parts that can be created again.
    pub(super) fn missing(&self) -> Option<Missing> {
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

    /// The changes that keep events from being read.
    pub(super) fn unreadable(&self, names: &Identifiers) -> Option<Change> {
        let events = self.events()?;
        let (mut changes, mut statements) = (Vec::new(), Vec::new());
        let table = names.table();
        let is_known = |found: &&Found| !COLUMNS.iter().any(|column| column.name == found.name);
        for column in &COLUMNS {
            let name = quote_identifier(column.name);
            let found = events.columns.iter().find(|found| found.name == column.name);
            if found.is_some_and(|found| found.kind == column.kind) {
                continue;
            }
            if let Some(found) = found {
                changes.push(format!("the column {name} is {}", found.kind));
                statements.push(format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {};", column.kind));
                continue;
            }
            changes.push(format!("the column {name} is missing"));
            let mut alike = events.columns.iter().filter(is_known).filter(|found| found.kind == column.kind);
            if let (Some(renamed), None) = (alike.next(), alike.next()) {
                statements
                    .push(format!("ALTER TABLE {table} RENAME COLUMN {} TO {name};", quote_identifier(&renamed.name)));
            } else {
                statements.push(self.add_column(names, column));
            }
        }
        Change::of(&table, &changes, &statements)
    }

    fn add_column(&self, names: &Identifiers, column: &expected_schema::Column) -> String {
        let (table, name, kind) = (names.table(), quote_identifier(column.name), column.kind);
        match column.name {
            "id" => {
                let sequence = names.sequence();
                let default = names.expand(column.value);
                format!(
                    "CREATE SEQUENCE IF NOT EXISTS {sequence}; ALTER TABLE {table} ADD COLUMN {name} {kind} NOT NULL DEFAULT {default};"
                )
            }
            "event" => format!("ALTER TABLE {table} ADD COLUMN {name} {kind} NOT NULL DEFAULT {};", column.value),
            _ => {
                let value = column.value;
                let required = if column.is_required {
                    format!(" ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL;")
                } else {
                    String::new()
                };
                format!(
                    "ALTER TABLE {table} ADD COLUMN {name} {kind}; UPDATE {table} SET {name} = {value} WHERE event <> '';{required}"
                )
            }
        }
    }

    /// The changes that keep events from being read, or from being appended once each.
    pub(super) fn changed(&self, names: &Identifiers) -> Option<Change> {
        let events = self.events()?;
        if let Some(change) = self.unreadable(names) {
            return Some(change);
        }
        let (mut changes, mut statements) = (Vec::new(), Vec::new());
        let table = names.table();
        // First: statements on the whole table then reach this partition, too.
        if self.get(DEFAULT).is_some_and(|default| default.of.is_none()) {
            changes.push("the default partition is detached".to_owned());
            statements.push(format!("ALTER TABLE {table} ATTACH PARTITION {} DEFAULT;", names.side_table(DEFAULT)));
        }
        for found in &events.columns {
            if found.must_be_given && !COLUMNS.iter().any(|column| column.name == found.name) {
                let name = quote_identifier(&found.name);
                changes.push(format!("the column {name} must be given and no event has it"));
                statements.push(format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL;"));
            }
        }
        if !events.has_key {
            changes.push("the id is not its key any more, so that events can be there twice".to_owned());
            statements.push(format!(
                "ALTER TABLE {table} ADD CONSTRAINT {} PRIMARY KEY (event_id);",
                quote_identifier(&names.unquoted(KEY))
            ));
        }
        Change::of(&table, &changes, &statements)
    }
}

/// Changes of the table of events, and the statements that undo them.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) text: String,
    pub(super) statements: String,
}

impl Change {
    fn of(table: &str, changes: &[String], statements: &[String]) -> Option<Self> {
        let text = || format!("the table {table} was changed: {}", changes.join(", "));
        (!changes.is_empty()).then(|| Self { text: text(), statements: statements.join(" ") })
    }

    pub(super) fn refuse(change: Option<Self>) -> Result<(), StoreError> {
        match change {
            Some(Self { text, statements }) => Err(config(format!("{text}: `{statements}`"))),
            None => Ok(()),
        }
    }
}

impl Relation {
    fn of(row: &PgRow, doing: &'static str) -> Result<Self, StoreError> {
        let kind: String = row.try_get(1).during(doing)?;
        let columns: String = row.try_get(2).during(doing)?;
        let of: Option<Vec<String>> = row.try_get(5).during(doing)?;
        Ok(Self {
            kind: kind.chars().next().unwrap_or_default(),
            columns: serde_json::from_str(&columns).during(doing)?,
            partition_key: row.try_get(3).during(doing)?,
            has_key: row.try_get(4).during(doing)?,
            of: of.and_then(|of| <[String; 2]>::try_from(of).ok()).map(|[schema, name]| (schema, name)),
        })
    }

    /// Reports that it has this column of this type.
    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|found| {
            column.strip_prefix(found.name.as_str()).and_then(|rest| rest.strip_prefix(' ')) == Some(&found.kind)
        })
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

fn kind_of(kind: char) -> &'static str {
    match kind {
        'S' => "SEQUENCE",
        'i' | 'I' => "INDEX",
        'v' => "VIEW",
        'm' => "MATERIALIZED VIEW",
        'f' => "FOREIGN TABLE",
        'c' => "TYPE",
        _ => "TABLE",
    }
}

/// A name that nothing has, as near to this one as it gets.
fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let ends = std::iter::once("_other".to_owned()).chain((2_u64..).map(|number| format!("_other{number}")));
    let with_end = |end: String| {
        let mut head = name.to_owned();
        while head.len() + end.len() > MAX_NAME_BYTES {
            head.pop();
        }
        head + &end
    };
    // Only the first few can be taken.
    ends.map(with_end).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// A type as it would be declared: with its collation, where that is not the type's own.
const ASK: &str = "SELECT c.relname::text, c.relkind::text, \
    coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, \
        'kind', pg_catalog.format_type(a.atttypid, a.atttypmod) || \
            CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || pg_catalog.quote_ident(l.collname) ELSE '' END, \
        'must_be_given', a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') ORDER BY a.attnum) \
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
        LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text, \
    pg_catalog.pg_get_partkeydef(c.oid), \
    EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indnkeyatts = 1), \
    (SELECT ARRAY[pn.nspname::text, p.relname::text] FROM pg_catalog.pg_class p \
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE p.oid = CASE \
        WHEN c.relkind IN ('i', 'I') THEN (SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid = c.oid) \
        WHEN c.relkind = 'S' THEN (SELECT coalesce(\
            (SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                AND d.objid = c.oid AND d.deptype IN ('a', 'i') \
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass LIMIT 1), \
            (SELECT f.adrelid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid \
                WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refobjid = c.oid LIMIT 1))) \
        ELSE (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = ANY($2)";
