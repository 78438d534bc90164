//! The hot path: one batch, one commit.
//!
//! A batch is an `INSERT` of many rows, in several pieces if it is larger than a packet. Nearly always every event is new,
//! so the server is asked for those that are there only after it has found one that is. No statement ignores an error.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::config::Config;
use super::datetime::datetime;
use super::error::{
    DEADLOCK, DUPLICATE, DuringOperation as _, NO_PARENT, cause, from_driver, number, permanent, transient,
};
use super::event_columns::{ERASABLE, columns, targets};
use super::identifiers::{Identifiers, STARTED, VERSION};
use super::row::id_of;
use super::session::{IDS_AT_ONCE, MysqlQuery, bind_ids, marks, run};
use super::session_driver::WriterLease;
use crate::event::{AuditEvent, EventId, Phase};
use crate::store::StoreError;
use crate::store::sql::{TEXT_COLUMNS, text};

/// Inserts the events that are not there yet. Succeeds when every event is there.
pub(super) async fn append(
    db: &mut MySqlConnection,
    config: &Config,
    writer: &WriterLease,
    events: &[AuditEvent],
) -> Result<(), StoreError> {
    append_in(db, config, writer, events, true).await
}

/// Appends in a transaction of its own, or in the one that the session is in.
pub(super) async fn append_in(
    db: &mut MySqlConnection,
    config: &Config,
    writer: &WriterLease,
    events: &[AuditEvent],
    commits: bool,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::of(events)?;
    // A started event belongs to a writer, whose lock shows the recovery of others that it lives.
    let writer_id = if batch.opens() { Some(writer.id().await?) } else { None };
    for _ in 0..MOST_ATTEMPTS {
        match batch.insert(db, config, writer_id, commits).await {
            Ok(()) => return Ok(()),
            Err(InsertError::Store(error)) => return Err(error),
            Err(InsertError::Server(error)) => match number(&error) {
                DUPLICATE => {
                    roll_back(db, commits).await?;
                    let known =
                        known_ids(db, &config.identifiers, batch.rows.iter().map(|row| row.event.event_id)).await?;
                    if known.is_empty() {
                        return Err(permanent(DOING).with_hint(
                            "the server refuses events as duplicates whose ids are new: drop the further unique index on the \
                             log's table",
                        ));
                    }
                    batch.leave_out(&known);
                }
                DEADLOCK if commits => roll_back(db, commits).await?,
                NO_PARENT => {
                    // We were taken for dead, or the tables were made anew. Under another name we live.
                    writer.forget();
                    return Err(transient(DOING)
                        .with_hint("this writer has to be registered again")
                        .with_source(cause(error)));
                }
                _ => return Err(from_driver(DOING, error)),
            },
        }
    }
    Err(transient(DOING).with_hint("other sessions insert the same events"))
}

async fn roll_back(db: &mut MySqlConnection, commits: bool) -> Result<(), StoreError> {
    if commits { run(db, DOING, "ROLLBACK".to_owned()).await } else { Ok(()) }
}

enum InsertError {
    Server(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for InsertError {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

/// A batch, ready to be bound. Its rows are in the order of their ids: two writers that append the same events then
/// rarely wait for each other in a circle.
struct Batch<'a> {
    rows: Vec<EventRow<'a>>,
    /// The `started` events that events of the batch end.
    ended: HashSet<EventId>,
    /// True once some of the events were found to be there.
    has_known: bool,
}

impl<'a> Batch<'a> {
    fn of(events: &'a [AuditEvent]) -> Result<Self, StoreError> {
        let mut sorted: Vec<&AuditEvent> = events.iter().collect();
        // Of events with one id, the first stays the first.
        sorted.sort_by_key(|event| event.event_id);
        sorted.dedup_by_key(|event| event.event_id);
        let ends = sorted.iter().filter(|event| event.phase != Phase::Started);
        let ended = ends.filter_map(|event| event.request.started_event_id).collect();
        let rows = sorted.into_iter().map(EventRow::of).collect::<Result<_, _>>()?;
        Ok(Self { rows, ended, has_known: false })
    }

    fn opens(&self) -> bool {
        self.rows.iter().any(|row| row.event.phase == Phase::Started)
    }

    fn leave_out(&mut self, known: &HashSet<EventId>) {
        self.rows.retain(|row| !known.contains(&row.event.event_id));
        self.has_known = true;
    }

    async fn insert(
        &self,
        db: &mut MySqlConnection,
        config: &Config,
        writer: Option<i64>,
        commits: bool,
    ) -> Result<(), InsertError> {
        let names = &config.identifiers;
        let pieces = split(&self.rows, config.facts.max_packet(), EventRow::bytes);
        let opened: Vec<&EventRow<'_>> = self.rows.iter().filter(|row| row.is_opened(&self.ended)).collect();
        if let [piece] = pieces[..]
            && opened.is_empty()
            && self.ended.is_empty()
        {
            // A transaction of its own, unless there is one.
            return insert_rows(db, names, piece).await;
        }
        if commits {
            sqlx::raw_sql("BEGIN").execute(&mut *db).await?;
        }
        for piece in pieces {
            insert_rows(db, names, piece).await?;
        }
        let stale = if self.has_known { opened.iter().map(|row| row.event.event_id).collect() } else { Vec::new() };
        let closed: Vec<EventId> = self.ended.iter().copied().chain(stale).collect();
        for some in closed.chunks(IDS_AT_ONCE) {
            delete_started(db, names, some).await?;
        }
        for piece in split(&opened, config.facts.max_packet(), |row| row.bytes()) {
            insert_started(db, names, writer, piece).await?;
        }
        if commits {
            // Without a row of its own, it commits one all the same: what it repeats may be visible and not on the disk.
            if self.rows.is_empty() {
                mark_commit(db, names).await?;
            }
            sqlx::raw_sql("COMMIT").execute(db).await?;
        }
        Ok(())
    }
}

/// An event with the values of its columns that are made for it.
pub(super) struct EventRow<'a> {
    event: &'a AuditEvent,
    text: String,
    details: String,
    target: Option<String>,
    all_targets: Option<String>,
}

impl<'a> EventRow<'a> {
    pub(super) fn of(event: &'a AuditEvent) -> Result<Self, StoreError> {
        let (target, all_targets) = targets(event);
        let text = serde_json::to_string(event).during(DOING)?;
        let details = serde_json::to_string(&event.details).during(DOING)?;
        Ok(Self { event, text, details, target, all_targets })
    }

    /// Binds the values of the columns that an erasure may change, as [`ERASABLE`] has them.
    pub(super) fn bind_erasable<'q>(&'q self, query: MysqlQuery<'q>) -> MysqlQuery<'q> {
        let texts = TEXT_COLUMNS.into_iter().filter(|(column, _)| ERASABLE.contains(column));
        texts
            .fold(query, |query, (_, field)| query.bind(text(self.event, field)))
            .bind(self.target.as_deref())
            .bind(self.all_targets.as_deref())
            .bind(&self.details)
            .bind(&self.text)
    }

    /// The whole event as JSON.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn is_opened(&self, ended: &HashSet<EventId>) -> bool {
        self.event.phase == Phase::Started && !ended.contains(&self.event.event_id)
    }

    /// About the bytes of its values in a packet: the columns repeat a part of the text.
    fn bytes(&self) -> usize {
        2 * self.text.len() + self.details.len() + self.all_targets.as_ref().map_or(0, String::len) + 256
    }

    fn bind<'q>(&'q self, query: MysqlQuery<'q>) -> MysqlQuery<'q> {
        let event = self.event;
        let query = query
            .bind(event.event_id.to_bytes().to_vec())
            .bind(event.event_type.as_str())
            .bind(datetime(event.created_at))
            .bind(event.phase.as_str());
        TEXT_COLUMNS
            .into_iter()
            .fold(query, |query, (_, field)| query.bind(text(event, field)))
            .bind(self.target.as_deref())
            .bind(self.all_targets.as_deref())
            .bind(event.outcome.map(i32::from))
            .bind(&self.details)
            .bind(&self.text)
    }
}

/// Inserts rows in one statement, and makes sure that the server has inserted all of them.
pub(super) async fn insert_one(
    db: &mut MySqlConnection,
    names: &Identifiers,
    row: &EventRow<'_>,
) -> Result<(), sqlx::Error> {
    let sql = insert_sql(names, 1);
    row.bind(sqlx::query(AssertSqlSafe(sql))).execute(db).await.map(drop)
}

async fn insert_rows(db: &mut MySqlConnection, names: &Identifiers, rows: &[EventRow<'_>]) -> Result<(), InsertError> {
    let query = sqlx::query(AssertSqlSafe(insert_sql(names, rows.len()))).persistent(rows.len() <= MOST_PREPARED);
    let query = rows.iter().fold(query, |query, row| row.bind(query));
    let inserted = query.execute(db).await?.rows_affected();
    if inserted == rows.len() as u64 {
        return Ok(());
    }
    Err(InsertError::Store(permanent(DOING).with_hint(format!(
        "the server refused nothing and inserted {inserted} of {} events: something on the log's table discards them; \
         `tower-audit doctor` names it",
        rows.len()
    ))))
}

fn insert_sql(names: &Identifiers, rows: usize) -> String {
    let columns: Vec<&str> = columns().collect();
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    format!("INSERT INTO {} ({}) VALUES {}", names.table(), columns.join(", "), vec![row; rows].join(","))
}

async fn insert_started(
    db: &mut MySqlConnection,
    names: &Identifiers,
    writer: Option<i64>,
    rows: &[&EventRow<'_>],
) -> Result<(), sqlx::Error> {
    let values = vec!["(?,?,?)"; rows.len()].join(",");
    let sql = format!("INSERT INTO {} (event_id, writer, event) VALUES {values}", names.side_table(STARTED));
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(rows.len() <= MOST_PREPARED);
    let query = rows.iter().fold(query, |query, row| {
        query.bind(row.event.event_id.to_bytes().to_vec()).bind(writer).bind(row.text.as_str())
    });
    query.execute(db).await.map(drop)
}

/// Deletes the copies of `started` events that have ended.
pub(super) async fn delete_started(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: &[EventId],
) -> Result<(), sqlx::Error> {
    let sql = format!("DELETE FROM {} WHERE event_id IN ({})", names.side_table(STARTED), marks(ids.len()));
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(ids.len() <= MOST_PREPARED);
    bind_ids(query, ids).execute(db).await.map(drop)
}

/// Makes a transaction write: with its commit, the commits of others that it has seen are durable, too. InnoDB shows a commit to
/// readers before its log is on the disk.
pub(super) async fn mark_commit(db: &mut MySqlConnection, names: &Identifiers) -> Result<(), sqlx::Error> {
    let sql = format!("UPDATE {} SET commits = commits + 1 WHERE one = 1", names.side_table(VERSION));
    sqlx::query(AssertSqlSafe(sql)).execute(db).await.map(drop)
}

/// The ids that are there.
async fn known_ids(
    db: &mut MySqlConnection,
    names: &Identifiers,
    ids: impl Iterator<Item = EventId>,
) -> Result<HashSet<EventId>, StoreError> {
    let ids: Vec<EventId> = ids.collect();
    let mut known = HashSet::new();
    for some in ids.chunks(IDS_AT_ONCE) {
        let sql = format!("SELECT event_id FROM {} WHERE event_id IN ({})", names.table(), marks(some.len()));
        let query = bind_ids(sqlx::query(AssertSqlSafe(sql)).persistent(false), some);
        for row in query.fetch_all(&mut *db).await.during(DOING)? {
            known.insert(id_of(&row, 0, DOING)?);
        }
    }
    Ok(known)
}

/// Rows in pieces that fit into a packet.
fn split<T>(rows: &[T], max_packet: usize, bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let most = max_packet / 2;
    let mut pieces = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (place, row) in rows.iter().enumerate() {
        if place > start && (size + bytes(row) > most || place - start == MOST_ROWS) {
            pieces.push(&rows[start..place]);
            (start, size) = (place, 0);
        }
        size += bytes(row);
    }
    if start < rows.len() {
        pieces.push(&rows[start..]);
    }
    pieces
}

const DOING: &str = "append";
/// A duplicate found, and one more that another session has inserted meanwhile.
const MOST_ATTEMPTS: usize = 4;
/// A statement has at most 65,535 parameters.
const MOST_ROWS: usize = 1000;
/// A statement for each number of rows up to this one stays prepared.
const MOST_PREPARED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_into_packets() {
        let sizes = [10, 10, 50, 10, 60, 10];
        let pieces = split(&sizes, 100, |size| *size);
        assert_eq!(pieces, [&[10, 10][..], &[50], &[10], &[60], &[10]]);
        let rows = vec![0; 2500];
        assert_eq!(split(&rows, 100, |_| 0).iter().map(|piece| piece.len()).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert!(split(&[] as &[usize], 100, |size| *size).is_empty());
    }
}
