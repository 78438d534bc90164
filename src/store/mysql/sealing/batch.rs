//! Storing a batch of leaves with its checkpoint.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::tables;
use crate::store::mysql::error::{DEADLOCK, DUPLICATE, from_driver, number, permanent, transient};
use crate::store::mysql::identifiers::{CHECKPOINTS, Identifiers, LEAVES, NODES};
use crate::store::mysql::session::{MysqlQuery, run};
use crate::store::{SealBatch, StoreError};

/// Stores the batch if it follows the newest checkpoint.
pub(super) async fn store(
    db: &mut MySqlConnection,
    names: &Identifiers,
    is_mariadb: bool,
    batch: &SealBatch,
) -> Result<bool, StoreError> {
    if !tables::exist(db, names).await? {
        if batch.after.is_some() {
            return Ok(false);
        }
        tables::create(db, names, is_mariadb).await?;
    }
    for _ in 0..MAX_ATTEMPTS {
        run(db, DOING, "BEGIN".to_owned()).await?;
        match insert(db, names, batch).await {
            Ok(true) => {
                run(db, DOING, "COMMIT".to_owned()).await?;
                return Ok(true);
            }
            // Another sealer has committed meanwhile.
            Ok(false) => return roll_back(db).await.map(|()| false),
            Err(InsertError::Server(error)) if number(&error) == DUPLICATE => {
                return roll_back(db).await.map(|()| false);
            }
            Err(InsertError::Server(error)) if number(&error) == DEADLOCK => roll_back(db).await?,
            Err(InsertError::Server(error)) => return Err(from_driver(DOING, error)),
            Err(InsertError::Store(error)) => return Err(error),
        }
    }
    Err(transient(DOING).with_hint("other sessions seal the same events"))
}

async fn roll_back(db: &mut MySqlConnection) -> Result<(), StoreError> {
    run(db, DOING, "ROLLBACK".to_owned()).await
}

enum InsertError {
    Server(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for InsertError {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

/// Inserts the rows. Returns false if the newest checkpoint is another than the one that the batch follows.
///
/// Of two sealers that both follow it, the second waits at the first leaf for the end of the other's transaction: the number is the key.
async fn insert(db: &mut MySqlConnection, names: &Identifiers, batch: &SealBatch) -> Result<bool, InsertError> {
    let sql = format!("SELECT MAX(size) FROM {}", names.side_table(CHECKPOINTS));
    let newest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *db).await?;
    if newest.map(i64::cast_unsigned) != batch.after {
        return Ok(false);
    }
    let mut inserted = 0;
    for leaves in batch.leaves.chunks(MAX_ROWS) {
        let sql = insert_sql(names, LEAVES, "n, event_id, seed, hash", "(?,?,?,?)", leaves.len());
        let query = leaves.iter().fold(statement(sql, leaves.len()), |query, leaf| {
            query
                .bind(leaf.index.cast_signed())
                .bind(leaf.event_id.to_bytes().to_vec())
                .bind(leaf.seed.as_bytes())
                .bind(leaf.hash.as_slice())
        });
        inserted += query.execute(&mut *db).await?.rows_affected();
    }
    for nodes in batch.nodes.chunks(MAX_ROWS) {
        let sql = insert_sql(names, NODES, "level, n, hash", "(?,?,?)", nodes.len());
        let query = nodes.iter().fold(statement(sql, nodes.len()), |query, node| {
            query.bind(i16::from(node.level)).bind(node.index.cast_signed()).bind(node.hash.as_slice())
        });
        inserted += query.execute(&mut *db).await?.rows_affected();
    }
    let sql = insert_sql(names, CHECKPOINTS, "size, note, sealed_at, position", "(?,?,?,?)", 1);
    let checkpoint = &batch.checkpoint;
    let query = statement(sql, 1)
        .bind(checkpoint.size.cast_signed())
        .bind(checkpoint.note.as_str())
        .bind(checkpoint.sealed_at.as_micros())
        .bind(checkpoint.position.as_str());
    inserted += query.execute(db).await?.rows_affected();
    if inserted == (batch.leaves.len() + batch.nodes.len() + 1) as u64 {
        return Ok(true);
    }
    Err(InsertError::Store(permanent(DOING).with_hint("a trigger on a table of the seal discards rows; drop it")))
}

fn insert_sql(names: &Identifiers, suffix: &str, columns: &str, row: &str, rows: usize) -> String {
    format!("INSERT INTO {} ({columns}) VALUES {}", names.side_table(suffix), vec![row; rows].join(","))
}

fn statement<'q>(sql: String, rows: usize) -> MysqlQuery<'q> {
    sqlx::query(AssertSqlSafe(sql)).persistent(rows <= MAX_PREPARED || rows == MAX_ROWS)
}

const DOING: &str = "sealing";
/// A deadlock, and two more.
const MAX_ATTEMPTS: usize = 3;
/// A hundred kilobytes of leaves: less than the smallest packet.
const MAX_ROWS: usize = 1000;
/// A statement for each number of rows up to this one stays prepared.
const MAX_PREPARED: usize = 32;
