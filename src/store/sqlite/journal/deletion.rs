//! The deletion of rows whose events are in segments.

use crate::store::StoreError;
use crate::store::sqlite::error::{DuringOperation as _, discarded};
use crate::store::sqlite::writer_state::StateTransaction;

/// Deletes the rows up to this one, and fails if there were not so many.
pub(crate) async fn delete_rows(
    transaction: &mut StateTransaction<'_>,
    last: i64,
    rows: usize,
) -> Result<(), StoreError> {
    let deleted = sqlx::query("DELETE FROM audit_journal WHERE seq <= ?1")
        .bind(last)
        .execute(&mut *transaction.connection.db)
        .await
        .during(DOING)?;
    if deleted.rows_affected() != rows as u64 {
        return Err(discarded(DOING));
    }
    transaction.journal.remove_rows_through(last);
    Ok(())
}

const DOING: &str = "indexing";
