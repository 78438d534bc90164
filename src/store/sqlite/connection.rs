//! The writing connection: opened, checked, and known to be that of the file at PATH.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::backlog::{self, Backlog};
use super::config::Config;
use super::error::{Doing as _, config as refused, is_busy, is_no_database, of, permanent, transient};
use super::identity::{Identity, file_id, replaced};
use super::schema::{self, Found};
use super::segment::Segment;
use crate::store::{StoreError, StoreErrorKind};

/// A connection that writes, and what it knows of the file. Whatever fails on it drops it: SQLite then rolls back, and
/// the next connection reads the file anew, so that nothing doubtful is ever remembered.
pub(super) struct Connection {
    pub(super) db: Handle,
    /// Where the database is, after symbolic links.
    pub(super) database: PathBuf,
    pub(super) backlog: Backlog,
    pub(super) segments: Vec<Segment>,
}

impl Connection {
    /// Opens the file, makes it if that is wanted, and proves that it can be written durably.
    pub(super) async fn open(config: &Config) -> Result<Self, StoreError> {
        let resolved = look(config)?;
        let before = file_id(&resolved)?;
        if config.create && before.is_none() {
            begin_file(&resolved);
        }
        let mut db = options(config, &resolved).create_if_missing(config.create).connect().await.map_err(opening)?;
        let found = schema::examine(&mut db).await?;
        match found {
            Found::Empty if !config.create => return Err(schema::empty()),
            Found::Foreign if !(config.create && config.beside) => return Err(schema::foreign()),
            _ => {}
        }
        set_up(&mut db, config).await?;
        if found != Found::Ours {
            schema::create(&mut db, config.beside).await?;
        }
        probe(&mut db, OPENING).await?;
        if found == Found::Empty {
            sync_directory(&resolved)?;
        }
        let identity = Identity::now(config, &resolved)?;
        if identity.database().is_none() || (before.is_some() && identity.database() != before) {
            return Err(replaced());
        }
        let mut connection = Self {
            db: Handle { db: Some(db), identity },
            database: resolved,
            backlog: Backlog::default(),
            segments: Vec::new(),
        };
        sqlx::query("BEGIN").execute(&mut *connection.db).await.doing(OPENING)?;
        backlog::sync(&mut connection).await?;
        sqlx::query("COMMIT").execute(&mut *connection.db).await.doing(OPENING)?;
        Ok(connection)
    }
}

/// The driver's connection and the files it has open.
///
/// When SQLite closes the last connection to a database, it removes the write-ahead log *by name*. If the database was
/// replaced in the meantime, that name is the log of another one, with events that were acknowledged. So a connection
/// whose database is no longer at PATH is never closed: its thread and its descriptors are given up, once for each
/// time that somebody takes the file away.
pub(super) struct Handle {
    db: Option<SqliteConnection>,
    pub(super) identity: Identity,
}

impl Handle {
    /// Closes the connection, with all that this means for the write-ahead log.
    pub(super) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.db.take_if(|_| self.identity.has_database()) {
            Some(db) => db.close().await,
            None => Ok(()),
        }
    }
}

impl Deref for Handle {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.db.as_ref().expect("only `close` and `drop` take it, and both end the handle")
    }
}

impl DerefMut for Handle {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("only `close` and `drop` take it, and both end the handle")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(db) = self.db.take_if(|_| !self.identity.has_database()) {
            std::mem::forget(db);
            self.identity.set_log_aside();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

/// Where the database really is, if something can be opened there.
pub(super) fn look(config: &Config) -> Result<PathBuf, StoreError> {
    let shown = config.path.display();
    match std::fs::metadata(&config.path) {
        Ok(metadata) if !metadata.is_file() => Err(refused(format!("{shown} is no regular file"))),
        Ok(_) => config.resolved().doing(OPENING),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let resolved = config.resolved().map_err(|error| {
                refused(format!("the directory of {shown} does not exist: create it")).because(error)
            })?;
            if config.create {
                return Ok(resolved);
            }
            Err(refused(format!("{shown} does not exist: check the path; an app makes the file when it starts, and so does `tower-audit migrate`"))
                .because(error))
        }
        Err(error) => Err(error).doing(OPENING),
    }
}

/// Makes an empty file that is for its owner alone: it will say who did what. SQLite gives the files beside it the same
/// mode, and would have made this one readable to everybody. Where it cannot be made, SQLite is asked to and says why.
fn begin_file(resolved: &Path) {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(resolved));
}

/// What every connection is opened with. Changes nothing in a file that exists, for it may not be ours.
pub(super) fn options(config: &Config, resolved: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(resolved)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES)
        .busy_timeout(config.busy_timeout())
        .pragma("cache_size", CACHE_PAGES)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", KEPT_LOG_BYTES)
        // Only macOS knows the difference: there a plain fsync stops at the cache of the drive.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .row_buffer_size(ROW_BUFFER)
        // Statements have the events in them.
        .disable_statement_logging()
}

/// The error of opening what may be anything.
pub(super) fn opening(error: sqlx::Error) -> StoreError {
    if is_no_database(&error) {
        return refused("the file is no SQLite database: choose another path").because(error);
    }
    of(OPENING, error)
}

/// Turns on the write-ahead log and reads back that it and the syncing are on.
async fn set_up(db: &mut SqliteConnection, config: &Config) -> Result<(), StoreError> {
    // SQLite does not wait for the lock that this needs.
    let mut waited = Duration::ZERO;
    let mode: String = loop {
        match sqlx::query_scalar("PRAGMA journal_mode = WAL").persistent(false).fetch_one(&mut *db).await {
            Ok(mode) => break mode,
            Err(error) if is_busy(&error) && waited < config.patience => {
                tokio::time::sleep(RETRY_AFTER).await;
                waited += RETRY_AFTER;
            }
            Err(error) => return Err(of(OPENING, error)),
        }
    };
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(refused(format!("the file cannot have a write-ahead log here: its journal mode is {mode}")));
    }
    let row = sqlx::query("PRAGMA synchronous").persistent(false).fetch_one(db).await.doing(OPENING)?;
    match row.try_get::<i64, _>(0).doing(OPENING)? {
        SYNCHRONOUS_FULL => Ok(()),
        other => Err(permanent(OPENING).with_remedy(format!("synchronous is {other}: a commit would not be durable"))),
    }
}

/// A commit that leaves nothing behind: it goes all the way to the disk.
pub(super) async fn probe(db: &mut SqliteConnection, doing: &'static str) -> Result<(), StoreError> {
    sqlx::query(
        "BEGIN IMMEDIATE; INSERT INTO audit_probe VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET times = times + 1; COMMIT",
    )
    .execute(db)
    .await
    .doing(doing)?;
    Ok(())
}

/// A new file is only there after a crash if its name is.
fn sync_directory(resolved: &Path) -> Result<(), StoreError> {
    let Some(directory) = resolved.parent() else { return Ok(()) };
    if cfg!(unix) {
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).doing(OPENING)?;
    }
    Ok(())
}

/// The error of a store that was closed.
pub(super) fn closed(doing: &'static str) -> StoreError {
    permanent(doing).with_remedy("the store is closed")
}

/// An opening that fails while the log is in use is no mistake in the URL: what was there may come back.
pub(super) fn while_in_use(error: StoreError) -> StoreError {
    if error.kind() == StoreErrorKind::Config { transient("opening the file again").because(error) } else { error }
}

const OPENING: &str = "opening the file";
const SYNCHRONOUS_FULL: i64 = 2;
const RETRY_AFTER: Duration = Duration::from_millis(5);
const ROW_BUFFER: usize = 256;
const PAGE_BYTES: u32 = 4096;
/// Negative: KiB. Enough for the indexes of the segment that grows.
const CACHE_PAGES: &str = "-16384";
const CHECKPOINT_PAGES: &str = "4000";
/// What a write-ahead log that once grew large is cut back to.
const KEPT_LOG_BYTES: &str = "67108864";
