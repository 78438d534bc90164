//! A view of the log at one moment: files with their indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::catalogue::Catalogue;
use super::file_index::Block;
use super::line::WriterId;
use super::log_file::LogFile;
use crate::event::{EventId, Timestamp};

/// The files of the log at one moment. Lines that come later are not in it.
#[derive(Debug)]
pub(super) struct Snapshot {
    files: Vec<LogFile>,
}

/// A block of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockRef<'a> {
    pub(super) file: &'a LogFile,
    pub(super) block: &'a Block,
    /// True if another file may have some of its events too: logrotate has copied the file, or has renamed it during an
    /// append.
    pub(super) is_contested: bool,
}

impl Snapshot {
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        Self { files: catalogue.files().cloned().collect() }
    }

    /// Every file, the active one first.
    pub(super) fn files(&self) -> impl Iterator<Item = &LogFile> {
        self.files.iter()
    }

    /// The blocks that may have events from `since` to before `until`, newest first.
    pub(super) fn blocks(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Vec<BlockRef<'_>> {
        let (mut blocks, mut files) = (Vec::new(), Vec::new());
        for (number, file) in self.files.iter().enumerate() {
            for block in file.index.blocks.iter().filter(|block| block.events > 0) {
                blocks.push(BlockRef { file, block, is_contested: false });
                files.push(number);
            }
        }
        mark_contested(&mut blocks, &files);
        blocks.retain(|BlockRef { block, .. }| {
            since.is_none_or(|since| block.last_at >= since) && until.is_none_or(|until| block.first_at < until)
        });
        blocks.sort_by_key(|found| std::cmp::Reverse(found.block.last_at));
        blocks
    }

    /// The blocks that may have this id.
    pub(super) fn blocks_with(&self, id: EventId) -> impl Iterator<Item = (&LogFile, &Block)> {
        self.files
            .iter()
            .flat_map(move |file| file.index.blocks_with(id).map(move |block| (file, &file.index.blocks[block])))
    }

    /// The `started` events that nothing has ended, with their writers.
    pub(super) fn open_events(&self) -> BTreeMap<EventId, Option<WriterId>> {
        let ended: BTreeSet<EventId> = self.files.iter().flat_map(|file| file.index.ended.iter().copied()).collect();
        let open = self.files.iter().flat_map(|file| file.index.open.iter());
        open.filter(|(id, _)| !ended.contains(id)).map(|(id, writer)| (*id, *writer)).collect()
    }
}

/// Marks the blocks whose span of ids meets that of a block of another file.
fn mark_contested(blocks: &mut [BlockRef<'_>], files: &[usize]) {
    let spans: Vec<Span> = blocks
        .iter()
        .zip(files)
        .enumerate()
        .map(|(number, (found, file))| Span {
            first: found.block.first_id.as_u128(),
            last: found.block.last_id.as_u128(),
            file: *file,
            number,
        })
        .collect();
    // The complement turns the order of ids around: what was met from the left is met from the right.
    let reversed = spans.iter().map(|span| Span { first: !span.last, last: !span.first, ..*span }).collect();
    for spans in [spans, reversed] {
        for number in met_from_the_left(spans) {
            blocks[number].is_contested = true;
        }
    }
}

/// The ids of a block.
#[derive(Clone, Copy)]
struct Span {
    first: u128,
    last: u128,
    file: usize,
    number: usize,
}

/// The numbers of the spans that begin within a span of another file.
fn met_from_the_left(mut spans: Vec<Span>) -> Vec<usize> {
    spans.sort_unstable_by_key(|span| span.first);
    let mut met = Vec::new();
    // The greatest last id, with its file, and the greatest one of other files than that.
    let (mut greatest, mut other): (Option<(u128, usize)>, Option<u128>) = (None, None);
    for span in spans {
        let rival = match greatest {
            Some((last, file)) if file != span.file => Some(last),
            _ => other,
        };
        if rival.is_some_and(|last| last >= span.first) {
            met.push(span.number);
        }
        match greatest {
            Some((last, file)) if file == span.file => greatest = Some((last.max(span.last), file)),
            Some((last, _)) if span.last <= last => other = other.max(Some(span.last)),
            Some((last, _)) => (greatest, other) = (Some((span.last, span.file)), Some(last)),
            None => greatest = Some((span.last, span.file)),
        }
    }
    met
}

/// A scan that can be given up.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancelled(std::sync::Arc<AtomicBool>);

/// Gives the scan up when it is dropped.
#[derive(Debug)]
pub(super) struct CancelOnDrop(Cancelled);

impl Cancelled {
    pub(super) fn check(&self) -> Result<(), ScanError> {
        if self.0.load(Ordering::Relaxed) { Err(ScanError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Another error than that of a file that has moved.
impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The end of a scan of a block.
#[derive(Debug)]
pub(super) enum ScanError {
    /// The file has gone, or another has its name: the log must be looked at again.
    Moved,
    /// Nobody waits for the answer.
    Cancelled,
    Io(io::Error),
}
