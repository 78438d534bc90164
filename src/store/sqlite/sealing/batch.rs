//! Storing a batch of leaves with its checkpoint.

use sqlx::QueryBuilder;

use super::{rows, tables};
use crate::store::sqlite::error::{DuringOperation as _, discarded};
use crate::store::sqlite::id_blob::id_bytes;
use crate::store::sqlite::writer_state::{StateTransaction, WriterState};
use crate::store::{SealBatch, StoreError};

/// Stores the batch if it follows the newest checkpoint.
pub(super) async fn store(state: &mut WriterState, batch: &SealBatch) -> Result<bool, StoreError> {
    let mut transaction = StateTransaction::begin(state).await?;
    // Triggers are looked for when the schema has changed.
    transaction.refresh().await?;
    let newest = rows::newest_checkpoint(&mut transaction.connection.db).await?;
    if newest.map(|newest| newest.size) != batch.after {
        transaction.roll_back().await?;
        return Ok(false);
    }
    if !tables::exist(&mut transaction.connection.db).await? {
        tables::create(&mut transaction.connection.db).await?;
        transaction.refresh_schema().await?;
    }
    let db = &mut transaction.connection.db;
    let mut inserted = 0;
    for leaves in batch.leaves.chunks(ROWS) {
        let mut query = QueryBuilder::new("INSERT INTO audit_leaves(n, event_id, seed, hash) ");
        query.push_values(leaves, |mut row, leaf| {
            row.push_bind(leaf.index.cast_signed())
                .push_bind(id_bytes(leaf.event_id.as_u128()))
                .push_bind(leaf.seed.as_bytes().to_vec())
                .push_bind(leaf.hash.to_vec());
        });
        inserted += query.build().execute(&mut **db).await.during(DOING)?.rows_affected();
    }
    for nodes in batch.nodes.chunks(ROWS) {
        let mut query = QueryBuilder::new("INSERT INTO audit_nodes(level, n, hash) ");
        query.push_values(nodes, |mut row, node| {
            row.push_bind(i64::from(node.level)).push_bind(node.index.cast_signed()).push_bind(node.hash.to_vec());
        });
        inserted += query.build().execute(&mut **db).await.during(DOING)?.rows_affected();
    }
    let checkpoint = &batch.checkpoint;
    let done = sqlx::query("INSERT INTO audit_checkpoints(size, note, sealed_at, position) VALUES (?1, ?2, ?3, ?4)")
        .bind(checkpoint.size.cast_signed())
        .bind(checkpoint.note.as_str())
        .bind(checkpoint.sealed_at.as_micros())
        .bind(checkpoint.position.as_str())
        .execute(&mut **db)
        .await
        .during(DOING)?;
    inserted += done.rows_affected();
    if inserted != (batch.leaves.len() + batch.nodes.len() + 1) as u64 {
        return Err(discarded(DOING));
    }
    transaction.commit().await?;
    Ok(true)
}

const DOING: &str = "sealing";
/// The rows of one statement: few shapes, so that each stays prepared.
const ROWS: usize = 64;
