//! Changes of the table of events, and the statements that undo them.

use super::relation::Found;
use super::survey::Survey;
use crate::store::StoreError;
use crate::store::postgres::error::config;
use crate::store::postgres::expected_schema::{COLUMNS, Column, DEFAULT, KEY};
use crate::store::postgres::identifiers::{Identifiers, quote_identifier};

/// Changes of the table of events, and the statements that undo them.
#[derive(Debug)]
pub(in crate::store::postgres) struct Change {
    pub(in crate::store::postgres) text: String,
    pub(in crate::store::postgres) statements: String,
}

impl Change {
    fn of(table: &str, changes: &[String], statements: &[String]) -> Option<Self> {
        let text = || format!("the table {table} was changed: {}", changes.join(", "));
        (!changes.is_empty()).then(|| Self { text: text(), statements: statements.join(" ") })
    }

    pub(in crate::store::postgres) fn refuse(change: Option<Self>) -> Result<(), StoreError> {
        match change {
            Some(Self { text, statements }) => Err(config(format!("{text}: `{statements}`"))),
            None => Ok(()),
        }
    }
}

impl Survey {
    /// The changes that keep events from being read.
    pub(in crate::store::postgres) fn unreadable(&self, names: &Identifiers) -> Option<Change> {
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

    fn add_column(&self, names: &Identifiers, column: &Column) -> String {
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
    pub(in crate::store::postgres) fn changed(&self, names: &Identifiers) -> Option<Change> {
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
