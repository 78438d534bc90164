//! The writer's lock: a locked file by which others see that it lives.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;

use super::config::with_suffix;
use super::error::{DuringOperation as _, transient};
use super::file_key::FileKey;
use super::transaction::WriteTransaction;
use super::write_connection::WriteConnection;
use crate::random::random;
use crate::store::StoreError;

/// A writer of the file. It lives as long as it holds the lock of its own file beside the database.
pub(super) struct LivenessLock {
    id: [u8; 16],
    lock: Option<(PathBuf, File)>,
    /// The lock file that this writer has made: rows may name it, whether its lock is held or lost.
    claimed: Option<PathBuf>,
}

impl LivenessLock {
    /// A writer that is not registered yet.
    pub(super) fn new() -> Self {
        Self { id: new_id(), lock: None, claimed: None }
    }

    pub(super) fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Returns true after [`register`](Self::register).
    pub(super) fn is_registered(&self) -> bool {
        self.lock.is_some()
    }

    /// Takes the lock, and takes it again if its file was removed. It must be held before a row names the writer: a row
    /// whose lock is free is a dead writer's. A file that is there is another writer's: the first lock is of a file that this
    /// call makes, whatever id that takes.
    pub(super) fn register(&mut self, database: &Path) -> Result<(), StoreError> {
        const DOING: &str = "registering the writer";
        let path = lock_path(database, &self.id);
        if let Some((locked, file)) = &self.lock
            && *locked == path
            && is_at(file, &path)
        {
            return Ok(());
        }
        self.lock = None;
        let (path, file) = if self.claimed.as_ref() == Some(&path) {
            let file = File::options().create(true).truncate(false).write(true).open(&path).during(DOING)?;
            (path, file)
        } else {
            self.claim(database).during(DOING)?
        };
        match file.try_lock() {
            // Somebody may have removed the file between the two calls.
            Ok(()) if is_at(&file, &path) => {
                self.lock = Some((path, file));
                Ok(())
            }
            Ok(()) => Err(transient(DOING).with_hint("its lock file was removed")),
            Err(error) => Err(io::Error::from(error)).during(DOING),
        }
    }

    /// Makes a lock file of a name that no other writer has.
    fn claim(&mut self, database: &Path) -> io::Result<(PathBuf, File)> {
        loop {
            let path = lock_path(database, &self.id);
            match File::create_new(&path) {
                Ok(file) => {
                    self.claimed = Some(path.clone());
                    return Ok((path, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.id = new_id(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Releases the lock and deletes its file.
    pub(super) fn unregister(&mut self) {
        self.claimed = None;
        if let Some((path, file)) = self.lock.take() {
            remove(&path, Some(file));
        }
    }
}

impl fmt::Debug for LivenessLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LivenessLock").field("registered", &self.is_registered()).finish_non_exhaustive()
    }
}

/// A dead writer, locked so that no other process closes its events too.
#[derive(Debug)]
pub(super) struct DeadWriter {
    path: PathBuf,
    lock: Option<File>,
}

impl DeadWriter {
    /// Returns the writer with this id if it is dead; `None` in doubt.
    pub(super) fn find(database: &Path, id: &[u8]) -> Option<Self> {
        let path = lock_path(database, id);
        let lock = match File::options().write(true).open(&path) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return None,
        };
        Some(Self { path, lock })
    }

    /// Deletes the lock file. Call it after the row's deletion is committed.
    pub(super) fn remove(self) {
        remove(&self.path, self.lock);
    }
}

/// Deletes a lock file. One that stays does no harm: no row names it.
fn remove(path: &Path, lock: Option<File>) {
    // Elsewhere than on Unix, an open file cannot be removed; there, a removed one must not be locked by another.
    if cfg!(unix) {
        let _ = std::fs::remove_file(path);
        drop(lock);
    } else {
        drop(lock);
        let _ = std::fs::remove_file(path);
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => FileKey::of(&open) == FileKey::of(&named),
        _ => false,
    }
}

fn new_id() -> [u8; 16] {
    (u128::from(random()) << 64 | u128::from(random())).to_be_bytes()
}

fn lock_path(database: &Path, id: &[u8]) -> PathBuf {
    with_suffix(database, &format!("-writer-{}", crate::event::hex::encode(id, &mut [0; 32])))
}

/// Returns the ids of all writers that the file names. An open event whose writer has no row is one of a dead writer.
pub(super) async fn writer_ids(db: &mut SqliteConnection) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = "SELECT coalesce(CAST(id AS BLOB), x'') FROM audit_writers \
               UNION SELECT coalesce(CAST(writer AS BLOB), x'') FROM audit_started";
    sqlx::query_scalar(sql).fetch_all(db).await.during("listing the writers")
}

/// Deletes the writer's row, unless it has open events: those are left to recovery.
pub(super) async fn unregister_writer(
    connection: &mut WriteConnection,
    writer_lock: &mut LivenessLock,
) -> Result<(), StoreError> {
    if !writer_lock.is_registered() {
        return Ok(());
    }
    let mut transaction = WriteTransaction::begin(connection).await?;
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_started WHERE writer = ?1")
        .bind(writer_lock.id().as_slice())
        .fetch_one(&mut *transaction.db)
        .await
        .during(DOING)?;
    if open == 0 {
        delete_writer_row(&mut transaction, writer_lock.id()).await?;
    }
    transaction.commit().await?;
    if open == 0 {
        writer_lock.unregister();
    } else {
        *writer_lock = LivenessLock::new();
    }
    Ok(())
}

pub(super) async fn delete_writer_row(connection: &mut WriteConnection, id: &[u8]) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM audit_started WHERE coalesce(CAST(writer AS BLOB), x'') = ?1",
        "DELETE FROM audit_writers WHERE coalesce(CAST(id AS BLOB), x'') = ?1",
    ] {
        sqlx::query(sql).bind(id).execute(&mut *connection.db).await.during(DOING)?;
    }
    Ok(())
}

const DOING: &str = "closing orphans";
