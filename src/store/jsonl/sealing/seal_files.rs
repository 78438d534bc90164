//! The files of the seal, as they are written and read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::json_lines::{self, Row};
use crate::event::{EventId, Timestamp};
use crate::store::files::{LockedFile, give_to_owner_of, private, stat, sync_folder};
use crate::store::jsonl::error::{DuringOperation as _, error_of, transient};
use crate::store::jsonl::file_layout::{Place, with_suffix};
use crate::store::{
    SealBatch, StoreError, StoreErrorKind, StoredCheckpoint, StoredLeaf, StoredNode, StoredRemoval, StoredSeed,
};

/// The files of the seal of one log.
#[derive(Debug, Clone)]
pub(in crate::store::jsonl) struct SealFiles {
    folder: PathBuf,
    /// The folder of the log.
    beside: PathBuf,
    /// The folder whose owner is that of the log's files.
    state: PathBuf,
}

/// A checkpoint as a line.
#[derive(Serialize, Deserialize)]
struct CheckpointLine {
    size: u64,
    sealed_at: i64,
    position: String,
    note: String,
}

impl Row for CheckpointLine {
    fn number(&self) -> u64 {
        self.size
    }

    fn unreadable(before: u64) -> Self {
        Self { size: before.saturating_add(1), sealed_at: 0, position: String::new(), note: UNREADABLE.to_owned() }
    }
}

impl From<CheckpointLine> for StoredCheckpoint {
    fn from(line: CheckpointLine) -> Self {
        let sealed_at = Timestamp::from_micros_clamped(line.sealed_at);
        Self { size: line.size, note: line.note, sealed_at, position: line.position }
    }
}

/// A signed removal as a line.
#[derive(Serialize, Deserialize)]
struct RemovalLine {
    number: u64,
    note: String,
}

impl Row for RemovalLine {
    fn number(&self) -> u64 {
        self.number
    }

    fn unreadable(before: u64) -> Self {
        Self { number: before.saturating_add(1), note: UNREADABLE.to_owned() }
    }
}

impl SealFiles {
    pub(in crate::store::jsonl) fn of(place: &Place) -> Self {
        Self { folder: with_suffix(&place.file, ".seal"), beside: place.folder.clone(), state: place.state.clone() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns true if the log was sealed.
    pub(in crate::store::jsonl) fn exist(&self) -> io::Result<bool> {
        Ok(stat(&self.path(CHECKPOINTS))?.is_some())
    }

    /// Returns the missing files of a log that was sealed: somebody has removed them.
    pub(in crate::store::jsonl) fn missing(&self) -> io::Result<Vec<String>> {
        if stat(&self.folder)?.is_none() {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        for name in [LEAVES, SEEDS, CHECKPOINTS] {
            if stat(&self.path(name))?.is_none() {
                missing.push(name);
            }
        }
        // A sealer that dies during its first batch leaves no checkpoint.
        let leaves = stat(&self.path(LEAVES))?.map_or(0, |leaves| leaves.len());
        let is_unborn = missing.contains(&CHECKPOINTS) && leaves <= (FIRST_BATCH * LEAF_BYTES) as u64;
        let names = missing.into_iter().map(|name| self.path(name).display().to_string());
        Ok(if is_unborn { Vec::new() } else { names.collect() })
    }

    /// Removes the seal, with the log.
    pub(in crate::store::jsonl) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_folder(&self.beside)),
        }
    }

    /// Takes the lock of those who write. The kernel releases it when the process dies.
    pub(super) fn lock(&self, timeout: Duration, operation: &'static str) -> Result<LockedFile, StoreError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(locked) = self.try_lock("lock").during(operation)? {
                return Ok(locked);
            }
            if Instant::now() >= deadline {
                return Err(transient(operation).with_hint("another process writes the seal of the log"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes a lock, unless another process has it. Makes the folder if it is missing.
    pub(super) fn try_lock(&self, name: &str) -> io::Result<Option<LockedFile>> {
        self.make_folder()?;
        let file = self.open_to_write(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockedFile::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let owner = if self.state.is_dir() { &self.state } else { &self.beside };
                give_to_owner_of(owner, &File::open(&self.folder)?);
                sync_folder(&self.beside)
            }
        }
    }

    /// Opens a file, and makes it if it is missing. The folder is synced by who makes its content durable.
    pub(super) fn open_to_write(&self, name: &str) -> io::Result<File> {
        let file = private().read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        give_to_owner_of(&self.folder, &file);
        Ok(file)
    }

    /// Returns the newest checkpoint.
    pub(super) fn newest(&self) -> io::Result<Option<StoredCheckpoint>> {
        Ok(json_lines::last::<CheckpointLine>(&self.path(CHECKPOINTS))?.map(StoredCheckpoint::from))
    }

    /// Returns the number of leaves of the newest checkpoint.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.newest()?.map_or(0, |newest| newest.size))
    }

    pub(super) fn checkpoints(&self, after: u64, at_most: usize) -> io::Result<Vec<StoredCheckpoint>> {
        let found = json_lines::after::<CheckpointLine>(&self.path(CHECKPOINTS), Some(after), at_most)?;
        Ok(found.into_iter().map(StoredCheckpoint::from).collect())
    }

    pub(super) fn removals(&self, first: u64, at_most: usize) -> io::Result<Vec<StoredRemoval>> {
        let found = json_lines::after::<RemovalLine>(&self.path(REMOVALS), first.checked_sub(1), at_most)?;
        Ok(found.into_iter().map(|line| StoredRemoval { number: line.number, note: line.note }).collect())
    }

    /// Returns the ids and hashes of leaves from `first` on, without their seeds.
    pub(super) fn heads(&self, first: u64, at_most: u64) -> io::Result<Vec<(EventId, [u8; 32])>> {
        let bytes = records::<LEAF_BYTES>(&self.path(LEAVES), first, at_most)?;
        Ok(bytes.into_iter().map(|leaf| (id_of(&leaf), hash_of(&leaf))).collect())
    }

    pub(super) fn leaves(&self, first: u64, at_most: usize) -> io::Result<Vec<StoredLeaf>> {
        let count = self.size()?.saturating_sub(first).min(at_most as u64);
        let heads = self.heads(first, count)?;
        let seeds = records::<SEED_BYTES>(&self.path(SEEDS), first, count)?;
        let seeds = seeds.into_iter().map(|seed| seed_of(&seed)).chain(std::iter::repeat(StoredSeed::Gone));
        let leaves = heads.into_iter().zip(seeds).zip(first..);
        Ok(leaves.map(|(((event_id, hash), seed), index)| StoredLeaf { index, event_id, seed, hash }).collect())
    }

    pub(super) fn nodes(&self, level: u8, first: u64, at_most: usize) -> io::Result<Vec<StoredNode>> {
        // Of full tiles alone.
        let there = self.size()?.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let count = there.saturating_sub(first).min(at_most as u64);
        let hashes = records::<HASH_BYTES>(&self.path(&nodes_name(level)), first, count)?;
        Ok(hashes.into_iter().zip(first..).map(|(hash, index)| StoredNode { level, index, hash }).collect())
    }

    /// Stores the batch if it follows the newest checkpoint.
    pub(super) fn store(&self, batch: &SealBatch, timeout: Duration) -> Result<bool, StoreError> {
        let _lock = self.lock(timeout, SEALING)?;
        if self.newest().during(SEALING)?.map(|newest| newest.size) != batch.after {
            return Ok(false);
        }
        let mut seeds = Vec::with_capacity(batch.leaves.len() * SEED_BYTES);
        for leaf in &batch.leaves {
            match &leaf.seed {
                StoredSeed::Whole(seed) => {
                    seeds.push(1);
                    seeds.extend_from_slice(seed);
                }
                StoredSeed::Gone => seeds.extend_from_slice(&[0; SEED_BYTES]),
                StoredSeed::Other(_) => {
                    return Err(error_of(StoreErrorKind::Unsupported, SEALING).with_hint("a seed has not 32 bytes"));
                }
            }
        }
        self.write(batch, &seeds).during(SEALING)?;
        Ok(true)
    }

    fn write(&self, batch: &SealBatch, seeds: &[u8]) -> io::Result<()> {
        let first = batch.after.unwrap_or(0);
        let is_new = batch.after.is_none();
        let leaves: Vec<u8> =
            batch.leaves.iter().flat_map(|leaf| [&leaf.event_id.to_bytes()[..], &leaf.hash].concat()).collect();
        self.put(LEAVES, first * LEAF_BYTES as u64, &leaves)?;
        self.put(SEEDS, first * SEED_BYTES as u64, seeds)?;
        let mut nodes = batch.nodes.as_slice();
        while let Some(node) = nodes.first() {
            let len = nodes
                .iter()
                .zip(node.index..)
                .take_while(|(next, index)| (next.level, next.index) == (node.level, *index));
            let (run, rest) = nodes.split_at(len.count());
            let hashes: Vec<u8> = run.iter().flat_map(|node| node.hash).collect();
            self.put(&nodes_name(node.level), node.index * HASH_BYTES as u64, &hashes)?;
            nodes = rest;
        }
        self.put_spans(first, batch.checkpoint.size)?;
        // The names of new files, before a checkpoint needs them.
        if is_new || !batch.nodes.is_empty() {
            sync_folder(&self.folder)?;
        }
        let checkpoint = &batch.checkpoint;
        let line = CheckpointLine {
            size: checkpoint.size,
            sealed_at: checkpoint.sealed_at.as_micros(),
            position: checkpoint.position.clone(),
            note: checkpoint.note.clone(),
        };
        self.append(CHECKPOINTS, &line)
    }

    /// Writes bytes at a place, as the end of the file, and makes them durable.
    fn put(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.open_to_write(name)?;
        let len = file.metadata()?.len();
        if len < at {
            // Zeros in between would be leaves that nobody has sealed.
            return Err(io::Error::other(format!("{} was cut: bring it back from a copy", self.path(name).display())));
        }
        file.write_all_at(bytes, at)?;
        file.set_len(at + bytes.len() as u64)?;
        file.sync_data()
    }

    /// Writes the spans of blocks that have become full. They save work and are made again if they are missing.
    fn put_spans(&self, before: u64, after: u64) -> io::Result<()> {
        let (first, end) = (before / SPAN_LEAVES, after / SPAN_LEAVES);
        for block in first..end {
            let (least, greatest) = span_of(&self.heads(block * SPAN_LEAVES, SPAN_LEAVES)?);
            let bytes = [least.to_bytes(), greatest.to_bytes()].concat();
            let file = self.open_to_write(SPANS)?;
            if file.metadata()?.len() >= block * bytes.len() as u64 {
                file.write_all_at(&bytes, block * bytes.len() as u64)?;
            }
        }
        Ok(())
    }

    /// Returns the spans that were written, as far as they are whole.
    pub(super) fn spans(&self) -> io::Result<Vec<(EventId, EventId)>> {
        let bytes = records::<SPAN_BYTES>(&self.path(SPANS), 0, u64::MAX)?;
        Ok(bytes.into_iter().map(|span| (id_of(&span), id_of(&span[16..]))).collect())
    }

    /// Appends a line and makes it durable. On failure there is none.
    fn append(&self, name: &str, row: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        let is_new = stat(&self.path(name))?.is_none();
        let file = self.open_to_write(name)?;
        // Behind the last whole line: what a writer that died has left is no line.
        let end = json_lines::whole_end(&file)?;
        let written = file.set_len(end).and_then(|()| file.write_all_at(&line, end)).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Another sync would succeed without what this one has lost.
            let _ = file.set_len(end).and_then(|()| file.sync_data());
            return Err(error);
        }
        if is_new { sync_folder(&self.folder) } else { Ok(()) }
    }

    /// Stores a signed removal, unless its number is taken.
    pub(super) fn add_removal(&self, number: u64, note: &str, timeout: Duration) -> Result<bool, StoreError> {
        let _lock = self.lock(timeout, PURGING)?;
        let last = json_lines::last::<RemovalLine>(&self.path(REMOVALS)).during(PURGING)?;
        if last.is_some_and(|last| last.number >= number) {
            return Ok(false);
        }
        self.append(REMOVALS, &RemovalLine { number, note: note.to_owned() }).during(PURGING)?;
        Ok(true)
    }

    /// Overwrites the seeds of leaves.
    pub(super) fn blank_seeds(&self, indexes: &[u64]) -> io::Result<()> {
        let file = self.open_to_write(SEEDS)?;
        let len = file.metadata()?.len() / SEED_BYTES as u64;
        for index in indexes.iter().filter(|index| **index < len) {
            file.write_all_at(&[0; SEED_BYTES], index * SEED_BYTES as u64)?;
        }
        file.sync_data()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Returns records of a file from `first` on, as far as they are whole.
fn records<const BYTES: usize>(path: &Path, first: u64, at_most: u64) -> io::Result<Vec<[u8; BYTES]>> {
    let Some(file) = json_lines::open(path)? else { return Ok(Vec::new()) };
    let there = file.metadata()?.len() / BYTES as u64;
    let count = there.saturating_sub(first).min(at_most);
    let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)? * BYTES];
    file.read_exact_at(&mut bytes, first.saturating_mul(BYTES as u64))?;
    Ok(bytes.as_chunks::<BYTES>().0.to_vec())
}

/// Returns the least and the greatest id.
pub(super) fn span_of(leaves: &[(EventId, [u8; 32])]) -> (EventId, EventId) {
    let ids = || leaves.iter().map(|(id, _)| *id);
    (ids().min().unwrap_or(EventId::from_u128(u128::MAX)), ids().max().unwrap_or(EventId::from_u128(0)))
}

fn id_of(bytes: &[u8]) -> EventId {
    EventId::from_bytes(std::array::from_fn(|byte| bytes[byte]))
}

fn hash_of(leaf: &[u8; LEAF_BYTES]) -> [u8; 32] {
    std::array::from_fn(|byte| leaf[16 + byte])
}

fn seed_of(record: &[u8; SEED_BYTES]) -> StoredSeed {
    match record {
        [1, seed @ ..] => StoredSeed::Whole(*seed),
        _ if record.iter().all(|byte| *byte == 0) => StoredSeed::Gone,
        other => StoredSeed::Other(other.as_slice().into()),
    }
}

fn nodes_name(level: u8) -> String {
    format!("nodes-{level}")
}

/// The number of leaves of a block: 48 KiB.
pub(super) const SPAN_LEAVES: u64 = 1024;
const LEAF_BYTES: usize = 48;
const SEED_BYTES: usize = 33;
const HASH_BYTES: usize = 32;
const SPAN_BYTES: usize = 32;
/// A sealer seals no more events at once.
const FIRST_BATCH: usize = 4096;
const LEAVES: &str = "leaves";
const SEEDS: &str = "seeds";
const SPANS: &str = "spans";
const CHECKPOINTS: &str = "checkpoints";
const REMOVALS: &str = "removals";
const UNREADABLE: &str = "a line that is none";
const SEALING: &str = "sealing";
const PURGING: &str = "purge";
