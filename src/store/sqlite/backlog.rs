//! What the journal holds, as the writing connection knows it.
//!
//! The journal has no index on the ids in it. This mirror of them, in memory, is what a repeated append is noticed
//! by; it is bounded as the journal is. It is right as long as nobody else has appended since, which the guard of
//! each append finds out; then it is [synchronised](sync).

use std::collections::{HashSet, VecDeque};

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use sqlx::Row as _;

use super::connection::Connection;
use super::error::Doing as _;
use super::segment;
use crate::event::EventId;
use crate::store::StoreError;

/// The ids of the events in the journal.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The number of the last row that is known.
    pub(super) last_seq: i64,
    rows: VecDeque<(i64, Vec<u128>)>,
    ids: HashSet<u128>,
}

impl Backlog {
    /// How many events wait in the journal.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Takes an id in, unless it is there. Belongs to no row before [`push`](Self::push).
    pub(super) fn take(&mut self, id: u128) -> bool {
        self.ids.insert(id)
    }

    /// Undoes [`take`](Self::take).
    pub(super) fn give_back(&mut self, ids: &[u128]) {
        for id in ids {
            self.ids.remove(id);
        }
    }

    /// A row came to the journal; its ids are taken already.
    pub(super) fn push(&mut self, seq: i64, ids: Vec<u128>) {
        self.last_seq = seq;
        self.rows.push_back((seq, ids));
    }

    /// The rows up to this one have left the journal.
    pub(super) fn forget_up_to(&mut self, seq: i64) {
        while let Some((first, ids)) = self.rows.front() {
            if *first > seq {
                break;
            }
            for id in ids {
                self.ids.remove(id);
            }
            self.rows.pop_front();
        }
    }

    /// The last of the oldest rows that hold `events` together, without the last row of the journal: it stays, so that
    /// the numbers never go back.
    pub(super) fn oldest(&self, events: usize) -> Option<i64> {
        let mut found = None;
        let mut sum = 0;
        for (seq, ids) in self.rows.iter().take_while(|(seq, _)| *seq < self.last_seq) {
            found = Some(*seq);
            sum += ids.len();
            if sum >= events {
                break;
            }
        }
        found
    }
}

/// Brings what is known of the journal and of the segments up to date, inside of a transaction.
pub(super) async fn sync(connection: &mut Connection) -> Result<(), StoreError> {
    const DOING: &str = "reading the journal";
    let (first, last): (i64, i64) =
        sqlx::query_as("SELECT (SELECT min(seq) FROM audit_journal), (SELECT max(seq) FROM audit_journal)")
            .fetch_one(&mut *connection.db)
            .await
            .doing(DOING)?;
    let backlog = &mut connection.backlog;
    if last < backlog.last_seq {
        *backlog = Backlog::default();
    }
    backlog.forget_up_to(first - 1);
    if last > backlog.last_seq {
        let mut rows = sqlx::query("SELECT seq, events FROM audit_journal WHERE seq > ?1 ORDER BY seq")
            .bind(backlog.last_seq)
            .fetch(&mut *connection.db);
        while let Some(row) = rows.try_next().await.doing(DOING)? {
            let seq: i64 = row.try_get(0).doing(DOING)?;
            let events: Vec<OnlyId> = serde_json::from_str(row.try_get(1).doing(DOING)?).doing(DOING)?;
            let ids: Vec<u128> = events.iter().map(|event| event.event_id.as_u128()).collect();
            backlog.ids.extend(&ids);
            backlog.push(seq, ids);
        }
    }
    connection.segments = segment::load(&mut connection.db).await?;
    Ok(())
}

#[derive(Deserialize)]
struct OnlyId {
    event_id: EventId,
}
