//! Relations of other applications where the log belongs, and a table of the log that was moved.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;

use super::relation::{Place, Relation};
use super::survey::Survey;
use crate::store::StoreError;
use crate::store::postgres::error::{DuringOperation as _, config};
use crate::store::postgres::expected_schema::{self, TABLES_BESIDE};
use crate::store::postgres::identifiers::{Identifiers, MAX_NAME_BYTES, quote_identifier};

impl Survey {
    /// An error with the statements that make room, if something of another application's is where the log belongs.
    pub(in crate::store::postgres) async fn refuse_strangers(
        &self,
        db: &mut PgConnection,
        names: &Identifiers,
    ) -> Result<(), StoreError> {
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
