//! Lines that are overwritten with blanks: how events leave a file that is not compressed.
//!
//! The bytes of the event are gone from the disk's file at once, nothing else moves, and writers append meanwhile.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::line::{self, Head};
use super::log_file::{LogFile, Stamp, next_serial};
use crate::event::EventId;

/// Overwrites at most `at_most` of the selected events in these blocks of a plain file, under the log's lock. Calls `begin`
/// before the first. Returns the ids of those that are gone.
pub(super) fn overwrite(
    file: &mut LogFile,
    blocks: impl IntoIterator<Item = usize>,
    at_most: usize,
    is_selected: &dyn Fn(&Head) -> bool,
    begin: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<HashSet<EventId>> {
    let target = File::options().write(true).open(&file.path)?;
    if Stamp::of(&target.metadata()?).key != file.stamp.key {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut removed = HashSet::new();
    for number in blocks {
        let block = file.index.blocks[number].clone();
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        let left = at_most.saturating_sub(removed.len());
        let done = file.visit_block(&block, &mut |raw, head| {
            // A line without a length is none: it stands for those that cannot be read.
            if raw.len > 0 && places.len() < left && is_selected(head) {
                places.push((raw.start, raw.len, *head));
            } else {
                kept.push(*head);
            }
            ControlFlow::Continue(())
        })?;
        debug_assert!(done.is_continue());
        if places.is_empty() {
            continue;
        }
        begin()?;
        for (start, len, head) in &places {
            let len = usize::try_from(len - 1).map_err(io::Error::other)?;
            let end = head.ended.and_then(|id| line::ended_line(id, len));
            target.write_all_at(&end.unwrap_or_else(|| vec![b' '; len]), *start)?;
        }
        let index = Arc::make_mut(&mut file.index);
        index.blocks[number].recount(&kept);
        for (_, len, head) in places {
            index.blank_bytes += len;
            index.unreadable -= u64::from(!head.is_readable).min(index.unreadable);
            index.open.remove(&head.event_id);
            removed.insert(head.event_id);
        }
        if removed.len() >= at_most {
            break;
        }
    }
    if !removed.is_empty() {
        target.sync_data()?;
        file.stamp = Stamp::of(&target.metadata()?);
        file.serial = next_serial();
    }
    Ok(removed)
}
