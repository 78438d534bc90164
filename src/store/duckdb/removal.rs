//! The removal part: positions of events, and the deletion of single ones.

use super::blocking_read::read;
use super::purge::{DOING, forget_open, remove};
use super::store::DuckdbStore;
use super::value::Value;
use crate::event::{EventId, Timestamp};
use crate::query::{Cursor, PageQuery};
use crate::store::{Removal, StoreFuture};

impl Removal for DuckdbStore {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(self.list(query, DOING))
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        let positions = positions.to_vec();
        Box::pin(self.write(DOING, move |writer| remove(writer, &positions)))
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move {
            let sql = "SELECT event_id FROM audit_events_started WHERE event_id IN (SELECT CAST(unnest($1) AS UUID))";
            let values = vec![Value::ids(ids.iter().copied())];
            read(self.engine(DOING)?, DOING, move |session| {
                session.run(DOING, sql, values)?.iter().map(|row| row.id(0, DOING)).collect()
            })
            .await
        })
    }

    /// A checkpoint gives the blocks of deleted rows back to the file.
    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(self.write(DOING, move |writer| {
            if let Some(before) = copies_before {
                writer.commit_if_changed(DOING, |session| {
                    let copies = forget_open(session, before)?;
                    Ok(((), copies > 0))
                })?;
            }
            writer.checkpoint(DOING)
        }))
    }
}
