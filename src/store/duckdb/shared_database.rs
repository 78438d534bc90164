//! The open database: one for each file and process, shared by the stores that were opened on it.
//!
//! DuckDB locks the file against other processes, but not against a second opening by its own. So the databases of this process are
//! in a list, and a store that is opened on a file that is open already takes part in it. The last store that goes closes it,
//! before another can be opened on the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use adbc_core::Driver as _;
use adbc_core::options::{OptionDatabase, OptionValue};
use adbc_driver_manager::ManagedDatabase;
use tokio::sync::OwnedMutexGuard;

use super::config::Config;
use super::error::{DuringOperation as _, OPENING, config, permanent, transient};
use super::library;
use super::read_pool::ReadPool;
use super::schema;
use super::session::Session;
use super::wal::{DatabaseFile, wal_of};
use crate::random::random;
use crate::store::StoreError;
use crate::store::files::sync_folder;
use crate::store::resolved_path::resolved_path;

/// An open database.
pub(super) struct Engine {
    config: Config,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    pub(super) readers: ReadPool,
    pub(super) path: PathBuf,
    /// The numbers of the stores that are open: their `started` events are no orphans.
    stores: Mutex<BTreeSet<i64>>,
}

/// The session that writes, and the files that it writes to.
pub(super) struct Writer {
    /// None while the database is closed, since it could not be opened again.
    session: Option<Session>,
    file: DatabaseFile,
    /// True from before a commit until it is known to be durable, or until a checkpoint. An event of such a commit can be read, but not
    /// acknowledged.
    is_unproven: bool,
}

impl Engine {
    fn open(config: &Config) -> Result<Self, StoreError> {
        let path = config.path.clone();
        let is_new = !path.exists();
        if is_new && !config.create_if_missing {
            return Err(self::config("there is no file at this path: `tower-audit init` makes one"));
        }
        library::load(config.library.as_deref())?;
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.nlink() > 1) {
            return Err(self::config(
                "the file has a second name (a hard link), under which this process could open it twice: remove the other name",
            ));
        }
        let (database, mut session) = open_database(config)?;
        if is_new {
            // A log says who did what. DuckDB makes the file for everybody, and takes none that is empty.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).during(OPENING)?;
        }
        match config.create_if_missing {
            true => schema::provide(&mut session)?,
            false => schema::require(&mut session, OPENING)?,
        }
        if let Some(folder) = path.parent() {
            sync_folder(folder).during(OPENING)?;
        }
        let file = DatabaseFile::open(&path)?;
        // New tables are in a new write-ahead log.
        file.has_grown_durably(None, OPENING)?;
        let writer = Writer { session: Some(session), file, is_unproven: false };
        Ok(Self {
            config: config.clone(),
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            readers: ReadPool::new(database),
            path,
            stores: Mutex::default(),
        })
    }

    /// Registers a store and returns its number.
    pub(super) fn register(&self) -> i64 {
        let number = i64::try_from(random() >> 1).unwrap_or(i64::MAX);
        self.stores().insert(number);
        number
    }

    pub(super) fn unregister(&self, number: i64) {
        self.stores().remove(&number);
    }

    /// Returns true if an open store of this process has the number.
    pub(super) fn is_registered(&self, number: i64) -> bool {
        self.stores().contains(&number)
    }

    fn stores(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineHandle {
    /// Waits for the appends, purges and checkpoints before this one. A database that DuckDB has given up is closed and opened again.
    pub(super) async fn writer(
        &self,
        timeout: Duration,
        doing: &'static str,
    ) -> Result<OwnedMutexGuard<Writer>, StoreError> {
        let busy = || transient(doing).with_hint("the database is busy with an append, a purge or a checkpoint");
        let waiting = tokio::time::timeout(timeout, Arc::clone(&self.writer).lock_owned());
        let mut writer = waiting.await.map_err(|_| busy())?;
        if writer.session.as_ref().is_some_and(|session| !session.is_invalidated()) {
            return Ok(writer);
        }
        let waiting = tokio::time::timeout(timeout, self.readers.all_returned());
        let mut database = waiting.await.map_err(|_| busy())?;
        let engine = self.clone();
        blocking(doing, move || {
            // It is closed when nothing of it is left; only then may the file be opened a second time.
            engine.readers.clear();
            writer.session = None;
            *database = None;
            writer.file.look(doing)?;
            let (opened, session) = open_database(&engine.config)?;
            *database = Some(opened);
            writer.session = Some(session);
            drop(database);
            Ok(writer)
        })
        .await
    }
}

/// Opens the database and a session. What a write-ahead log is read for may be in the memory of the system alone: a sync of it
/// may have failed. So it is written, and synced, again.
fn open_database(config: &Config) -> Result<(ManagedDatabase, Session), StoreError> {
    let has_wal = std::fs::metadata(wal_of(&config.path)).is_ok_and(|wal| wal.len() > 0);
    let mut driver = library::load(config.library.as_deref())?;
    let database = driver.new_database_with_opts(options(config)?).during(OPENING)?;
    let mut session = Session::new(&database, OPENING)?;
    if has_wal {
        session.run(OPENING, CHECKPOINT, Vec::new())?;
    }
    Ok((database, session))
}

impl Writer {
    /// The session. There is one while a caller has the writer.
    pub(super) fn session(&mut self, doing: &'static str) -> Result<&mut Session, StoreError> {
        self.session.as_mut().ok_or_else(|| transient(doing).with_hint("the database is closed"))
    }

    /// Runs `work` in a transaction, and returns when what it wrote survives a crash of the machine.
    pub(super) fn commit<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.commit_if_changed(doing, |session| Ok((work(session)?, true)))
    }

    /// As [`commit`](Self::commit), of work that says whether it has changed anything: a transaction without a change writes nothing.
    pub(super) fn commit_if_changed<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Session) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        self.prove(doing)?;
        let before = self.file.look(doing)?;
        self.is_unproven = true;
        let (done, has_changed) = self.session(doing)?.transaction(doing, work)?;
        if has_changed && !self.file.has_grown_durably(before, doing)? {
            self.checkpoint(doing)?;
        }
        self.is_unproven = false;
        Ok(done)
    }

    /// Makes every commit before this one durable.
    ///
    /// t0: a checkpoint has deleted the write-ahead log.
    /// t1: an append commits, in a new log; the sync of the folder fails, and so does the append.
    /// t2: the append is repeated and finds its events. The new log may still lose its name in a crash of the machine: a checkpoint
    /// writes them into the file first.
    pub(super) fn prove(&mut self, doing: &'static str) -> Result<(), StoreError> {
        if self.is_unproven { self.checkpoint(doing) } else { Ok(()) }
    }

    /// Moves the write-ahead log into the file.
    pub(super) fn checkpoint(&mut self, doing: &'static str) -> Result<(), StoreError> {
        self.session(doing)?.run(doing, CHECKPOINT, Vec::new())?;
        self.file.look(doing)?;
        self.is_unproven = false;
        Ok(())
    }

    /// The bytes of the write-ahead log.
    pub(super) fn wal_bytes(&self) -> u64 {
        self.file.wal_bytes()
    }
}

fn options(config: &Config) -> Result<Vec<(OptionDatabase, OptionValue)>, StoreError> {
    let path = config.path.to_str().ok_or_else(|| self::config("the path is not UTF-8"))?;
    let threads = config.threads.map(|threads| threads.to_string());
    let given = [
        ("path", Some(path)),
        ("memory_limit", Some(config.memory.as_str())),
        ("threads", threads.as_deref()),
        ("checkpoint_threshold", Some(MOST_WAL)),
        // Nothing of another file is read, and nothing is loaded into the process.
        ("enable_external_access", Some("false")),
        ("autoinstall_known_extensions", Some("false")),
        ("autoload_known_extensions", Some("false")),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(given
        .map(|(name, value)| (OptionDatabase::Other(name.to_owned()), OptionValue::String(value.to_owned())))
        .collect())
}

/// The database of one file, while it is open.
#[derive(Default)]
struct Slot(Mutex<SlotState>);

#[derive(Default)]
struct SlotState {
    handles: usize,
    engine: Option<Arc<Engine>>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share in an open database. The last one that is dropped closes it.
pub(super) struct EngineHandle {
    slot: Arc<Slot>,
    /// None once it is being dropped.
    engine: Option<Arc<Engine>>,
}

impl EngineHandle {
    /// Opens the database, or takes part in it. The options of whoever opens it count. Blocks.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let config = &Config { path: resolved(&config.path)?, ..config.clone() };
        let slot = slot_of(&config.path);
        let mut state = slot.state();
        let engine = match &state.engine {
            Some(engine) => Arc::clone(engine),
            None => Arc::new(Engine::open(config)?),
        };
        state.handles += 1;
        state.engine = Some(Arc::clone(&engine));
        drop(state);
        Ok(Self { slot, engine: Some(engine) })
    }
}

impl Clone for EngineHandle {
    fn clone(&self) -> Self {
        self.slot.state().handles += 1;
        Self { slot: Arc::clone(&self.slot), engine: self.engine.clone() }
    }
}

impl Deref for EngineHandle {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.engine.as_deref().expect("only its drop takes it")
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        self.engine = None;
        state.handles -= 1;
        if state.handles == 0 {
            // Under the lock: whoever opens the file meanwhile waits until it is closed.
            state.engine = None;
        }
    }
}

/// The slot of a file, by its resolved path.
fn slot_of(path: &Path) -> Arc<Slot> {
    static OPEN: Mutex<BTreeMap<PathBuf, Weak<Slot>>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, slot| slot.strong_count() > 0);
    if let Some(slot) = open.get(path).and_then(Weak::upgrade) {
        return slot;
    }
    let slot = Arc::new(Slot::default());
    open.insert(path.to_owned(), Arc::downgrade(&slot));
    slot
}

/// Resolves symbolic links: DuckDB's write-ahead log lies beside the resolved file, but beside a link that led nowhere when it was opened.
fn resolved(path: &Path) -> Result<PathBuf, StoreError> {
    match resolved_path(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(config("the folder of the file must exist").with_source(error))
        }
        resolved => resolved.during(OPENING),
    }
}

/// Runs what blocks on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(permanent(doing).with_source(error)),
    }
}

const CHECKPOINT: &str = "CHECKPOINT";
/// The bytes of the write-ahead log at which a commit makes a checkpoint, however busy the log is.
const MOST_WAL: &str = "64MB";
