//! Parked connections: their database is no longer at PATH.
//!
//! SQLite removes the write-ahead log *by name* with the last connection to a database. If the database was
//! replaced, that name belongs to the log of another one, with acknowledged events. So such a connection is parked instead
//! of closed: its events are copied beside PATH, and if its file comes back, it is closed.

use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::abandoned::{Abandoned, Holder};
use super::config::{Config, with_suffix};
use super::file_identity::FileIdentity;
use super::private_file::claim_private_file;
use crate::log_lines::log_line;
use crate::store::StoreError;

/// The parked connections of a store.
#[derive(Default)]
pub(super) struct ParkedConnections {
    parked: Mutex<VecDeque<Parked>>,
    /// The copies that were made; diagnostics list them.
    copies: Mutex<Vec<PathBuf>>,
    /// Those whose database is at PATH.
    pub(super) abandoned: Abandoned,
}

struct Parked {
    /// Never closed when dropped: its thread and descriptors stay until the process ends.
    db: ManuallyDrop<SqliteConnection>,
    identity: FileIdentity,
    /// Its log, if that was moved out of the way.
    log: Option<PathBuf>,
    /// True after an attempt to copy its events.
    is_saved: bool,
}

impl ParkedConnections {
    /// Parks a connection whose database is not at PATH.
    pub(super) fn park(&self, db: SqliteConnection, identity: FileIdentity) {
        let log = identity.set_log_aside();
        self.lock().push_back(Parked { db: ManuallyDrop::new(db), identity, log, is_saved: false });
    }

    /// Prepares the abandoned connections for their close, and parks those whose database is gone by now.
    pub(super) async fn hand_over(&self, config: &Config) -> Result<(), StoreError> {
        self.abandoned.hand_over(config, |db, identity| self.park(db, identity)).await
    }

    /// Returns the copies of replaced databases.
    pub(super) fn copies(&self) -> Vec<PathBuf> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the connections whose file is back at PATH, and copies the events of the others. `database` is PATH
    /// without symbolic links.
    pub(super) async fn tend(&self, database: &Path, timeout: Duration) {
        let count = self.lock().len();
        for _ in 0..count {
            let Some(mut out) = self.take() else { return };
            if out.one().identity.is_at(database) {
                out.leave().come_back(database).await;
                continue;
            }
            if !std::mem::replace(&mut out.one().is_saved, true) {
                match tokio::time::timeout(timeout, out.one().save(database)).await {
                    Ok(Some(copy)) => self.copies.lock().unwrap_or_else(PoisonError::into_inner).push(copy),
                    Ok(None) => {}
                    Err(_) => log_line(|| {
                        tracing::error!("the events of the replaced audit log could not be copied in time");
                    }),
                }
            }
        }
    }

    /// Takes the oldest parked connection. It is parked again when the guard is dropped.
    fn take(&self) -> Option<Out<'_>> {
        self.lock().pop_front().map(|one| Out { parking: self, one: Some(one) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A parked connection that is being worked on.
struct Out<'a> {
    parking: &'a ParkedConnections,
    one: Option<Parked>,
}

impl Out<'_> {
    fn one(&mut self) -> &mut Parked {
        self.one.as_mut().expect("only `leave` and `drop` take it, and both end this")
    }

    fn leave(mut self) -> Parked {
        self.one.take().expect("only `leave` and `drop` take it, and both end this")
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.parking.lock().extend(self.one.take());
    }
}

impl Parked {
    /// Copies the database beside PATH. Its own file is left as it is: it may be open under its new name, with a log of its
    /// own, and a checkpoint would write old pages over newer ones.
    async fn save(&mut self, database: &Path) -> Option<PathBuf> {
        // It may have been given up within a transaction; if not, this fails.
        let _ = sqlx::query("ROLLBACK").execute(&mut *self.db).await;
        let bytes: i64 = sqlx::query_scalar(SIZE).persistent(false).fetch_one(&mut *self.db).await.unwrap_or(i64::MAX);
        if bytes <= MOST_COPIED_BYTES
            && let Some(copy) = claim_copy(database)
        {
            let name = copy.to_string_lossy().into_owned();
            match sqlx::query("VACUUM INTO ?1").persistent(false).bind(name).execute(&mut *self.db).await {
                Ok(_) => {
                    let _ = std::fs::File::open(&copy).and_then(|file| file.sync_all());
                    let shown = copy.clone();
                    log_line(move || {
                        tracing::error!(
                            copy = %shown.display(),
                            "the audit log was removed or replaced under the writer: the copy has its events; read it as \
                             a log of its own, and move it away when they are no longer needed"
                        );
                    });
                    return Some(copy);
                }
                Err(error) => {
                    let _ = std::fs::remove_file(&copy);
                    log_line(move || {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the audit log was removed or replaced under the writer, and could not be copied"
                        );
                    });
                }
            }
        }
        let log = self.log.as_ref().map(|log| log.display().to_string());
        log_line(move || {
            tracing::error!(
                bytes,
                log,
                "the audit log was removed or replaced under the writer. If its file was moved, put it back at its place, \
             and the log goes on with it; its last events are in the write-ahead log that was set aside. If it was removed, \
             the process still has it open until it ends: copy it and its write-ahead log"
            );
        });
        None
    }

    /// Closes the connection. It gets its log back, unless another is there: that one has events of another process, and SQLite
    /// would delete it with the last connection.
    async fn come_back(mut self, database: &Path) {
        let name = with_suffix(database, "-wal");
        if let Some(log) = self.log.take() {
            // The next connection finds in the log the events that are nowhere else.
            let named = match std::fs::hard_link(&log, &name) {
                Ok(()) => {
                    let _ = std::fs::remove_file(&log);
                    Ok(())
                }
                // Not every file system has links.
                Err(_) if !name.exists() => std::fs::rename(&log, &name),
                Err(error) => Err(error),
            };
            if let Err(error) = named {
                log_line(move || {
                    tracing::error!(
                        log = %log.display(),
                        %error,
                        "the file of the audit log was put back, and another write-ahead log is there: that of the file is \
                         kept, and may have its last events; to read them, copy both to another folder, the log as NAME-wal"
                    );
                });
            }
        }
        let _ = sqlx::query("ROLLBACK").execute(&mut *self.db).await;
        let holder = match self.identity.has_log() || !name.exists() {
            true => None,
            false => match Holder::open(database).await {
                Ok(holder) => Some(holder),
                // The connection stays open: it is not closed by being dropped.
                Err(_) => return,
            },
        };
        if let Err(error) = ManuallyDrop::into_inner(self.db).close().await {
            log_line(move || {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an earlier connection to the audit log stays open"
                );
            });
        }
        if let Some(holder) = holder {
            holder.close().await;
        }
    }
}

/// Claims the name of a copy; `None` if no file can be made beside PATH.
fn claim_copy(database: &Path) -> Option<PathBuf> {
    match claim_private_file(database, "-replaced-") {
        Ok(copy) => Some(copy),
        Err(error) => {
            log_line(move || {
                tracing::error!(%error, "the audit log was removed or replaced under the writer, and could not be copied");
            });
            None
        }
    }
}

impl fmt::Debug for ParkedConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParkedConnections").finish_non_exhaustive()
    }
}

const SIZE: &str = "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";
/// A larger log is not copied while requests wait.
const MOST_COPIED_BYTES: i64 = 64 * 1024 * 1024;
