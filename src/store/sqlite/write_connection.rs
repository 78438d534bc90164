//! The writing connection: options, checks at the start, checks around each commit.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::abandoned::frames;
use super::config::{Config, with_suffix};
use super::database_file::{check_location, check_modes, resolve_database};
use super::error::{
    DuringOperation as _, NAME, OPENING, config as refused, corrupt, from_driver, is_busy, log_with_gap, open_error,
    permanent, transient,
};
use super::file_connection::FileConnection;
use super::file_identity::{FileIdentity, Lengths, replaced_error};
use super::file_key::{FileKey, file_key};
use super::index_file::IndexFile;
use super::lock_wait::{self, LockWait, POLLS};
use super::open_descriptors::has_removed_only;
use super::parked_connections::ParkedConnections;
use super::private_file::{create_private_file, sync_directory};
use super::schema::{self, FileState};
use super::sqlite_version::{self, Version};
use super::wal_file::WalFile;
use super::wal_gap::LogFrames;
use crate::log_lines::log_line;
use crate::store::mount::{Mount, volatile_message};
use crate::store::{Durability, StoreError, StoreErrorKind};

/// A connection that writes.
pub(super) struct WriteConnection {
    pub(super) db: FileConnection,
    /// The path of the database without symbolic links.
    pub(super) database: PathBuf,
    lock_timeout: Duration,
    pub(super) version: Version,
    /// Set by a write transaction that was not committed: the connection is then closed, never used again.
    pub(super) has_open_transaction: bool,
}

impl WriteConnection {
    /// Opens the file, creates it if the options say so, and proves that it can be written durably.
    ///
    /// `is_first`: creates missing tables. Later, a missing table is an error: it held acknowledged events.
    pub(super) async fn open(
        config: &Config,
        parking: &Arc<ParkedConnections>,
        is_first: bool,
    ) -> Result<Self, StoreError> {
        let resolved = resolve_database(config)?;
        check_location(&resolved)?;
        if let Some(mount) = Mount::of(&resolved).filter(|_| is_first)
            && let Some(file_system) = mount.volatile_file_system()
        {
            let file_system = file_system.to_owned();
            log_line(move || {
                tracing::warn!("the audit log is not durable: {}", volatile_message(&file_system));
            });
        }
        let before = file_key(&resolved)?;
        if config.create_if_missing && before.is_none() {
            create_private_file(&resolved);
        }
        check_modes(&resolved)?;
        let mut db = options(config, &resolved)
            .create_if_missing(config.create_if_missing)
            .connect()
            .await
            .map_err(open_error)?;
        let (identity, version) = match prepare(&mut db, config, &resolved, before, is_first).await {
            Ok(prepared) => prepared,
            Err(error) => {
                // Until it is closed, the next connection would use its index.
                let _ = db.close().await;
                return Err(error);
            }
        };
        let database = identity.resolved().to_owned();
        let mut connection = Self {
            db: FileConnection { db: Some(db), identity, parking: parking.clone(), version, is_suspect: false },
            database,
            lock_timeout: config.lock_timeout(),
            version,
            has_open_transaction: false,
        };
        match connection.set_limits().await {
            Ok(()) => Ok(connection),
            Err(error) => {
                connection.close_unused(&error).await;
                Err(error)
            }
        }
    }

    /// Closes a connection that has written no event, after this error: abandoned connections are kept, and each attempt to
    /// open the file would add one.
    pub(super) async fn close_unused(self, error: &StoreError) {
        self.db.close_unused(error).await;
    }

    /// Sets SQLite's timeout for a lock. Statements that are not repeated ([`LockWait`]) need a long one.
    pub(super) async fn set_busy_timeout(&mut self, timeout: Duration) -> Result<(), StoreError> {
        set_busy_timeout(&mut self.db, timeout).await
    }

    /// Sets the limits of a connection that writes: it reads little again. It leaves checkpoints to maintenance, unless that does
    /// none for long. A version that may lose a commit beside a checkpoint makes them within its own commits.
    async fn set_limits(&mut self) -> Result<(), StoreError> {
        let pages = if self.version.resets_logs_wrongly() { CHECKPOINT_PAGES } else { LATEST_CHECKPOINT_PAGES };
        let sql = format!("PRAGMA cache_size = {WRITER_CACHE_PAGES}; PRAGMA wal_autocheckpoint = {pages}");
        sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *self.db).await.during(OPENING)?;
        Ok(())
    }

    /// Begins the wait of a statement for the write lock.
    pub(super) fn lock_wait(&self) -> LockWait {
        LockWait::begin(self.lock_timeout)
    }

    /// Runs a statement that begins with taking the write lock.
    pub(super) async fn execute_locking(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        lock_wait::execute_locking(&mut self.db, sql, self.lock_timeout).await
    }

    /// Rolls back a transaction that failed. SQLite may have done so itself.
    pub(super) async fn roll_back(&mut self) {
        let _ = sqlx::query("ROLLBACK").execute(&mut *self.db).await;
        self.has_open_transaction = false;
    }

    /// Checks the files before a write. Fails if another process may write past this one or the log was cut.
    pub(super) async fn check_before(&mut self) -> Result<(), StoreError> {
        let lengths = self.db.identity.check_before()?;
        self.explain(lengths).await
    }

    /// Checks the files after a commit. Fails if the committed pages may lie in a file that no reader finds.
    pub(super) async fn check_after(&mut self) -> Result<(), StoreError> {
        let lengths = self.db.identity.check_after()?;
        self.explain(lengths).await
    }

    /// Fails if a file is shorter than SQLite's own record of it.
    async fn explain(&mut self, lengths: Lengths) -> Result<(), StoreError> {
        const DOING: &str = "looking at the files";
        if lengths == Lengths::Grown || !self.version.can_look_at_log() {
            return Ok(());
        }
        // Another process may do a checkpoint between one look and the next.
        for _ in 0..LOOKS {
            let (_, log, copied): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(NOOP)")
                .persistent(false)
                .fetch_one(&mut *self.db)
                .await
                .during(DOING)?;
            let (pages, page): (i64, i64) = sqlx::query_as(
                "SELECT (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)",
            )
            .fetch_one(&mut *self.db)
            .await
            .during(DOING)?;
            let (database_len, log_len) = self.db.identity.lengths()?;
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            let in_log = if log > 0 { LOG_HEADER + number(log) * (number(page) + FRAME_HEADER) } else { 0 };
            // Pages that were never copied into the database are in the log.
            let in_database = number(pages - (log - copied).max(0)) * number(page);
            if log_len < in_log || database_len < in_database {
                continue;
            }
            return if number(pages * page) <= QUICKLY_CHECKED { self.check_pages().await } else { Ok(()) };
        }
        Err(corrupt(DOING, "the database or its write-ahead log was cut, or an older one was written over it"))
    }

    /// Reads all pages of a small database: a file that was overwritten may have kept its length.
    async fn check_pages(&mut self) -> Result<(), StoreError> {
        const DOING: &str = "looking at the files";
        sqlx::query("PRAGMA shrink_memory").persistent(false).execute(&mut *self.db).await.during(DOING)?;
        let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .persistent(false)
            .fetch_one(&mut *self.db)
            .await
            .during(DOING)?;
        if verdict == "ok" { Ok(()) } else { Err(corrupt(DOING, verdict.lines().next().unwrap_or_default())) }
    }
}

/// Checks the file that a new connection has opened, creates missing tables, and proves that the file can be written. `before`
/// is the database that was there before.
async fn prepare(
    db: &mut SqliteConnection,
    config: &Config,
    resolved: &Path,
    before: Option<FileKey>,
    is_first: bool,
) -> Result<(FileIdentity, Version), StoreError> {
    let found = schema::examine(&mut *db).await?;
    match found {
        FileState::Empty if !config.create_if_missing => return Err(schema::empty_error(resolved)),
        FileState::Foreign if !(config.create_if_missing && config.shares_file) => {
            return Err(schema::foreign_error());
        }
        _ => {}
    }
    let version = set_up(&mut *db, config).await?;
    // Of a new file, it opens the log and its index.
    schema::examine(&mut *db).await?;
    check_log(&mut *db, resolved, version).await?;
    // A link may lead elsewhere by now.
    let resolved = config.resolved().during(OPENING)?;
    let identity = FileIdentity::now(config, &resolved)?;
    if identity.database().is_none() || before.is_some_and(|before| identity.database() != Some(before)) {
        return Err(replaced_error());
    }
    if !identity.had_index() || has_removed_only(&with_suffix(&resolved, "-shm")) {
        return Err(transient(OPENING).with_hint(
            "its index (-shm) was removed, and another connection of this process still has the removed one open: \
             end the reads that go on, close the pools that are open on the file, or start the process again",
        ));
    }
    if has_removed_only(&with_suffix(&resolved, "-wal")) {
        return Err(replaced_error());
    }
    let identity = identity.with_frames()?;
    // The write lock lies in the index (-shm). Two connections with different indexes hold different locks, and write
    // their pages to the same place of the log:
    //   t0  A has the lock, and its pages go into the log
    //   t1  the index is removed; B notices, opens the file anew and makes another index from the log
    //   t2  B commits, and its pages go where those of A are
    // So this hook refuses every commit after the index was removed, and B takes the lock of the removed index before it
    // opens the file again (`Abandoned`): by then A has committed, or its hook refuses. The same holds for a log that
    // was removed: B empties it with the lock.
    db.lock_handle().await.during(OPENING)?.set_commit_hook(identity.watch());
    // From here on, statements that take the write lock are repeated: others may append without a pause.
    set_busy_timeout(&mut *db, POLLS).await?;
    if found != FileState::Current || (is_first && config.create_if_missing) {
        schema::create(&mut *db, config.shares_file, config.timeout).await?;
    }
    schema::check_no_obstacles(&mut *db).await?;
    probe(&mut *db, config.timeout).await?;
    if found == FileState::Empty {
        sync_directory(&resolved)?;
    }
    Ok((identity, version))
}

impl AsMut<Self> for WriteConnection {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl fmt::Debug for WriteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteConnection").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The options of every connection. They change nothing in an existing file, which may be another application's.
pub(super) fn options(config: &Config, resolved: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(resolved)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES)
        .busy_timeout(config.busy_timeout())
        .pragma("cache_size", CACHE_PAGES)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", WAL_SIZE_LIMIT)
        // Overwrites deleted bytes in pages that are written anyway; a purge overwrites the others.
        .pragma("secure_delete", "FAST")
        // Only macOS knows the difference: there a plain fsync stops at the cache of the drive.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .row_buffer_size(ROW_BUFFER)
        // Statements have the events in them.
        .disable_statement_logging()
}

/// Enables the write-ahead log and reads back its mode and `synchronous`.
async fn set_up(db: &mut SqliteConnection, config: &Config) -> Result<Version, StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *db).await.during(OPENING)?;
    let known = Version::parse(&version);
    if known.resets_logs_wrongly() {
        let error = resets_logs_wrongly(&version);
        if config.durability == Durability::Required {
            return Err(error);
        }
        log_line(move || {
            tracing::warn!(error = &error as &dyn std::error::Error, "the audit log may be damaged by this SQLite");
        });
    }
    // SQLite does not wait for the lock that this needs.
    let mut waited = Duration::ZERO;
    let mode: String = loop {
        match sqlx::query_scalar("PRAGMA journal_mode = WAL").persistent(false).fetch_one(&mut *db).await {
            Ok(mode) => break mode,
            Err(error) if is_busy(&error) && waited < config.timeout => {
                tokio::time::sleep(RETRY_AFTER).await;
                waited += RETRY_AFTER;
            }
            Err(error) => return Err(from_driver(OPENING, error)),
        }
    };
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(refused(format!("the write-ahead log cannot be enabled here: the journal mode is {mode}")));
    }
    let row = sqlx::query("PRAGMA synchronous").persistent(false).fetch_one(db).await.during(OPENING)?;
    match row.try_get::<i64, _>(0).during(OPENING)? {
        SYNCHRONOUS_FULL => Ok(known),
        other => Err(permanent(OPENING).with_hint(format!("synchronous is {other}: a commit would not be durable"))),
    }
}

/// Fails if the index counts frames that the log at its path does not have: it is the index of a log that was removed or
/// replaced while another process had it open. What is written beside that log is lost, or its events are.
async fn check_log(db: &mut SqliteConnection, database: &Path, version: Version) -> Result<(), StoreError> {
    if !version.can_look_at_log() {
        return Ok(());
    }
    for _ in 0..LOG_LOOKS {
        let frames = frames(db).await?;
        // Another process may begin the log anew between the two.
        if frames == 0
            || WalFile::open(&with_suffix(database, "-wal")).and_then(|log| log.ends_with(frames)).during(OPENING)?
        {
            return Ok(());
        }
        let log = WalFile::open(&with_suffix(database, "-wal")).during(OPENING)?;
        let index = IndexFile::open(&with_suffix(database, "-shm")).during(OPENING)?;
        let frames = LogFrames::new(log, index);
        if frames.fit().during(OPENING)? && frames.look_for_gap().during(OPENING)? {
            return Err(log_with_gap(OPENING));
        }
    }
    Err(transient(OPENING).with_hint(
        "its write-ahead log (-wal) was removed or replaced while another process, or a pool of the app's, had it open. A service \
         copies its events with its next event or health check, and when it ends in good order: do not kill it. A reader \
         cannot: see docs/operate.md",
    ))
}

/// Commits a change of a counter: the commit reaches the disk, and no event is added.
async fn probe(db: &mut SqliteConnection, lock_timeout: Duration) -> Result<(), StoreError> {
    lock_wait::execute_locking(&mut *db, "BEGIN IMMEDIATE", lock_timeout).await.during(OPENING)?;
    let sql = format!("{PROBE}; COMMIT");
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *db).await.during(OPENING)?;
    Ok(())
}

/// Sets SQLite's timeout for a lock.
async fn set_busy_timeout(db: &mut SqliteConnection, timeout: Duration) -> Result<(), StoreError> {
    let sql = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *db).await.during(OPENING)?;
    Ok(())
}

/// The error for an SQLite version that may damage the file.
pub(super) fn resets_logs_wrongly(version: &str) -> StoreError {
    let (text, remedy) = sqlite_version::fault(version);
    StoreError::new(StoreErrorKind::NotDurable, NAME, OPENING).with_hint(format!("{text}: {remedy}"))
}

/// Changes a counter, so that a commit has a page to write.
pub(super) const PROBE: &str =
    "INSERT INTO audit_probe(one, times) VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET times = times + 1";
const SYNCHRONOUS_FULL: i64 = 2;
const RETRY_AFTER: Duration = Duration::from_millis(5);
const ROW_BUFFER: usize = 256;
const PAGE_BYTES: u32 = 4096;
/// Negative: KiB.
const CACHE_PAGES: &str = "-16384";
/// Enough for the indexes of the segment that grows, and for the journal at rest.
const WRITER_CACHE_PAGES: &str = "-6144";
const LOOKS: usize = 3;
const LOG_LOOKS: usize = 10;
/// The bytes of a write-ahead log before its first frame, and of a frame before its page.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// The largest database that is read through; it takes some tenths of a second.
const QUICKLY_CHECKED: u64 = 64 * 1024 * 1024;
const CHECKPOINT_PAGES: &str = "4000";
/// The number of pages in the log from which a commit of ours makes a checkpoint: 32 MB.
const LATEST_CHECKPOINT_PAGES: &str = "8000";
/// The size to which SQLite truncates a write-ahead log that has grown larger.
const WAL_SIZE_LIMIT: &str = "67108864";

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::store::OpenOptions;

    /// A new database in a folder, its options, and a connection to it that has read.
    async fn opened() -> (tempfile::TempDir, Config, SqliteConnection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("audit.db");
        let config = Config::parse(path.to_str().unwrap(), OpenOptions::default()).unwrap();
        let mut db = options(&config, &path).create_if_missing(true).connect().await.unwrap();
        prepare(&mut db, &config, &path, None, true).await.unwrap();
        (folder, config, db)
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_while_it_is_opened_is_refused() {
        let (folder, config, mut db) = opened().await;
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        let before = file_key(&other).unwrap();
        let error = prepare(&mut db, &config, &config.path, before, false).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("replaced"), "{error}");
        prepare(&mut db, &config, &config.path, file_key(&config.path).unwrap(), false).await.unwrap();
    }

    /// Its commits would go into a file without a name.
    #[tokio::test]
    async fn a_connection_that_has_another_log_open_is_refused() {
        let (_folder, config, mut db) = opened().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").persistent(false).execute(&mut db).await.unwrap();
        let log = with_suffix(&config.path, "-wal");
        std::fs::remove_file(&log).unwrap();
        std::fs::write(&log, "").unwrap();
        let error = prepare(&mut db, &config, &config.path, None, false).await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("replaced"), "{error}");
    }

    #[tokio::test]
    async fn files_that_are_replaced_between_two_looks_are_refused() {
        for suffix in ["-wal", "-shm"] {
            let (_folder, config, _db) = opened().await;
            let identity = FileIdentity::now(&config, &config.path).unwrap();
            identity.clone().with_frames().unwrap();
            let path = with_suffix(&config.path, suffix);
            std::fs::rename(&path, with_suffix(&path, ".away")).unwrap();
            std::fs::write(&path, "").unwrap();
            let error = identity.with_frames().unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("replaced"), "{error}");
        }
    }
}
