//! A file that says how far a folder is shipped, for readers in other processes and for whoever adopts it.
//!
//! It is not synced: after a power loss it may be older than it was, and a part is shipped again, which changes nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::store::files::{give_to_owner_of, private};

/// A place in a folder: everything before it is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// The file of a folder's progress.
#[derive(Debug)]
pub(super) struct Progress(File);

impl Progress {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = private().read(true).write(true).create(true).truncate(false).open(folder.join(FILE))?;
        give_to_owner_of(folder, &file);
        Ok(Self(file))
    }

    pub(super) fn write(&self, position: Position) -> io::Result<()> {
        let numbers = [position.segment, position.offset, check(position)];
        self.0.write_all_at(numbers.map(u64::to_le_bytes).as_flattened(), 0)
    }
}

/// Reads the progress of a folder. `None` if there is none yet, or two halves were read.
pub(super) fn read(folder: &Path) -> io::Result<Option<Position>> {
    let file = match File::open(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = [0; 24];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let number = |n: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * n + byte]));
    let position = Position { segment: number(0), offset: number(1) };
    Ok((number(2) == check(position)).then_some(position))
}

fn check(position: Position) -> u64 {
    position.segment.rotate_left(32) ^ position.offset ^ 0x7370_6f6f_6c70_6f73
}

pub(super) const FILE: &str = "progress";
