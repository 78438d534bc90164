//! A partition for each month, made ahead of its first event.
//!
//! The key is the id: a UUID of version 7 begins with the milliseconds of its time, so that a span of time is a span of
//! ids. An id that is none of version 7, or of a month without a partition, belongs to the default partition.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::connection::run;
use super::error::{
    CHECK_VIOLATION, DEADLOCK, DUPLICATE_TABLE, Doing as _, LOCK_NOT_AVAILABLE, OVERLAPPING_PARTITION, is, of,
};
use super::names::{DEFAULT, Names, quoted};
use super::schema::begin_alone;
use crate::event::Timestamp;
use crate::store::StoreError;

/// A month that has, or will have, a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Month {
    first: Date,
}

impl Month {
    fn of(time: Timestamp) -> Self {
        // By the second: the last microseconds of the last second are beyond what the library takes.
        let time = jiff::Timestamp::from_second(time.as_micros().div_euclid(1_000_000)).unwrap_or_default();
        Self { first: time.to_zoned(TimeZone::UTC).date().first_of_month() }
    }

    /// The month so many after this one. There is none after the year 9999.
    fn plus(self, months: i32) -> Option<Self> {
        self.first.checked_add(months.months()).ok().map(|first| Self { first })
    }

    /// What the name of its partition ends in.
    fn suffix(self) -> String {
        format!("_{:04}_{:02}", self.first.year(), self.first.month())
    }

    /// The smallest id of its first millisecond.
    fn first_id(self) -> Option<Uuid> {
        let start = self.first.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        Some(Uuid::from_u128(u128::from(u64::try_from(start).ok()?) << 80))
    }
}

/// A span of ids that has, or will have, a partition of its own.
#[derive(Debug)]
struct Span {
    /// What the name of the partition ends in.
    suffix: String,
    /// The smallest id in it; none is the smallest there is.
    from: Option<Uuid>,
    /// The smallest id beyond it.
    to: Uuid,
}

impl Span {
    fn of(month: Month) -> Option<Self> {
        Some(Self { suffix: month.suffix(), from: Some(month.first_id()?), to: month.plus(1)?.first_id()? })
    }

    /// All that is older than the month.
    fn before(month: Month) -> Option<Self> {
        Some(Self { suffix: BEFORE.to_owned(), from: None, to: month.first_id()? })
    }
}

/// Makes the partitions of this month and of the next ones, as far as they are missing, and says whether all are there.
///
/// With the first of them comes one for all that is older: what is imported has its place there, and the default
/// partition, which is looked through when another is made, stays small.
///
/// What stands in the way for now is no error: events of a month without a partition are in the default one.
pub(super) async fn make_ahead(db: &mut PgConnection, names: &Names) -> Result<bool, StoreError> {
    let now = Month::of(Timestamp::now());
    let spans = (0..=MONTHS_AHEAD).filter_map(|ahead| Span::of(now.plus(ahead)?));
    let mut all = true;
    for span in Span::before(now).into_iter().chain(spans) {
        let missing =
            if span.from.is_some() { !exists(db, names, &span.suffix).await? } else { is_new(db, names).await? };
        if !missing {
            continue;
        }
        begin_alone(db, names, DOING).await?;
        match make(db, names, &span).await {
            Ok(true) => run(db, DOING, "COMMIT".to_owned()).await?,
            Ok(false) => {
                run(db, DOING, "ROLLBACK".to_owned()).await?;
                all = false;
            }
            // Somebody was in the way, or faster.
            Err(error) if IN_THE_WAY.iter().any(|code| is(&error, code)) => {
                run(db, DOING, "ROLLBACK".to_owned()).await?;
                all = false;
            }
            Err(error) => return Err(of(DOING, error)),
        }
    }
    Ok(all)
}

/// Whether the table has no partition but the default one.
async fn is_new(db: &mut PgConnection, names: &Names) -> Result<bool, StoreError> {
    let found = children(db, names).await?;
    Ok(found.iter().all(|name| *name == names.bare(DEFAULT)))
}

async fn exists(db: &mut PgConnection, names: &Names, suffix: &str) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2)",
    )
    .bind(names.schema())
    .bind(names.bare(suffix))
    .fetch_one(db)
    .await
    .doing(DOING)
}

/// Makes one, within a transaction, and says whether it should be kept.
///
/// It is made beside the table and then attached: that locks out nobody who appends or reads but for the default
/// partition, and that only for as long as it takes to look for rows that belong into the new one.
async fn make(db: &mut PgConnection, names: &Names, span: &Span) -> Result<bool, sqlx::Error> {
    let Span { suffix, from, to } = span;
    let (table, new, default) = (names.table(), names.beside(suffix), names.beside(DEFAULT));
    let (from, range) = match from {
        Some(from) => (format!("'{from}'"), format!("event_id >= '{from}' AND event_id < '{to}'")),
        None => ("MINVALUE".to_owned(), format!("event_id < '{to}'")),
    };
    let misplaced =
        format!("SELECT count(*) FROM (SELECT FROM {default} WHERE {range} LIMIT {}) AS misplaced", MOST_MOVED + 1);
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'"))).execute(&mut *db).await?;
    let misplaced: i64 = sqlx::query_scalar(AssertSqlSafe(misplaced)).persistent(false).fetch_one(&mut *db).await?;
    if misplaced > MOST_MOVED {
        tracing::warn!(
            partition = suffix.as_str(),
            "the default partition of the audit log has too many events of this time to give them one of their own"
        );
        return Ok(false);
    }
    let mut sql = format!("CREATE TABLE {new} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);");
    if misplaced > 0 {
        sql.push_str(&format!(
            "WITH moved AS (DELETE FROM {default} WHERE {range} RETURNING *) INSERT INTO {new} SELECT * FROM moved;"
        ));
    }
    sql.push_str(&format!("ALTER TABLE {table} ATTACH PARTITION {new} FOR VALUES FROM ({from}) TO ('{to}')"));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await?;
    Ok(true)
}

/// The bare names of the partitions that are beside the table.
async fn children(db: &mut PgConnection, names: &Names) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "SELECT p.relname::text FROM pg_catalog.pg_inherits i \
         JOIN pg_catalog.pg_class c ON c.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid AND p.relnamespace = n.oid \
         WHERE n.nspname = $1 AND c.relname = $2 ORDER BY 1",
    )
    .bind(names.schema())
    .bind(names.bare(""))
    .fetch_all(db)
    .await
    .doing(DOING)
}

/// A partition that holds events of a span of time, by what its name says.
#[derive(Debug)]
pub(super) struct Partition {
    /// Quoted, with its schema.
    pub(super) name: String,
}

/// The partitions of whole months that had ended at this moment, the earliest first.
pub(super) async fn ended_before(
    db: &mut PgConnection,
    names: &Names,
    moment: Timestamp,
) -> Result<Vec<Partition>, StoreError> {
    let newest = names.bare(&Month::of(moment).suffix());
    let other = [DEFAULT, BEFORE].map(|suffix| names.bare(suffix));
    // Names of one length sort as their months do.
    let ended = children(db, names)
        .await?
        .into_iter()
        .filter(|name| !other.contains(name) && name.len() == newest.len() && *name < newest);
    Ok(ended.map(|name| Partition { name: format!("{}.{}", names.quoted_schema(), quoted(&name)) }).collect())
}

const DOING: &str = "making a partition";
const MONTHS_AHEAD: i32 = 3;
/// The partition of all that is older than the first month.
const BEFORE: &str = "_before";
const IN_THE_WAY: [&str; 5] = [LOCK_NOT_AVAILABLE, DEADLOCK, CHECK_VIOLATION, DUPLICATE_TABLE, OVERLAPPING_PARTITION];
/// How many events are moved out of the default partition while it is locked.
const MOST_MOVED: i64 = 20_000;
/// How long whoever wants a strong lock may keep others waiting behind it.
pub(super) const LOCK_TIMEOUT_MS: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    #[test]
    fn a_month_is_a_span_of_ids() {
        let last: Timestamp = "2026-11-30T23:59:59.999999Z".parse().unwrap();
        let next: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let month = Month::of(last);
        assert_eq!(month.suffix(), "_2026_11");
        let end = EventId::from(month.plus(1).unwrap().first_id().unwrap());
        assert!(EventId::from_micros(last.as_micros(), u64::MAX) < end);
        assert!(EventId::from_micros(next.as_micros(), 0) >= end);
        assert_eq!(Month::of(next), month.plus(1).unwrap());
    }

    #[test]
    fn the_ends_of_time_have_no_partition() {
        assert_eq!(Month::of(Timestamp::MIN).first_id(), None);
        assert_eq!(Month::of(Timestamp::MAX).plus(1), None);
    }
}
