//! IVRE's table of events, in the database of that program.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::config::Config;
use super::error::{DuringOperation as _, NAME};
use super::session::within_timeout;
use super::session_driver::PgSessions;
use crate::store::sql::{CONNECTING, SessionDriver as _, SessionKind, connect_timeout};
use crate::store::{OpenOptions, StoreError, StoreErrorKind};

/// IVRE's table of events, read row by row for an import.
///
/// The URL is one of [`store::open`](crate::store::open): `schema` and `table` name the table, by default `public.audit_events`. Nothing
/// is written, and nothing is needed but the right to select.
///
/// ```no_run
/// use tower_audit::import::{ImportFormat, RecordMapper};
/// use tower_audit::store::postgres::IvreTable;
///
/// # async fn read() -> Result<(), tower_audit::StoreError> {
/// let mut table = IvreTable::open("postgres://reader@localhost/ivre").await?;
/// let mut mapper = RecordMapper::new(ImportFormat::Ivre);
/// let (mut last, mut events) = (i64::MIN, Vec::new());
/// loop {
///     let rows = table.rows_after(last, 500).await?;
///     let Some((id, _)) = rows.last() else { break };
///     last = *id;
///     let records = rows.iter().filter_map(|(id, row)| mapper.map_json(id.unsigned_abs(), row.as_bytes()));
///     events.extend(records.filter_map(|record| record.event.ok()));
/// }
/// # Ok(())
/// # }
/// ```
pub struct IvreTable {
    config: Config,
    db: PgConnection,
}

impl IvreTable {
    /// Connects, and checks that the table is IVRE's.
    ///
    /// # Errors
    /// If the URL is malformed, the server cannot be reached, the account may not read the table, or it is not IVRE's.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let config = Config::parse(url, OpenOptions::default().create_if_missing(false))?;
        let timeout = connect_timeout(config.timeout);
        let session = within_timeout(timeout, CONNECTING, PgSessions::establish(&config, SessionKind::Read)).await?;
        let mut table = Self { config, db: session.db };
        table.check().await?;
        Ok(table)
    }

    /// Returns up to `limit` rows with a greater `id`, each with its `id` and as a JSON object, in the order of `id`.
    ///
    /// # Errors
    /// If the server fails, or does not answer in time.
    pub async fn rows_after(&mut self, id: i64, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        let sql = format!(
            "SELECT t.id::int8, pg_catalog.row_to_json(t)::text FROM {} t WHERE t.id > $1 ORDER BY t.id LIMIT $2",
            self.config.identifiers.table()
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(i64::from(limit)).fetch_all(&mut self.db);
        let rows = within_timeout(self.config.timeout * 6, READING, async { query.await.during(READING) }).await?;
        let row = |row: sqlx::postgres::PgRow| Ok((row.try_get(0).during(READING)?, row.try_get(1).during(READING)?));
        rows.into_iter().map(row).collect()
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        let names = &self.config.identifiers;
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind(names.schema())
        .bind(names.unquoted(""))
        .fetch_all(&mut self.db)
        .await
        .during(READING)?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        let refused = |hint: String| Err(StoreError::new(StoreErrorKind::Config, NAME, READING).with_hint(hint));
        let table = names.table();
        if columns.is_empty() {
            refused(format!("there is no table {table}: name IVRE's with `?schema=…&table=…`"))
        } else if has("phase") && has("event") {
            refused(format!(
                "{table} is a log of this program: move its events with `tower-audit export` and `import --from export`"
            ))
        } else if !["id", "event_id", "event_type", "created_at"].into_iter().all(has) {
            refused(format!("{table} has not the columns of IVRE's events: name its table with `?schema=…&table=…`"))
        } else {
            Ok(())
        }
    }
}

/// Without the connection, which may have a password.
impl std::fmt::Debug for IvreTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IvreTable").field("table", &self.config.identifiers.table()).finish_non_exhaustive()
    }
}

const READING: &str = "reading IVRE's table";
