//! How many events there are of what, and when: what each source has is added up.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

use super::error::Doing as _;
use super::page::{self, Place};
use super::wanted::{Wanted, bind, column};
use crate::query::{Buckets, Field, Filter, Tally};
use crate::store::{StoreError, StoreErrorKind};

/// How many different values are held at once, about 100 MB of them at the worst.
const MOST_VALUES: usize = 1_000_000;

pub(super) async fn by_field(
    db: &mut SqliteConnection,
    filter: &Filter,
    by: Field,
    at_most: usize,
) -> Result<Vec<Tally>, StoreError> {
    let wanted = Wanted { filter, after: None };
    let mut found: HashMap<Option<String>, u64> = HashMap::new();
    let mut sources = page::sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        match source.place {
            Place::Journal(_) => {
                let events = page::journal(db, source, &mut sources, usize::MAX).await?;
                for event in events.iter().filter(|event| filter.matches(event)) {
                    *found.entry(by.of(event)).or_default() += 1;
                }
            }
            Place::Segment(n) => {
                let clause = wanted.clause();
                let column = column(by);
                let sql = format!(
                    "SELECT CAST({column} AS TEXT), count(*) FROM audit_segment_{n} {} GROUP BY {column}",
                    clause.sql()
                );
                for row in bind(sqlx::query(AssertSqlSafe(sql)), clause).fetch_all(&mut *db).await.doing(DOING)? {
                    let (value, events): (Option<String>, i64) =
                        (row.try_get(0).doing(DOING)?, row.try_get(1).doing(DOING)?);
                    *found.entry(value).or_default() += u64::try_from(events).unwrap_or(0);
                }
            }
        }
        if found.len() > MOST_VALUES {
            return Err(StoreError::new(StoreErrorKind::Permanent, "sqlite", DOING)
                .with_remedy(format!("there are more than {MOST_VALUES} values of {by}: choose a shorter time")));
        }
    }
    let mut tallies = found.into_iter().map(|(value, events)| Tally { value, events }).collect();
    Tally::most_first(&mut tallies, at_most);
    Ok(tallies)
}

pub(super) async fn by_time(
    db: &mut SqliteConnection,
    filter: &Filter,
    buckets: &Buckets,
) -> Result<Vec<u64>, StoreError> {
    let filter = buckets.within(filter);
    let wanted = Wanted { filter: &filter, after: None };
    let mut counts = vec![0; buckets.count()];
    let mut put = |bucket: Option<usize>, events: u64| {
        if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
            *count += events;
        }
    };
    let mut sources = page::sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        let bucket_of = |micros| buckets.of(crate::event::Timestamp::from_micros_clamped(micros));
        let (first, last) = (bucket_of(source.min_at), bucket_of(source.max_at));
        if first.is_some() && first == last && wanted.takes_all(source.min_at, source.max_at) {
            put(first, u64::try_from(source.events_n).unwrap_or(0));
            continue;
        }
        match source.place {
            Place::Journal(_) => {
                let events = page::journal(db, source, &mut sources, usize::MAX).await?;
                for event in events.iter().filter(|event| filter.matches(event)) {
                    put(buckets.of(event.created_at), 1);
                }
            }
            Place::Segment(n) => {
                let clause = wanted.clause();
                let (start, width) = (buckets.start().as_micros(), buckets.width_micros());
                let sql = format!(
                    "SELECT (created_at - {start}) / {width}, count(*) FROM audit_segment_{n} {} GROUP BY 1",
                    clause.sql()
                );
                for row in bind(sqlx::query(AssertSqlSafe(sql)), clause).fetch_all(&mut *db).await.doing(DOING)? {
                    let (bucket, events): (i64, i64) = (row.try_get(0).doing(DOING)?, row.try_get(1).doing(DOING)?);
                    put(usize::try_from(bucket).ok(), u64::try_from(events).unwrap_or(0));
                }
            }
        }
    }
    Ok(counts)
}

const DOING: &str = "reading";
