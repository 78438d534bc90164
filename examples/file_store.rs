//! A store of one's own, in one file: each event is a record of its length and its JSON. The recipe is `docs/stores/new.md`.
//!
//! - **Durable** after `fdatasync` of the file; the folder is synced when the file is made or replaced.
//! - **A repeated id** adds nothing: under the lock of `PATH.lock` a handle first reads what others appended, then leaves known ids out.
//! - **A reader** sees what was there when its call took the lock.
//! - **A dead process** is not noticed: there is no recovery, so a `started` event whose process died stays open.
//!
//! All events are in memory, and a purge writes the file anew: this is for reading the code, not for a million events.
//!
//! ```console
//! $ cargo run --features conformance --example file_store
//! $ cargo test --features conformance --example file_store
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tower_audit::query::{Buckets, Cursor, Field, Filter, PageQuery, ValueCount};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, Parts, PurgeOutcome, Reader, StoreAdmin, StoreError, StoreErrorKind,
    StoreFuture,
};
use tower_audit::{AuditEvent, AuditLog, EventId, EventType, Phase, Timestamp};

const NAME: &str = "file";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let log = AuditLog::builder().store(FileStore::open(folder.path().join("audit.events"))?).open().await?;
    log.record(AuditEvent::new(EventType::UPLOAD)).await?;
    let reader = log.store().and_then(|store| store.parts().reader).ok_or("the store cannot be read")?;
    println!("{} event", reader.count(&Filter::new()).await?);
    Ok(log.close().await?)
}

/// One file of events.
struct FileStore {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

struct Shared {
    path: PathBuf,
    lock: File,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// The length of what was read of the file: the end of its last whole record.
    end: u64,
    by_cursor: BTreeMap<Cursor, AuditEvent>,
    cursors: HashMap<EventId, Cursor>,
    open: HashSet<EventId>,
    damaged: bool,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}

fn error_of(cause: io::Error, doing: &'static str) -> StoreError {
    use io::ErrorKind::{Interrupted, InvalidData, PermissionDenied, QuotaExceeded, StorageFull, WouldBlock};
    let (kind, remedy) = match cause.kind() {
        InvalidData => (StoreErrorKind::Corrupt, "a record is damaged: stop the service and look at the file"),
        StorageFull | QuotaExceeded => (StoreErrorKind::Transient, "make room on the disk"),
        Interrupted | WouldBlock => (StoreErrorKind::Transient, "it is tried again"),
        PermissionDenied => (StoreErrorKind::Denied, "let the service read and write the file and its folder"),
        _ => (StoreErrorKind::Permanent, "look at the cause"),
    };
    StoreError::new(kind, NAME, doing).with_hint(remedy).with_source(cause)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn encode(event: &AuditEvent, into: &mut Vec<u8>) -> io::Result<()> {
    let text = serde_json::to_vec(event)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&text);
    Ok(())
}

impl State {
    fn new(file: File) -> Self {
        let (by_cursor, cursors, open) = Default::default();
        Self { file, end: 0, by_cursor, cursors, open, damaged: false }
    }

    fn insert(&mut self, event: AuditEvent) {
        let place = Cursor::of(&event);
        if self.cursors.contains_key(&event.event_id) {
            return;
        }
        self.cursors.insert(event.event_id, place);
        if event.phase == Phase::Started {
            self.open.insert(event.event_id);
        }
        if let Some(ended) = event.request.started_event_id {
            self.open.remove(&ended);
        }
        self.by_cursor.insert(place, event);
    }

    /// Reads what others have appended, or everything if the file was replaced. Under the lock.
    fn catch_up(&mut self, path: &Path) -> io::Result<()> {
        if std::fs::metadata(path)?.ino() != self.file.metadata()?.ino() {
            *self = Self::new(open_file(path)?);
        }
        let length = self.file.metadata()?.len();
        if length < self.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file was cut"));
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut new = Vec::new();
        (&self.file).take(length - self.end).read_to_end(&mut new)?;
        let mut rest = &new[..];
        while let Some((prefix, body)) = rest.split_first_chunk::<4>() {
            let size = u32::from_le_bytes(*prefix) as usize;
            // A dead writer's unacknowledged end: the next append overwrites it.
            let Some((record, behind)) = body.split_at_checked(size) else { break };
            self.insert(
                serde_json::from_slice(record).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?,
            );
            self.end += 4 + size as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Puts bytes behind the last record and syncs them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Best effort; what stays is overwritten or, if it was whole, read as an event (an error leaves that open).
            let _ = self.file.set_len(self.end);
        }
        written
    }

    fn append(&mut self, events: Vec<AuditEvent>) -> io::Result<()> {
        let mut seen = HashSet::new();
        let new: Vec<AuditEvent> = events
            .into_iter()
            .filter(|event| !self.cursors.contains_key(&event.event_id) && seen.insert(event.event_id))
            .collect();
        let mut bytes = Vec::new();
        for event in &new {
            encode(event, &mut bytes)?;
        }
        if !bytes.is_empty() {
            self.write(&bytes)?;
        }
        self.end += bytes.len() as u64;
        new.into_iter().for_each(|event| self.insert(event));
        Ok(())
    }

    /// Replaces the file by one with the events that stay.
    fn rewrite(&mut self, path: &Path, stays: impl Fn(&Cursor) -> bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (_, event) in self.by_cursor.iter().filter(|(place, _)| stays(place)) {
            encode(event, &mut bytes)?;
        }
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        sync_folder(path)?;
        self.catch_up(path)
    }

    fn passing<'a>(&'a self, filter: &'a Filter) -> impl Iterator<Item = &'a AuditEvent> {
        self.by_cursor.values().filter(|event| self.passes(filter, event))
    }

    fn passes(&self, filter: &Filter, event: &AuditEvent) -> bool {
        let is_folded = filter.folded && event.phase == Phase::Started && !self.open.contains(&event.event_id);
        !is_folded && filter.matches(event)
    }
}

impl FileStore {
    /// Opens the file, and makes it if it is missing.
    fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let made = || -> io::Result<Shared> {
            let lock = open_file(&path.with_extension("lock"))?;
            let file = open_file(&path)?;
            sync_folder(&path)?;
            Ok(Shared { path: path.clone(), lock, state: Mutex::new(State::new(file)) })
        };
        let shared = made().map_err(|cause| error_of(cause, "opening"))?;
        shared.run(|_, _| Ok(())).map_err(|cause| error_of(cause, "opening"))?;
        Ok(Self { shared: Arc::new(shared), closed: AtomicBool::new(false) })
    }

    fn check_open(&self, doing: &'static str) -> Result<(), StoreError> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(StoreError::new(StoreErrorKind::Permanent, NAME, doing).with_hint("the store is closed")),
            false => Ok(()),
        }
    }

    /// Runs `work` on a blocking thread, under the lock, on all that was appended.
    fn on_thread<'a, T: Send + 'static>(
        &'a self,
        doing: &'static str,
        work: impl FnOnce(&mut State, &Path) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || shared.run(work)).await;
            done.map_err(io::Error::other).flatten().map_err(|cause| error_of(cause, doing))
        })
    }
}

impl Shared {
    fn run<T>(&self, work: impl FnOnce(&mut State, &Path) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.damaged {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "damage was met before"));
        }
        self.lock.lock()?;
        let done = state.catch_up(&self.path).and_then(|()| work(&mut state, &self.path));
        state.damaged |= done.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::InvalidData);
        self.lock.unlock()?;
        done
    }
}

impl AuditStore for FileStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(NAME).with_durable(true)
    }

    fn parts(&self) -> Parts<'_> {
        Parts { reader: Some(self), admin: Some(self), ..Parts::NONE }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check_open("append")?;
            let events = events.to_vec();
            self.on_thread("append", move |state, _| state.append(events)).await
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.check_open("health check")?;
            let probe = |state: &mut State, _: &Path| {
                state.write(&[0xff; 4])?; // a prefix without its record: no reader takes it for an event
                state.file.set_len(state.end)
            };
            self.on_thread("health check", probe).await
        })
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.on_thread("diagnosis", |state, _| Ok(vec![Diagnostic::ok("file", format!("{} bytes", state.end))]))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.closed.store(true, Ordering::Release);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Reader for FileStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        let query = query.clone();
        self.on_thread("query", move |state, _| {
            let end = query.after.map_or(Bound::Unbounded, Bound::Excluded);
            let older = state.by_cursor.range((Bound::Unbounded, end)).rev().map(|(_, event)| event);
            let passing = older.filter(|event| state.passes(&query.filter, event));
            Ok(passing.skip(usize::try_from(query.skip).unwrap_or(usize::MAX)).take(query.limit).cloned().collect())
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        let filter = filter.clone();
        self.on_thread("count", move |state, _| Ok(state.passing(&filter).count() as u64))
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        let filter = filter.clone();
        self.on_thread("statistics", move |state, _| {
            let mut found: HashMap<Option<String>, u64> = HashMap::new();
            state.passing(&filter).for_each(|event| *found.entry(by.value_of(event)).or_default() += 1);
            let mut counts: Vec<_> = found.into_iter().map(|(value, count)| ValueCount { value, count }).collect();
            ValueCount::sort_and_truncate(&mut counts, at_most);
            Ok(counts)
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        let (filter, buckets) = (filter.clone(), *buckets);
        self.on_thread("statistics", move |state, _| {
            let mut counts = vec![0; buckets.len()];
            for event in state.passing(&filter) {
                if let Some(bucket) = buckets.index_of(event.created_at) {
                    counts[bucket] += 1;
                }
            }
            Ok(counts)
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        self.on_thread("get", move |state, _| {
            Ok(state.cursors.get(&id).and_then(|place| state.by_cursor.get(place)).cloned())
        })
    }
}

impl StoreAdmin for FileStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        self.on_thread("recreate", |state, path| state.rewrite(path, |_| false))
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        self.on_thread("migrate", |_, _| Ok(()))
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        self.on_thread("purge", move |state, path| {
            let end = Cursor { created_at: before, event_id: EventId::from_u128(0) };
            let old: BTreeSet<Cursor> = state.by_cursor.range(..end).map(|(place, _)| *place).take(at_most).collect();
            if !old.is_empty() {
                state.rewrite(path, |place| !old.contains(place))?;
            }
            Ok(PurgeOutcome { deleted: old.len() as u64, has_more: old.len() == at_most })
        })
    }
}

#[cfg(test)]
mod tests {
    use tower_audit::store::conformance::{FreshStore, Harness, Need};

    use super::*;

    fn harness() -> Harness {
        let open = |path: &Path| -> Arc<dyn AuditStore> { Arc::new(FileStore::open(path).expect("the file opens")) };
        Harness::new(move || async move {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("audit.events");
            let store = open(&path);
            FreshStore::new(store).reopened_by(move || std::future::ready(open(&path))).owning(folder)
        })
        .with_event_count(1_000)
        .without(&[Need::Removal, Need::OrphanRecovery, Need::Sealing, Need::Erasure])
    }

    tower_audit::conformance_tests!(suite, || async { harness() });
    tower_audit::conformance_tests!(wrapped, || async { harness().with_fault(None) });
}
