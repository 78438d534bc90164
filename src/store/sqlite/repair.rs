//! Repair: makes the columns that count and bound events anew from the events.
//!
//! No event is changed. A journal row that contradicts its text is moved: the segment then has what the text says.

use super::error::DuringOperation as _;
use super::events_view;
use super::journal::row_check;
use super::purge::compact_through;
use super::segments::{segment, segment_list_check};
use super::writer_state::{StateTransaction, WriterState};
use crate::store::StoreError;

/// Repairs the list of segments, the key of the terms, and a chunk of the journal. Returns true if work is left.
pub(super) async fn repair_some(state: &mut WriterState) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    transaction.refresh().await?;
    let db = &mut transaction.connection.db;
    sqlx::query(RENEW_TERM_KEY).execute(&mut **db).await.during(DOING)?;
    let contradicting = segment_list_check::find_contradicting(db).await?;
    if !contradicting.is_empty() {
        segment_list_check::repair(db, &contradicting).await?;
        events_view::refresh(db).await?;
        transaction.segments = segment::load(&mut transaction.connection.db).await?;
        transaction.refresh_schema().await?;
    }
    let faults = row_check::find_faults(&mut transaction.connection.db).await?;
    if let Some(seq) = faults.last {
        compact_through(&mut transaction, seq, usize::MAX).await?;
    }
    transaction.commit().await?;
    Ok(faults.last.is_some())
}

/// A key that is none: the lists of terms are then built again with the new one.
const RENEW_TERM_KEY: &str = "UPDATE audit_version SET term_key = randomblob(16) WHERE one = 1 AND \
    (typeof(term_key) <> 'blob' OR length(term_key) <> 16)";
const DOING: &str = "ensure-indexes";
