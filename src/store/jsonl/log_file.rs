//! A file of the log: what is known of it, and its lines.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::error::{is_damage, is_of_one_file};
use super::file_index::{Block, FileIndex};
use super::file_layout::{FileKey, Form, Kind, give_to_owner_of, private, sync_folder, with_suffix};
use super::line::{self, Head, Line};
use super::line_reader::{LineReader, RawLine};
use crate::event::Timestamp;
use crate::random::random;

/// A file of the log and its index.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    pub(super) index: Arc<FileIndex>,
    /// A number of this process for the file as it is: another one after lines were overwritten.
    pub(super) serial: u64,
    /// False if the file has fewer events than the index says.
    pub(super) is_exact: bool,
    /// The text that stands for the events of a file that cannot be read.
    pub(super) failure: Option<Arc<str>>,
}

/// By this, a file is known to be as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) key: FileKey,
    pub(super) size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { key: FileKey::of(metadata), size: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }

    /// The time of the last write.
    pub(super) fn modified_at(&self) -> Timestamp {
        let (seconds, nanos) = self.modified;
        let micros = seconds.checked_mul(1_000_000).map(|micros| micros + nanos / 1000);
        micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
    }
}

/// The index of a file as it is kept in the folder of the state.
#[derive(Serialize, Deserialize)]
struct SavedIndex {
    version: u32,
    size: u64,
    modified: (i64, i64),
    index: FileIndex,
}

impl LogFile {
    /// Reads the index of a rotated file from the folder of the state.
    pub(super) fn load(path: &Path, kind: Kind, stamp: Stamp, state: &Path) -> Option<Self> {
        let saved = std::fs::read(index_path(state, stamp.key)).ok()?;
        let saved = serde_json::from_slice::<SavedIndex>(&saved)
            .ok()
            .filter(|saved| saved.version == VERSION && saved.size == stamp.size && saved.modified == stamp.modified)?;
        Some(Self::new(path, kind, stamp, saved.index))
    }

    /// Makes the index of a rotated file from its lines, and keeps it in the folder of the state.
    pub(super) fn scan(path: &Path, kind: Kind, stamp: Stamp, state: &Path) -> io::Result<Self> {
        let mut index = scan(path, kind)?;
        index.date_beginning(stamp.modified_at());
        let file = Self::new(path, kind, stamp, index);
        file.save(state);
        Ok(file)
    }

    /// The file at PATH, not indexed yet.
    pub(super) fn active(path: &Path, stamp: Stamp) -> Self {
        Self::new(path, Kind::Active, stamp, FileIndex::default())
    }

    /// An archive that cannot be read: one event in the place of those in it, as new as the file.
    pub(super) fn failed(path: &Path, kind: Kind, stamp: Stamp, error: &io::Error) -> Self {
        let text = format!("{} cannot be read: {error}", path.file_name().unwrap_or_default().display());
        let mut index = FileIndex::default();
        index.push(0, &Line::Event(text_head(&text, Timestamp::MIN)));
        index.date_beginning(stamp.modified_at());
        Self { is_exact: false, failure: Some(text.into()), ..Self::new(path, kind, stamp, index) }
    }

    pub(super) fn new(path: &Path, kind: Kind, stamp: Stamp, index: FileIndex) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            stamp,
            index: Arc::new(index),
            serial: next_serial(),
            is_exact: true,
            failure: None,
        }
    }

    /// Indexes the lines of a plain file behind those that are indexed.
    pub(super) fn index_rest(&mut self) -> io::Result<()> {
        if self.index.len == self.stamp.size {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        let index = Arc::make_mut(&mut self.index);
        file.seek(SeekFrom::Start(index.len))?;
        let mut reader = LineReader::new(BufReader::with_capacity(BUFFER_BYTES, file), index.len);
        index_lines(&mut reader, index)?;
        index.date_beginning(self.stamp.modified_at());
        Ok(())
    }

    /// Keeps the index, so that the next process need not read the file. An index that cannot be kept is made again.
    pub(super) fn save(&self, state: &Path) {
        if !self.is_exact {
            return;
        }
        let saved = SavedIndex {
            version: VERSION,
            size: self.stamp.size,
            modified: self.stamp.modified,
            index: (*self.index).clone(),
        };
        let path = index_path(state, self.stamp.key);
        let temporary = path.with_extension(format!("{:016x}.tmp", random()));
        let write = || -> io::Result<()> {
            let file = private().write(true).create_new(true).open(&temporary)?;
            give_to_owner_of(state, &file);
            serde_json::to_writer(io::BufWriter::new(&file), &saved)?;
            // Without it, a crash may leave an index whose text is missing: it would be made again, not believed.
            std::fs::rename(&temporary, &path)?;
            sync_folder(state)
        };
        if write().is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
    }

    /// Forgets the index: the file is indexed from its beginning.
    pub(super) fn begin_again(&mut self) {
        (self.index, self.serial, self.is_exact) = (Arc::default(), next_serial(), true);
    }

    fn form(&self) -> Form {
        match self.kind {
            Kind::Active => Form::Plain,
            Kind::Rotated(_, form) | Kind::Foreign(form) => form,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.form() == Form::Plain
    }

    /// Calls `visit` with each event of the block, until it breaks.
    pub(super) fn visit_block(
        &self,
        block: &Block,
        visit: &mut dyn FnMut(&RawLine<'_>, &Head) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut otherwise = block.otherwise;
        if let Some(text) = &self.failure {
            return Ok(visit_text(text, block.start, otherwise, visit));
        }
        let source = match self.open_block(block) {
            Err(error) if self.kind != Kind::Active && is_of_one_file(&error) => {
                return Ok(visit_text(&damage_text(&self.path, &error), block.start, otherwise, visit));
            }
            source => source?,
        };
        let mut reader = LineReader::new(source, block.start);
        loop {
            let raw = match reader.next() {
                Ok(Some(raw)) if raw.is_whole => raw,
                Ok(_) => return Ok(ControlFlow::Continue(())),
                Err(error) if self.kind != Kind::Active && is_of_one_file(&error) => {
                    return Ok(visit_text(&damage_text(&self.path, &error), block.start, otherwise, visit));
                }
                Err(error) => return Err(error),
            };
            let Line::Event(head) = line::parse(raw.bytes, otherwise) else { continue };
            otherwise = otherwise.max(head.created_at);
            if visit(&raw, &head).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// The heads of the block's events.
    pub(super) fn heads(&self, block: &Block) -> io::Result<Vec<Head>> {
        let mut heads = Vec::new();
        let done = self.visit_block(block, &mut |_, head| {
            heads.push(*head);
            ControlFlow::Continue(())
        })?;
        debug_assert!(done.is_continue());
        Ok(heads)
    }

    /// Opens the whole file, uncompressed.
    pub(super) fn open(&self) -> io::Result<Box<dyn BufRead + Send>> {
        let file = File::open(&self.path)?;
        if FileKey::of(&file.metadata()?) != self.stamp.key {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        if self.is_plain() {
            return Ok(Box::new(file));
        }
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file))))
    }

    fn open_block(&self, block: &Block) -> io::Result<Box<dyn BufRead>> {
        let mut file = File::open(&self.path)?;
        if FileKey::of(&file.metadata()?) != self.stamp.key {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.is_plain() {
            file.seek(SeekFrom::Start(block.start))?;
            return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file.take(block.len))));
        }
        let Some((start, len)) = block.member else { return self.open_piece(file, block) };
        file.seek(SeekFrom::Start(start))?;
        let member = BufReader::with_capacity(BUFFER_BYTES, file.take(len));
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(member))))
    }
}

impl LogFile {
    /// Opens a piece of a file that another program has compressed: everything before it is decompressed, too.
    fn open_piece(&self, file: File, block: &Block) -> io::Result<Box<dyn BufRead>> {
        let mut text = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file));
        io::copy(&mut (&mut text).take(block.start), &mut io::sink())?;
        // Damage is behind the last line.
        let is_last = block.start + block.len == self.index.len;
        let text = text.take(if is_last { u64::MAX } else { block.len });
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, text)))
    }
}

/// Deletes the compressed copy of a plain file: a process has died after it made that, and before it deleted the plain one.
pub(super) fn remove_compressed_copy(path: &Path, kind: Kind) -> io::Result<()> {
    if !matches!(kind, Kind::Rotated(_, Form::Plain)) {
        return Ok(());
    }
    match std::fs::remove_file(with_suffix(path, ".gz")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Inodes are used again; these numbers are not.
pub(super) fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Indexes a rotated file. Of a file that another program has compressed, the blocks are larger.
fn scan(path: &Path, kind: Kind) -> io::Result<FileIndex> {
    let file = File::open(path)?;
    let is_plain = matches!(kind, Kind::Active | Kind::Rotated(_, Form::Plain) | Kind::Foreign(Form::Plain));
    if is_plain {
        let mut index = FileIndex::default();
        index_lines(&mut LineReader::new(BufReader::with_capacity(BUFFER_BYTES, file), 0), &mut index)?;
        return Ok(index);
    }
    let mut whole = FileIndex::default();
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let mut reader = LineReader::new(BufReader::with_capacity(BUFFER_BYTES, decoder), 0);
    match index_lines(&mut reader, &mut whole) {
        Err(error) if !is_damage(&error) => return Err(error),
        Err(error) => {
            let head = text_head(&damage_text(path, &error), whole.otherwise());
            whole.push(0, &Line::Event(head));
        }
        Ok(()) => {}
    }
    whole.blocks = whole.blocks.into_iter().fold(Vec::new(), |mut pieces: Vec<Block>, block| {
        match pieces.last_mut() {
            Some(piece) if piece.len + block.len <= PIECE_BYTES => piece.join(&block),
            _ => pieces.push(block),
        }
        pieces
    });
    Ok(whole)
}

/// Adds whole lines to the index. A line without its end is left out.
pub(super) fn index_lines<R: BufRead>(reader: &mut LineReader<R>, index: &mut FileIndex) -> io::Result<()> {
    while let Some(raw) = reader.next()? {
        if !raw.is_whole {
            break;
        }
        let line = line::parse(raw.bytes, index.otherwise());
        index.push(raw.len, &line);
    }
    Ok(())
}

/// An event in the place of those that cannot be read. Its line has no length.
fn visit_text(
    text: &str,
    start: u64,
    otherwise: Timestamp,
    visit: &mut dyn FnMut(&RawLine<'_>, &Head) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let raw = RawLine { start, len: 0, bytes: text.as_bytes(), is_whole: true };
    visit(&raw, &text_head(text, otherwise))
}

fn text_head(text: &str, otherwise: Timestamp) -> Head {
    match line::parse(text.as_bytes(), otherwise) {
        Line::Event(head) => head,
        Line::Blank | Line::Ended(_) => unreachable!("the text is no line of the store"),
    }
}

fn damage_text(path: &Path, error: &io::Error) -> String {
    let name = path.file_name().unwrap_or_default().display();
    if is_damage(error) {
        format!("the rest of {name} cannot be decompressed: {error}")
    } else {
        format!("the rest of {name} cannot be read: {error}")
    }
}

pub(super) fn index_path(state: &Path, key: FileKey) -> PathBuf {
    state.join(format!("index-{key}"))
}

/// The version of a saved index; another one is made again.
const VERSION: u32 = 2;
/// To read a piece, everything before it in the file is decompressed. A larger one takes more memory.
const PIECE_BYTES: u64 = 4 << 20;
pub(super) const BUFFER_BYTES: usize = 64 << 10;
