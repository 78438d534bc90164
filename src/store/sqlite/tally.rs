//! How many events there are of what, and when: what each source has is added up.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::candidates::Candidates;
use super::error::Doing as _;
use super::index::number;
use super::page::{self, Place};
use super::rows::Rows;
use super::values;
use super::wanted::{Wanted, column};
use crate::event::Timestamp;
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
    let mut found = Found::default();
    let mut candidates = Candidates::new(filter);
    let mut sources = page::sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        match source.place {
            Place::Journal(_) => {
                page::journal(db, wanted, source, &mut sources, usize::MAX, |event, _| {
                    found.add(event.value(by).as_deref(), 1);
                })
                .await?;
            }
            Place::Segment(n) => {
                let rows = candidates.of(db, source, &sources).await?;
                if rows.as_ref().is_some_and(Rows::is_empty) {
                    continue;
                }
                if source.indexed && wanted.takes_all(source.min_at, source.max_at) {
                    of_index(db, n, by, rows.as_ref(), &mut found).await?;
                } else {
                    let column = column(by);
                    let select = wanted.select(&format!("CAST({column} AS TEXT), count(*)"), n, rows.as_ref());
                    let select = select.then(&format!(" GROUP BY {column}"));
                    for row in select.query().fetch_all(&mut *db).await.doing(DOING)? {
                        let (value, events): (Option<&str>, i64) =
                            (row.try_get(0).doing(DOING)?, row.try_get(1).doing(DOING)?);
                        found.add(value, u64::try_from(events).unwrap_or(0));
                    }
                }
            }
        }
        if found.values.len() > MOST_VALUES {
            return Err(StoreError::new(StoreErrorKind::Permanent, "sqlite", DOING)
                .with_remedy(format!("there are more than {MOST_VALUES} values of {by}: choose a shorter time")));
        }
    }
    let nothing = (found.nothing > 0).then_some(Tally { value: None, events: found.nothing });
    let values = found.values.into_iter().map(|(value, events)| Tally { value: Some(value), events });
    let mut tallies = values.chain(nothing).collect();
    Tally::most_first(&mut tallies, at_most);
    Ok(tallies)
}

/// How many events have which value, and how many have none.
#[derive(Debug, Default)]
struct Found {
    values: HashMap<String, u64>,
    nothing: u64,
}

impl Found {
    fn add(&mut self, value: Option<&str>, more: u64) {
        let Some(value) = value else {
            self.nothing += more;
            return;
        };
        match self.values.get_mut(value) {
            Some(events) => *events += more,
            None => drop(self.values.insert(value.to_owned(), more)),
        }
    }
}

/// Counts by the index of a segment, in these of its rows or in all.
async fn of_index(
    db: &mut SqliteConnection,
    n: i64,
    by: Field,
    rows: Option<&Rows>,
    found: &mut Found,
) -> Result<(), StoreError> {
    let blocks: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM audit_value_rows WHERE n = ?1 AND field = ?2")
        .bind(n)
        .bind(number(by))
        .fetch_all(db)
        .await
        .doing(DOING)?;
    for block in blocks {
        values::read(&block, |value, kept| {
            let events = rows.map_or(kept.len(), |rows| {
                let mut events = 0;
                kept.each(|row| events += u64::from(rows.contains(row)));
                events
            });
            if events > 0 {
                found.add(value, events);
            }
        })
        .doing(DOING)?;
    }
    Ok(())
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
    let mut candidates = Candidates::new(&filter);
    let mut sources = page::sources(db, wanted).await?;
    while let Some(source) = sources.pop_front() {
        let bucket_of = |micros| buckets.of(Timestamp::from_micros_clamped(micros));
        let (first, last) = (bucket_of(source.min_at), bucket_of(source.max_at));
        let is_one = first.is_some() && first == last && wanted.takes_all(source.min_at, source.max_at);
        if is_one && candidates.is_everything() {
            put(first, u64::try_from(source.events_n).unwrap_or(0));
            continue;
        }
        match source.place {
            Place::Journal(_) => {
                page::journal(db, wanted, source, &mut sources, usize::MAX, |event, _| {
                    put(buckets.of(event.created_at), 1);
                })
                .await?;
            }
            Place::Segment(n) => {
                let rows = candidates.of(db, source, &sources).await?;
                if let Some(rows) = rows.as_ref().filter(|rows| is_one || rows.is_empty()) {
                    put(first, rows.len());
                    continue;
                }
                let (start, width) = (buckets.start().as_micros(), buckets.width_micros());
                let select = wanted.select(&format!("(created_at - {start}) / {width}, count(*)"), n, rows.as_ref());
                let select = select.then(" GROUP BY 1");
                for row in select.query().fetch_all(&mut *db).await.doing(DOING)? {
                    let (bucket, events): (i64, i64) = (row.try_get(0).doing(DOING)?, row.try_get(1).doing(DOING)?);
                    put(usize::try_from(bucket).ok(), u64::try_from(events).unwrap_or(0));
                }
            }
        }
    }
    Ok(counts)
}

const DOING: &str = "reading";
