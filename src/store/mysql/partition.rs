//! A partition for each month, made ahead of its first event, and dropped whole when all of it is old.
//!
//! The key is the id: a UUID of version 7 begins with the milliseconds of its time, so that a span of time is a span of
//! ids. `p_before` takes what is older than the first month, `p_later` what comes after the last month, and `p_other` the
//! ids from the year 2109 on, which are those of other kinds, such as random ones. A month is split off from `p_later`; its
//! rows are copied for that, so it must stay small, and `p_other` takes 63 of 64 random ids.
//!
//! Changes of a partitioned table are made by an account that may alter it. Until that has made a month, its events are in
//! `p_later`: none is lost or refused.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::Offset;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::error::{DuringOperation as _, LOCK_WAIT, from_driver, number};
use super::identifiers::{Identifiers, quote_identifier};
use super::session::run;
use crate::event::Timestamp;
use crate::store::{StoreError, StoreErrorKind};

/// A month of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month {
    year: i16,
    month: i8,
}

impl Month {
    pub(super) fn now() -> Self {
        let day = Timestamp::now().to_string();
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(1_i16);
        let mut parts = day.split('-');
        Self { year: number(parts.next()), month: i8::try_from(number(parts.next())).unwrap_or(1) }
    }

    pub(super) fn next(self) -> Self {
        match self.month {
            12.. => Self { year: self.year + 1, month: 1 },
            month => Self { year: self.year, month: month + 1 },
        }
    }

    fn after(self, months: usize) -> Self {
        (0..months).fold(self, |month, _| month.next())
    }

    /// The first moment of the month.
    pub(super) fn start(self) -> Timestamp {
        let first = Date::new(self.year, self.month, 1).ok().map(|day| day.at(0, 0, 0, 0));
        first.and_then(|first| Timestamp::from_civil(first, Offset::UTC)).unwrap_or(Timestamp::MAX)
    }

    /// The least id of a UUID of version 7 of the month, as a literal.
    fn least_id(self) -> String {
        let millis = self.start().as_micros().max(0) / 1000;
        format!("0x{:032x}", u128::try_from(millis).unwrap_or(0) << 80)
    }

    /// The month whose partition has this name.
    fn of_name(name: &str) -> Option<Self> {
        let (year, month) = name.strip_prefix('p')?.split_once('_')?;
        let month = Self { year: year.parse().ok()?, month: month.parse().ok()? };
        (month.to_string() == name).then_some(month)
    }

    fn partition(self) -> String {
        format!("PARTITION {self} VALUES LESS THAN ({})", self.next().least_id())
    }
}

/// The name of its partition.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:04}_{:02}", self.year, self.month)
    }
}

/// The partitions of a new table.
pub(super) fn definition() -> String {
    let now = Month::now();
    let months: Vec<String> = (0..=AHEAD).map(|months| now.after(months).partition()).collect();
    format!(
        "PARTITION BY RANGE COLUMNS (event_id) (PARTITION p_before VALUES LESS THAN ({}), {}, {P_LATER}, \
         PARTITION p_other VALUES LESS THAN (MAXVALUE))",
        now.least_id(),
        months.join(", ")
    )
}

/// The months that have a partition, the earliest first.
pub(super) async fn months(db: &mut MySqlConnection, names: &Identifiers) -> Result<Vec<Month>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT CAST(PARTITION_NAME AS CHAR) FROM information_schema.PARTITIONS \
         WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND PARTITION_NAME IS NOT NULL",
    )
    .bind(names.database())
    .bind(names.unquoted(""))
    .fetch_all(db)
    .await
    .during(MAKING)?;
    let mut months: Vec<Month> = found.iter().filter_map(|name| Month::of_name(name)).collect();
    months.sort_unstable();
    Ok(months)
}

/// Makes the partitions of this month and of the next ones, as far as they are missing. False if this account may not.
///
/// A lock in the way is no error: events of a month without a partition have a place.
pub(super) async fn create_ahead(db: &mut MySqlConnection, names: &Identifiers) -> Result<bool, StoreError> {
    let Some(last) = months(db, names).await?.pop() else { return Ok(true) };
    let until = Month::now().after(AHEAD);
    let mut made = Vec::new();
    let mut month = last.next();
    while month <= until {
        made.push(month.partition());
        month = month.next();
    }
    if made.is_empty() {
        return Ok(true);
    }
    let sql =
        format!("ALTER TABLE {} REORGANIZE PARTITION p_later INTO ({}, {P_LATER})", names.table(), made.join(", "));
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await {
        Err(error) if number(&error) == LOCK_WAIT => Ok(true),
        Err(error) => match from_driver(MAKING, error) {
            error if error.kind() == StoreErrorKind::Denied => Ok(false),
            error => Err(error),
        },
        Ok(_) => Ok(true),
    }
}

/// Drops the earliest month of which everything is older than this, and says how many events it had. None if there is no such
/// month, if a lock is in the way, if counting its events would keep writers waiting, or if this account may not.
///
/// The table is locked, so that no event arrives between the last look at the month and its end. A month whose events are
/// not counted within [`COUNT_SECONDS`] stays; its events are deleted by the row, until few enough are left.
pub(super) async fn drop_oldest(
    db: &mut MySqlConnection,
    names: &Identifiers,
    before: Timestamp,
    is_mariadb: bool,
) -> Result<Option<u64>, StoreError> {
    let months = months(db, names).await?;
    // Later months are needed to hold what comes.
    let Some(oldest) = months.first().copied().filter(|month| month.next().start() <= before && *month < Month::now())
    else {
        return Ok(None);
    };
    let table = names.table();
    match sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLES {table} WRITE"))).execute(&mut *db).await {
        Err(error) if number(&error) == LOCK_WAIT => return Ok(None),
        Err(error) => match from_driver(DROPPING, error) {
            error if error.kind() == StoreErrorKind::Denied => return Ok(None),
            error => return Err(error),
        },
        Ok(_) => {}
    }
    let dropped = drop_locked(db, &table, oldest, before, is_mariadb).await;
    run(db, DROPPING, "UNLOCK TABLES".to_owned()).await?;
    dropped
}

async fn drop_locked(
    db: &mut MySqlConnection,
    table: &str,
    month: Month,
    before: Timestamp,
    is_mariadb: bool,
) -> Result<Option<u64>, StoreError> {
    let (limit, hint) = match is_mariadb {
        true => (format!("SET STATEMENT max_statement_time = {COUNT_SECONDS} FOR "), String::new()),
        false => (String::new(), format!("/*+ MAX_EXECUTION_TIME({}) */ ", COUNT_SECONDS * 1000)),
    };
    let sql = format!("{limit}SELECT {hint}COUNT(*), MAX(created_at) >= ? FROM {table} PARTITION ({month})");
    let asked = sqlx::query_as::<_, (i64, Option<i64>)>(AssertSqlSafe(sql)).bind(super::datetime::datetime(before));
    let (events, has_younger) = match asked.persistent(false).fetch_one(&mut *db).await {
        Err(error) if matches!(number(&error), 1969 | 3024) => return Ok(None),
        asked => asked.during(DROPPING)?,
    };
    if has_younger == Some(1) {
        return Ok(None);
    }
    let name = quote_identifier(&month.to_string());
    match sqlx::raw_sql(AssertSqlSafe(format!("ALTER TABLE {table} DROP PARTITION {name}"))).execute(db).await {
        Err(error) => match from_driver(DROPPING, error) {
            error if error.kind() == StoreErrorKind::Denied => Ok(None),
            error => Err(error),
        },
        Ok(_) => Ok(Some(u64::try_from(events).unwrap_or(0))),
    }
}

/// The months that are made ahead of the current one: an owner that runs `tower-audit migrate` twice a year is in time.
pub(super) const AHEAD: usize = 6;
const COUNT_SECONDS: u32 = 1;
/// The ids of version 7 after the last month, up to the year 2109.
const P_LATER: &str = "PARTITION p_later VALUES LESS THAN (0x0400ffffffffffffffffffffffffffff)";
const MAKING: &str = "making a partition";
const DROPPING: &str = "dropping a partition";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_spans_of_ids() {
        let november = Month { year: 2026, month: 11 };
        assert_eq!(november.to_string(), "p2026_11");
        assert_eq!(Month::of_name("p2026_11"), Some(november));
        for other in ["p_later", "p_before", "p2026_1", "2026_11", "p2026_11x"] {
            assert_eq!(Month::of_name(other), None, "{other}");
        }
        assert_eq!(november.after(2), Month { year: 2027, month: 1 });
        assert_eq!(november.start().to_string(), "2026-11-01T00:00:00.000000Z");
        let id = crate::event::EventId::from_micros(november.start().as_micros(), 0).as_u128();
        assert_eq!(november.least_id(), format!("0x{:032x}", (id >> 80) << 80));
        assert!(Month::now() > Month { year: 2025, month: 1 });
    }
}
