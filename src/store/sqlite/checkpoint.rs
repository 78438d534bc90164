//! Checkpoints: copies the write-ahead log into the database beside the appends.
//!
//! SQLite begins its log anew with the first commit that finds all of it copied. Under load there is no such commit by itself:
//!
//! - t0: The log has 2,000 frames. A connection of its own begins to copy them; appends go on behind them.
//! - t1: They are copied and synced; 300 more have come. It copies those, then the 60 that came meanwhile.
//! - t2: The writing connection copies the last few between two appends, in a moment. The next append begins the log anew.

use super::error::DuringOperation as _;
use super::wal_gap::LogProgress;
use super::write_connection::WriteConnection;
use super::writer_state::WriterState;
use crate::store::StoreError;

/// Returns true if the log has grown enough since the last checkpoint.
pub(super) fn is_due(state: &WriterState) -> bool {
    let Some(LogProgress { frames, copied }) = state.connection.db.identity.log_progress() else { return false };
    // One that failed, or that a reader stopped, is not tried again at once.
    let tried = if state.frames_at_checkpoint <= frames { state.frames_at_checkpoint } else { 0 };
    !state.connection.version.resets_logs_wrongly() && frames.saturating_sub(copied.max(tried)) >= DUE_FRAMES
}

/// Notes that a checkpoint is tried. The next one is due after as many further frames, however this one ends: if the volume is
/// full, compaction goes on meanwhile, within the log.
pub(super) fn note_try(state: &mut WriterState) {
    state.frames_at_checkpoint = state.connection.db.identity.log_progress().map_or(0, |progress| progress.frames);
}

/// Copies the log until few frames are left, or no more can be copied now.
pub(super) async fn copy_most(connection: &mut WriteConnection) -> Result<(), StoreError> {
    let mut copied_before = 0;
    for _ in 0..PASSES {
        // What the log lacks cannot be copied.
        connection.db.identity.check_frames()?;
        let copied = pass(connection).await?;
        let frames = connection.db.identity.log_progress().map_or(0, |progress| progress.frames);
        if frames.saturating_sub(copied) <= FEW_FRAMES || copied <= copied_before {
            break;
        }
        copied_before = copied;
    }
    Ok(())
}

/// Copies the rest between two appends.
pub(super) async fn copy_rest(state: &mut WriterState) -> Result<(), StoreError> {
    let identity = &state.connection.db.identity;
    let LogProgress { frames, copied } = identity.log_progress().unwrap_or(LogProgress { frames: 0, copied: 0 });
    state.frames_at_checkpoint = frames;
    if frames - copied > MOST_AT_ONCE {
        // A reader is in the way.
        return Ok(());
    }
    identity.check_frames()?;
    pass(&mut state.connection).await.map(drop)
}

/// Copies the frames that no reader needs. Returns the number of all that are copied.
async fn pass(connection: &mut WriteConnection) -> Result<u64, StoreError> {
    let (_, _, copied): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
        .persistent(false)
        .fetch_one(&mut *connection.db)
        .await
        .during(DOING)?;
    Ok(u64::try_from(copied).unwrap_or(0))
}

const DOING: &str = "copying the write-ahead log";
/// The number of frames from which a checkpoint pays: pages that are written again and again are copied once. A commit may wait for
/// the disk while they are synced: 8 MB.
const DUE_FRAMES: u64 = 2000;
/// The number of frames that the writing connection copies in a moment.
const FEW_FRAMES: u64 = 100;
/// The largest number of frames for which an append waits.
const MOST_AT_ONCE: u64 = 500;
const PASSES: usize = 5;
