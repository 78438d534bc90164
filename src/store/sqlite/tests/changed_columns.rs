//! Columns that somebody has changed: no event is hidden without a word, nothing panics, and `migrate` mends what it says it
//! mends.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use sqlx::Connection as _;

use super::*;
use crate::event::Target;
use crate::query::{Buckets, TextPattern};
use crate::store::{OrphanRecovery as _, Severity, StoreAdmin as _};

/// Values of columns with numbers or ids.
const NUMBERS: [&str; 10] =
    ["0", "1", "-1", "2", "9223372036854775807", "-9223372036854775808", "NULL", "'text'", "x'00ff'", "0.5"];
/// Values of columns with texts.
const TEXTS: [&str; 4] = ["0", "NULL", "'text'", "x'00ff'"];

/// Each table, the row that is changed, its columns with numbers or ids, and those with texts.
const TABLES: [(&str, &str, &str, &str); 13] = [
    ("audit_journal", "seq = (SELECT min(seq) + 1 FROM audit_journal)", JOURNAL_NUMBERS, "events"),
    ("audit_journal", "seq = (SELECT max(seq) FROM audit_journal)", JOURNAL_NUMBERS, "events"),
    ("audit_segments", "n = 1", LIST_NUMBERS, ""),
    ("audit_segments", "n = 3", LIST_NUMBERS, ""),
    ("audit_segment_1", "seq = 7", SEGMENT_NUMBERS, SEGMENT_TEXTS),
    ("audit_segment_3", "seq = 12", SEGMENT_NUMBERS, ""),
    (
        "audit_postings",
        "id = (SELECT max(id) FROM audit_postings WHERE n = 1 AND field = 1)",
        "id n field part",
        "first body",
    ),
    (
        "audit_postings",
        "id = (SELECT min(id) FROM audit_postings WHERE n = 3 AND field = 14)",
        "n field part",
        "first body",
    ),
    (
        "audit_postings",
        "id = (SELECT min(id) FROM audit_postings WHERE n = 3 AND field = 13)",
        "n field part",
        "first body",
    ),
    ("audit_started", "true", "event_id writer", "event"),
    ("audit_writers", "true", "id", ""),
    ("audit_probe", "true", "one times", ""),
    ("audit_version", "true", "one version term_key", ""),
];
const JOURNAL_NUMBERS: &str = "seq events_n min_at max_at min_id max_id";
const LIST_NUMBERS: &str = "n first_at last_at min_id max_id events_n state merged terms_n";
const SEGMENT_NUMBERS: &str = "seq event_id created_at outcome";
const SEGMENT_TEXTS: &str = "event_type phase user_email remote_addr route event";

/// The statements that change a column.
fn changes() -> Vec<String> {
    let mut changes = Vec::new();
    for (table, row, numbers, texts) in TABLES {
        for (columns, values) in [(numbers, NUMBERS.as_slice()), (texts, TEXTS.as_slice())] {
            for column in columns.split_whitespace() {
                let change = |value| format!("UPDATE OR IGNORE {table} SET {column} = {value} WHERE {row}");
                changes.extend(values.iter().map(change));
            }
        }
    }
    changes
}

fn rich(n: u64) -> AuditEvent {
    let mut event = event(n);
    event.request.request_id = Some(format!("request-{n}").into());
    event.targets = [Target::new("order", n % 5)].into_iter().collect();
    event.resource.method = Some("POST".into());
    event
}

/// A log with a merged segment, one in parts, one that takes events, a journal of several rows and an open event. The
/// tables have no constraints, as if somebody had made them anew.
async fn template(folder: &TempDir) -> (PathBuf, Vec<AuditEvent>) {
    let path = folder.path().join("template.db");
    let store = SqliteStore::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await.unwrap();
    let mut given = Vec::new();
    let append = async |range: std::ops::Range<u64>| {
        let batch: Vec<_> = range.map(rich).collect();
        store.append(&batch).await.unwrap();
        batch
    };
    for first in [0, 100, 200] {
        given.extend(append(first..first + 12).await);
        settle(&store).await;
        if first < 200 {
            let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
            let sql = format!("UPDATE audit_segments SET events_n = 12 + {} WHERE n = {}", 32768, first / 100 + 1);
            sqlx::query(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
            let mut lease = store.lease("test").await.unwrap();
            sqlx::query("BEGIN").execute(&mut *lease.state.connection.db).await.unwrap();
            lease.state.refresh().await.unwrap();
            sqlx::query("COMMIT").execute(&mut *lease.state.connection.db).await.unwrap();
            if first == 0 {
                while super::super::segments::value_index::merge_next_parts(&mut lease.state).await.unwrap() {}
            }
            lease.finish(Ok(())).await.unwrap();
            sqlx::query("UPDATE audit_segments SET events_n = 12").execute(&mut raw).await.unwrap();
        }
    }
    for first in [300, 310, 320] {
        given.extend(append(first..first + 3).await);
    }
    let open = started(400);
    store.append(std::slice::from_ref(&open)).await.unwrap();
    given.push(open);
    store.health().await.unwrap();
    drop(store);
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    sqlx::query(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), ' CHECK (one = 1)', '') \
         WHERE type = 'table' AND name LIKE 'audit%'; PRAGMA writable_schema = RESET; PRAGMA wal_checkpoint(TRUNCATE);",
    )
    .persistent(false)
    .execute(&mut raw)
    .await
    .unwrap();
    raw.close().await.unwrap();
    (path, newest_first(given))
}

/// The listing of a reader, or the error that says why there is none.
async fn read(store: &SqliteStore) -> Result<(Vec<AuditEvent>, Vec<String>), StoreError> {
    let none = Filter::default;
    let mut listed = Vec::new();
    let mut query = PageQuery::new(none(), 19);
    loop {
        let page = store.query(&query).await?;
        query.after = page.last().map(crate::query::Cursor::of);
        listed.extend(page.iter().cloned());
        assert!(listed.len() < 1000, "the same page again and again");
        if page.len() < 19 {
            break;
        }
    }
    let mut wrong = Vec::new();
    let exact = |text: &str| text.parse::<TextPattern>().unwrap().into();
    for (name, filter) in [
        ("all", none()),
        ("user", Filter { user_email: "user3".into(), ..none() }),
        ("route", Filter { route: exact("/scans*"), ..none() }),
        ("method", Filter { method: exact("POST"), ..none() }),
        ("target", Filter { target: exact("order/3"), ..none() }),
        ("request", Filter { request_id: exact("request-5"), ..none() }),
        ("since", Filter { since: Some(at(5)), ..none() }),
        ("span", Filter { since: Some(at(150)), until: Some(at(305)), ..none() }),
        ("phase", Filter { phase: Phase::Started.into(), ..none() }),
    ] {
        let right = listed.iter().filter(|event| filter.matches(event)).count();
        let (count, found) = (store.count(&filter).await?, store.query(&PageQuery::new(filter, 1000)).await?.len());
        // The index still counts an event that is damaged since.
        let damaged = listed.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
        if found != right || !(right..=right + damaged).contains(&(count as usize)) {
            wrong.push(format!("{name}: {count} counted, {found} found, {right} listed"));
        }
    }
    for event in listed.iter().step_by(3) {
        let same = store.get(event.event_id).await?;
        if same.as_ref() != Some(event) && !event.details.contains_key("unreadable_event") {
            wrong.push(format!("get {}", event.event_id));
        }
    }
    let buckets = Buckets::new(at(0), 1_000_000_000, 10).unwrap();
    store.histogram(&none(), &buckets).await?;
    for field in [crate::query::Field::UserEmail, crate::query::Field::Route] {
        let sum: u64 = store.top_values(&none(), field, 100).await?.iter().map(|value| value.count).sum();
        if sum != listed.len() as u64 {
            wrong.push(format!("top {field}: {sum}"));
        }
    }
    Ok((listed, wrong))
}

/// The complaints of `doctor`.
async fn complaints(store: &SqliteStore) -> String {
    match store.diagnose().await {
        Ok(found) => {
            found.into_iter().filter(|one| one.severity > Severity::Ok).map(|one| format!("{one:?}")).collect()
        }
        Err(error) => said(&error),
    }
}

/// The text of an error, which has a remedy or a cause.
fn said(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let text = format!("{error}: {cause}");
    for bad in ["DROP TABLE", "DELETE FROM", "begin another", "delete the", "remove the file"] {
        assert!(!text.contains(bad), "{text}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_column_hides_nothing_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (template, given) = template(&folder).await;
    let faults = futures_util::stream::iter(changes()).map(async |change| {
        let place = Place::new();
        std::fs::copy(&template, place.path()).unwrap();
        let changed = sqlx::query(AssertSqlSafe(change.clone())).execute(&mut place.raw().await).await;
        // A value that the column takes as another, or refuses.
        let Ok(1) = changed.map(|done| done.rows_affected()) else { return None };
        Some(check(&place, &given).await.err().map(|fault| format!("{change}: {fault}")))
    });
    let checked: Vec<Option<String>> = faults.buffer_unordered(8).filter_map(std::future::ready).collect().await;
    let faults: Vec<&String> = checked.iter().flatten().collect();
    assert!(checked.len() > 350, "{}", checked.len());
    assert!(faults.is_empty(), "{} of {}: {faults:#?}", faults.len(), checked.len());
}

/// Opens the log, reads, appends, moves, asks `doctor`, repairs and reads again.
async fn check(place: &Place, given: &[AuditEvent]) -> Result<(), String> {
    let later = rich(900);
    let mut told = String::new();
    // As `tower-audit` opens it: nothing is made.
    let store = match place.try_open(false).await {
        Ok(store) => store,
        Err(error) => {
            let text = said(&error);
            return if text.contains("put 1 back") || text.contains("bring") || text.contains("use a newer one") {
                Ok(())
            } else {
                Err(format!("opening: {text}"))
            };
        }
    };
    told.push_str(&complaints(&store).await);
    let shown = read(&store).await;
    match &shown {
        Ok((listed, wrong)) => {
            // The event that was changed is shown as damaged.
            let lost: Vec<_> = given.iter().filter(|event| !listed.contains(event)).collect();
            let unreadable = listed.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
            if (lost.len() > unreadable || !wrong.is_empty() || listed.len() != given.len()) && told.is_empty() {
                return Err(format!(
                    "in silence: {} listed of {}, {} lost, {unreadable} unreadable, {wrong:?}",
                    listed.len(),
                    given.len(),
                    lost.len()
                ));
            }
        }
        Err(error) => {
            let text = said(error);
            if told.is_empty() {
                return Err(format!("reading fails, and doctor says nothing: {text}"));
            }
        }
    }
    match store.append(std::slice::from_ref(&later)).await {
        Ok(()) => {
            // Once more: it is there.
            if let Err(error) = store.append(std::slice::from_ref(&later)).await {
                return Err(format!("appending again: {}", said(&error)));
            }
        }
        Err(error) => told.push_str(&said(&error)),
    }
    if let Err(error) =
        store.recover(&|event| AuditEvent { event_id: EventId::new(), phase: Phase::Unknown, ..event.clone() }).await
    {
        return Err(format!("recovery: {}", said(&error)));
    }
    if let Err(error) = store.health().await {
        return Err(format!("health: {}", said(&error)));
    }
    if let Err(error) = store.migrate().await {
        return Err(format!("migrate: {}", said(&error)));
    }
    while store.maintain().await.map_err(|error| format!("maintain: {}", said(&error)))? {}
    let (listed, wrong) = read(&store).await.map_err(|error| format!("reading after migrate: {}", said(&error)))?;
    let ids: HashSet<_> = listed.iter().map(|event| event.event_id).collect();
    let lost: Vec<_> = given.iter().chain([&later]).filter(|event| !listed.contains(event)).collect();
    let unreadable = listed.iter().filter(|event| event.details.contains_key("unreadable_event")).count();
    if !wrong.is_empty() || lost.len() > unreadable || ids.len() != listed.len() {
        return Err(format!(
            "after migrate: {} listed, {} lost, {unreadable} unreadable, {wrong:?}",
            listed.len(),
            lost.len()
        ));
    }
    if listed.len() > given.len() + 3 {
        return Err(format!("after migrate: {} listed of {}", listed.len(), given.len()));
    }
    let still = complaints(&store).await.replace("undecodable", "");
    if still.contains("subject: \"") && !still.contains("subject: \"\"") {
        return Err(format!("after migrate doctor still says {still}"));
    }
    Ok(())
}

/// An event keeps its own time when its row no longer bounds it.
#[tokio::test]
async fn changed_times_of_a_row_are_forgotten_when_it_moves() {
    let place = Place::new();
    let store = place.open().await;
    let given: Vec<_> = (0..5)
        .map(|n| {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.created_at = Timestamp::from_micros(event.created_at.as_micros() + n * 60_000_000).unwrap();
            event.event_id = EventId::from_micros(event.created_at.as_micros(), n as u64);
            event
        })
        .collect();
    store.append(&given).await.unwrap();
    let narrow = "UPDATE audit_journal SET max_at = min_at, min_id = x'00', max_id = max_id WHERE events_n = 5";
    sqlx::query(narrow).execute(&mut place.raw().await).await.unwrap();
    let shown = all(&store).await;
    assert_eq!(shown.iter().filter(|event| event.details.contains_key("unreadable_event")).count(), 4);
    assert!(complaints(&store).await.contains("1 rows of the journal were changed"));
    store.migrate().await.unwrap();
    assert_eq!(complaints(&store).await, "");
    assert_eq!(all(&store).await, newest_first(given));
}
