//! Storing a batch of leaves with its checkpoint.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::tables;
use crate::store::postgres::error::{DuringOperation as _, UNIQUE_VIOLATION, from_driver, has_code, permanent};
use crate::store::postgres::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES};
use crate::store::postgres::session::run;
use crate::store::{SealBatch, StoreError};

/// Stores the batch if it follows the newest checkpoint.
pub(super) async fn store(db: &mut PgConnection, names: &Identifiers, batch: &SealBatch) -> Result<bool, StoreError> {
    if !tables::exist(db, names).await? {
        if batch.after.is_some() {
            return Ok(false);
        }
        tables::create(db, names).await?;
    }
    run(db, DOING, "BEGIN".to_owned()).await?;
    match insert(db, names, batch).await? {
        true => {
            run(db, DOING, "COMMIT".to_owned()).await?;
            Ok(true)
        }
        false => {
            run(db, DOING, "ROLLBACK".to_owned()).await?;
            Ok(false)
        }
    }
}

/// Inserts the rows. Returns false if another sealer has inserted others.
async fn insert(db: &mut PgConnection, names: &Identifiers, batch: &SealBatch) -> Result<bool, StoreError> {
    let sql = format!("SELECT pg_catalog.max(size) FROM {}", names.side_table(CHECKPOINTS));
    let newest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await.during(DOING)?;
    if newest.map(i64::cast_unsigned) != batch.after {
        return Ok(false);
    }
    let sql = format!(
        "INSERT INTO {}(n, event_id, seed, hash) SELECT * FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::uuid[]), \
         pg_catalog.unnest($3::bytea[]), pg_catalog.unnest($4::bytea[]))",
        names.side_table(LEAVES)
    );
    let leaves = sqlx::query(AssertSqlSafe(sql))
        .bind(batch.leaves.iter().map(|leaf| leaf.index.cast_signed()).collect::<Vec<_>>())
        .bind(batch.leaves.iter().map(|leaf| Uuid::from(leaf.event_id)).collect::<Vec<_>>())
        .bind(batch.leaves.iter().map(|leaf| leaf.seed.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind(batch.leaves.iter().map(|leaf| leaf.hash.to_vec()).collect::<Vec<_>>());
    let mut inserted = match leaves.execute(&mut *db).await {
        Ok(done) => done.rows_affected(),
        // Another sealer has committed meanwhile.
        Err(error) if has_code(&error, UNIQUE_VIOLATION) => return Ok(false),
        Err(error) => return Err(from_driver(DOING, error)),
    };
    let sql = format!(
        "INSERT INTO {}(level, n, hash) SELECT * FROM ROWS FROM (pg_catalog.unnest($1::smallint[]), \
         pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::bytea[]))",
        names.side_table(NODES)
    );
    let nodes = sqlx::query(AssertSqlSafe(sql))
        .bind(batch.nodes.iter().map(|node| i16::from(node.level)).collect::<Vec<_>>())
        .bind(batch.nodes.iter().map(|node| node.index.cast_signed()).collect::<Vec<_>>())
        .bind(batch.nodes.iter().map(|node| node.hash.to_vec()).collect::<Vec<_>>());
    inserted += nodes.execute(&mut *db).await.during(DOING)?.rows_affected();
    let sql = format!(
        "INSERT INTO {}(size, note, sealed_at, position) VALUES ($1, $2, $3, $4)",
        names.side_table(CHECKPOINTS)
    );
    let checkpoint = &batch.checkpoint;
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(checkpoint.size.cast_signed())
        .bind(checkpoint.note.as_str())
        .bind(checkpoint.sealed_at.as_micros())
        .bind(checkpoint.position.as_str())
        .execute(db)
        .await
        .during(DOING)?;
    inserted += done.rows_affected();
    if inserted == (batch.leaves.len() + batch.nodes.len() + 1) as u64 {
        return Ok(true);
    }
    Err(permanent(DOING).with_hint("a trigger or a rule on a table of the seal discards rows; drop it"))
}

const DOING: &str = "sealing";
