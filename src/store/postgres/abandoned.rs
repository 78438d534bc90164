//! A session that was given up: its caller no longer waits, and the server may still be at work for it.
//!
//! It stays in its place until the server has answered or has ended it. Otherwise whatever hangs (a lock on the table,
//! a replica that is away, a process of the server that is stopped) would cost the server one more session with each
//! attempt, until it has none left for anybody.
//!
//! For example, an append whose answer a network swallowed:
//! - t0: the write deadline passes. The append's future is dropped, and the session comes here with its place.
//! - t0 + 50 ms: no answer. Another session asks the server what this one does (`observer.rs`). It is idle: the statement
//!   never arrived, or its answer is lost. The server is told to end it.
//! - t0 + 150 ms: there is no such session any more. The place is free, and the next append opens another.
//!
//! An append that is at work is never cancelled: that would end the wait of a commit for its replicas, and show an event
//! that only the primary has.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::observer::{Sight, Wait};
use super::pool::Held;

/// What sessions that were given up were last seen to wait for.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    sessions: usize,
    last: Option<Wait>,
}

/// What became of a session.
enum End {
    /// It has answered and is in no transaction.
    Answered,
    /// It is no more, or not ours to know.
    Gone,
}

/// Waits for the server's answer, or until the server has ended the session. Puts it back among the idle ones if it can
/// be used again.
pub(super) async fn see_to_its_end(held: Held, is_usable: bool) {
    let Held { mut session, pool, place } = held;
    let _watched = pool.waits.enter();
    let observed = pool.observer.watch();
    let backend = session.backend.clone();
    let mut was_seen = false;
    let end = {
        let mut answer = pin!(answer(&mut session.db));
        let mut pause = FIRST_LOOK;
        loop {
            let before = pause;
            let look = pin!(async {
                tokio::time::sleep(before).await;
                if pool.is_closed() {
                    return Sight::Gone;
                }
                was_seen = true;
                observed.look(&backend, pool.purpose).await
            });
            match select(answer.as_mut(), look).await {
                Either::Left((end, _)) => break end,
                Either::Right((Sight::Gone, _)) => break End::Gone,
                Either::Right((Sight::There(wait), _)) => pool.waits.set(wait),
                Either::Right((Sight::Unknown, _)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    match end {
        // What was asked for while it answered could strike what it does next.
        End::Answered if is_usable && !was_seen => pool.put(session, place),
        End::Answered => {
            let _ = session.db.close().await;
            drop(place);
        }
        End::Gone => {
            drop(session);
            drop(place);
        }
    }
}

/// Reads what the server still owes, and leaves the transaction that the session may be in.
async fn answer(db: &mut PgConnection) -> End {
    for _ in 0..MOST_ANSWERS {
        // Of one statement that is a transaction of its own, both are the same.
        let asked = sqlx::raw_sql("SELECT pg_catalog.now() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()");
        let is_free = match asked.fetch_all(&mut *db).await {
            Ok(rows) => rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(false),
            // The end of what it was at, or a transaction that has failed.
            Err(sqlx::Error::Database(refused)) => {
                if refused.code().as_deref() != Some(FAILED_TRANSACTION) {
                    continue;
                }
                false
            }
            Err(_) => return End::Gone,
        };
        if is_free {
            return End::Answered;
        }
        match sqlx::raw_sql("ROLLBACK").execute(&mut *db).await {
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(_) => return End::Gone,
        }
    }
    End::Gone
}

impl Waits {
    /// One more, until what is returned is dropped.
    fn enter(&self) -> Watched<'_> {
        self.seen().sessions += 1;
        Watched(self)
    }

    fn set(&self, wait: Wait) {
        self.seen().last = Some(wait);
    }

    /// The reason why no place is free, as far as it is known.
    pub(super) fn reason(&self) -> Option<&'static str> {
        let seen = self.seen();
        if seen.sessions == 0 {
            return None;
        }
        seen.last.map(Wait::reason)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watched<'a>(&'a Waits);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.seen();
        seen.sessions -= 1;
        if seen.sessions == 0 {
            seen.last = None;
        }
    }
}

/// What answers at all answers by then; only after that the server is asked about the session.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The errors of what was under way, a transaction to leave, and some to spare.
const MOST_ANSWERS: usize = 8;
/// Nothing is done in a transaction that has failed.
const FAILED_TRANSACTION: &str = "25P02";
