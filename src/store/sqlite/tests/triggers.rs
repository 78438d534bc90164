//! Triggers and other tables that somebody puts in the way of a log that is open.

use super::super::journal::compaction;
use super::*;
use crate::store::{AppConnection, StoreErrorKind, Transactional as _};

/// Triggers that undo what an append, a compaction or a transactional event writes, in the same commit.
const TRIGGERS: [&str; 5] = [
    "CREATE TRIGGER t AFTER INSERT ON audit_journal BEGIN DELETE FROM audit_journal WHERE seq = new.seq; END",
    "CREATE TRIGGER t AFTER INSERT ON audit_journal BEGIN UPDATE audit_journal SET events = '[]' WHERE seq = new.seq; END",
    "CREATE TRIGGER t AFTER INSERT ON audit_journal BEGIN DELETE FROM audit_started; END",
    "CREATE TRIGGER t AFTER INSERT ON audit_started BEGIN DELETE FROM audit_started; END",
    "CREATE TRIGGER t AFTER INSERT ON audit_segment_1 BEGIN DELETE FROM audit_segment_1 WHERE seq = new.seq; END",
];

#[tokio::test]
async fn the_first_append_after_a_trigger_is_refused_with_its_name() {
    for create in TRIGGERS {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        settle(&store).await;
        store.append(&[event(3), started(4)]).await.unwrap();
        let mut raw = place.raw().await;
        for batch in [vec![event(5)], vec![started(6)], vec![event(3), event(7)]] {
            sqlx::query(create).execute(&mut raw).await.unwrap();
            let error = store.append(&batch).await.expect_err(create);
            assert_eq!(error.kind(), StoreErrorKind::Permanent, "{error}");
            assert!(error.to_string().contains("have t: drop each with `DROP TRIGGER"), "{error}");
            assert!(store.health().await.unwrap_err().to_string().contains("trigger"), "{create}");
            let diagnostics = store.diagnose().await.unwrap();
            assert!(diagnostics.iter().any(|found| found.subject == "triggers"), "{diagnostics:?}");
            assert!(place.try_open(true).await.unwrap_err().to_string().contains("DROP TRIGGER"), "{create}");
            sqlx::query("DROP TRIGGER t").execute(&mut raw).await.unwrap();
            store.append(&batch).await.unwrap();
            store.health().await.unwrap();
        }
        assert_eq!(all(&store).await.len(), 8, "{create}");
        assert_eq!(place.number("SELECT count(*) FROM audit_started").await, 2);
    }
}

/// Another table's trigger and another table are no reason to refuse anything.
#[tokio::test]
async fn a_schema_that_changes_elsewhere_keeps_nothing_from_being_appended() {
    let place = Place::new();
    let store = place.open().await;
    let mut raw = place.raw().await;
    let changes = "CREATE TABLE trail(a); CREATE TRIGGER t AFTER INSERT ON trail BEGIN DELETE FROM trail; END; CREATE INDEX i ON trail(a)";
    for (n, change) in (0..).zip(changes.split_inclusive("); ").flat_map(|part| part.split_inclusive("END; "))) {
        sqlx::raw_sql(AssertSqlSafe(change.to_owned())).execute(&mut raw).await.unwrap();
        store.append(&[event(2 * n), started(2 * n + 1)]).await.unwrap();
        store.append(&[event(100 + n)]).await.unwrap();
        store.health().await.unwrap();
    }
    assert_eq!(all(&store).await.len(), 9);
    place.assert_whole().await;
}

#[tokio::test]
async fn a_compaction_moves_nothing_into_a_segment_with_a_trigger() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    settle(&store).await;
    store.append(&events(3..1000)).await.unwrap();
    store.append(&events(1000..1001)).await.unwrap();
    let mut raw = place.raw().await;
    sqlx::query(TRIGGERS[4]).execute(&mut raw).await.unwrap();
    assert!(store.maintain().await.unwrap_err().to_string().contains("trigger"));
    sqlx::query("DROP TRIGGER t").execute(&mut raw).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(0..1001)));
    settle(&store).await;
    assert_eq!(all(&store).await, newest_first(events(0..1001)));
}

#[tokio::test]
async fn a_transactional_event_is_refused_while_there_is_a_trigger() {
    let place = Place::new();
    let store = place.open().await;
    let mut app = place.raw().await;
    let mut raw = place.raw().await;
    for n in 0..2 {
        let mut transaction = app.begin().await.unwrap();
        store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
        assert!(store.insert(AppConnection::Sqlite(&mut transaction), &event(n), true).await.unwrap());
        transaction.commit().await.unwrap();
        sqlx::query(TRIGGERS[0]).execute(&mut raw).await.unwrap();
        let mut transaction = app.begin().await.unwrap();
        let error = store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap_err();
        assert!(error.to_string().contains("trigger"), "{error}");
        transaction.rollback().await.unwrap();
        sqlx::query("DROP TRIGGER t").execute(&mut raw).await.unwrap();
    }
    assert_eq!(all(&store).await, [event(1), event(0)]);
}

/// A view takes rows where its triggers say so, and loses them without an error.
#[tokio::test]
async fn a_view_in_the_journals_place_acknowledges_nothing() {
    for inserted in [
        "SELECT 1",
        "INSERT INTO kept SELECT new.seq, new.events_n, new.min_at, new.max_at, new.min_id, new.max_id, '[]'",
    ] {
        for batch in [vec![event(3)], vec![started(4)]] {
            let place = Place::new();
            let store = place.open().await;
            store.append(&events(0..3)).await.unwrap();
            let change = format!(
                "ALTER TABLE audit_journal RENAME TO kept; CREATE VIEW audit_journal AS SELECT * FROM kept; \
                 CREATE TRIGGER t INSTEAD OF INSERT ON audit_journal BEGIN {inserted}; END"
            );
            let mut raw = place.raw().await;
            sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut raw).await.unwrap();
            store.append(&batch).await.unwrap_err();
            store.health().await.unwrap_err();
            let mended = "DROP VIEW audit_journal; ALTER TABLE kept RENAME TO audit_journal";
            sqlx::raw_sql(mended).execute(&mut raw).await.unwrap();
            store.append(&batch).await.unwrap();
            store.health().await.unwrap();
            assert_eq!(all(&store).await.len(), 4);
        }
    }
}

/// Another table of the same name has what is acknowledged.
#[tokio::test]
async fn a_journal_that_was_renamed_and_made_anew_is_appended_to() {
    for batch in [vec![event(3)], vec![started(4)]] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..3)).await.unwrap();
        let change = "ALTER TABLE audit_journal RENAME TO before; CREATE TABLE audit_journal AS SELECT * FROM before WHERE false";
        sqlx::raw_sql(change).execute(&mut place.raw().await).await.unwrap();
        store.append(&batch).await.unwrap();
        assert_eq!(all(&store).await.len(), 1);
        store.close().await.unwrap();
        assert_eq!(all(&place.open().await).await.len(), 1);
    }
}

#[tokio::test]
async fn a_health_check_writes_one_page() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&[event(0), started(1)]).await.unwrap();
    store.health().await.unwrap();
    let log = super::super::config::with_suffix(&place.path(), "-wal");
    let bytes = || std::fs::metadata(&log).unwrap().len();
    let before = bytes();
    for _ in 0..10 {
        store.health().await.unwrap();
    }
    let frame = 24 + 4096;
    assert!(bytes() - before <= 10 * frame, "{} bytes", bytes() - before);
    // Nor does it leave anything, in the file or in memory.
    store.append(&[event(2)]).await.unwrap();
    assert_eq!(all(&store).await.len(), 3);
    assert_eq!(place.number("SELECT count(*) FROM audit_writers").await, 1);
}

/// A journal without a row begins anew with the next event. A health check before that only tries it.
#[tokio::test]
async fn a_health_check_of_an_emptied_journal_changes_nothing() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    sqlx::query("DELETE FROM audit_journal").execute(&mut place.raw().await).await.unwrap();
    store.health().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM audit_journal").await, 0);
    store.append(&events(3..5)).await.unwrap();
    assert_eq!(all(&store).await, newest_first(events(3..5)));
}

/// Only the connection that made it has a temporary trigger, and the number of the schema stays.
#[tokio::test]
async fn a_transactional_event_is_refused_while_its_connection_has_a_temporary_trigger() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&[event(0), started(1)]).await.unwrap();
    settle(&store).await;
    let mut app = place.raw().await;
    for create in TRIGGERS {
        let mut transaction = app.begin().await.unwrap();
        store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
        let create = create.replace("CREATE TRIGGER t", "CREATE TEMP TRIGGER t").replace(" ON audit", " ON main.audit");
        sqlx::query(AssertSqlSafe(create)).execute(&mut *transaction).await.unwrap();
        let error = store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap_err();
        assert!(error.to_string().contains("have t, temporary ones"), "{error}");
        sqlx::query("DROP TRIGGER temp.t").execute(&mut *transaction).await.unwrap();
        store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
        transaction.rollback().await.unwrap();
    }
    // One on a table of the app's is its own affair.
    let own = "CREATE TEMP TABLE own(a); CREATE TEMP TRIGGER u AFTER INSERT ON own BEGIN DELETE FROM own; END";
    sqlx::raw_sql(own).execute(&mut app).await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
    store.insert(AppConnection::Sqlite(&mut transaction), &event(2), true).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(all(&store).await.len(), 3);
}

/// A new row would replace one that was acknowledged, and SQLite counts one row as changed.
#[tokio::test]
async fn a_journal_whose_rows_can_replace_each_other_is_not_appended_to() {
    let columns = "seq INTEGER PRIMARY KEY, events_n INTEGER, min_at INTEGER, max_at INTEGER, min_id BLOB, max_id BLOB, events TEXT";
    for made in [
        format!("{columns}, UNIQUE (events_n) ON CONFLICT REPLACE"),
        columns
            .replace("PRIMARY KEY", "")
            .replace("events_n INTEGER", "events_n INTEGER PRIMARY KEY ON CONFLICT REPLACE"),
        columns.replace("PRIMARY KEY", "").replace("max_at INTEGER", "max_at INTEGER UNIQUE ON CONFLICT REPLACE"),
    ] {
        for batch in [vec![event(3)], vec![AuditEvent { created_at: event(2).created_at, ..started(3) }]] {
            let place = Place::new();
            let store = place.open().await;
            store.append(&[event(2)]).await.unwrap();
            let change = format!(
                "ALTER TABLE audit_journal RENAME TO before; CREATE TABLE audit_journal({made}); \
                 INSERT INTO audit_journal SELECT * FROM before"
            );
            let mut raw = place.raw().await;
            sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut raw).await.unwrap();
            let error = store.append(&batch).await.unwrap_err();
            assert!(error.kind() == StoreErrorKind::Permanent && error.to_string().contains("unique"), "{error}");
            assert!(store.health().await.unwrap_err().to_string().contains("unique"));
            let mut transaction = raw.begin().await.unwrap();
            let error = store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap_err();
            assert!(error.to_string().contains("unique"), "{error}");
            transaction.rollback().await.unwrap();
            assert_eq!(all(&store).await, [event(2)], "{made}");
        }
    }
}

/// The journal may have an index, and a key that no two rows have in common.
#[tokio::test]
async fn other_indexes_of_the_journal_keep_nothing_from_being_appended() {
    let place = Place::new();
    let store = place.open().await;
    let indexes = "CREATE INDEX i ON audit_journal(min_at); CREATE UNIQUE INDEX u ON audit_journal(events_n, seq)";
    sqlx::raw_sql(indexes).execute(&mut place.raw().await).await.unwrap();
    store.append(&events(0..3)).await.unwrap();
    store.health().await.unwrap();
    assert_eq!(all(&store).await.len(), 3);
}

/// Without a trigger and without an error, SQLite passes over a row with NULL in such a column.
#[tokio::test]
async fn a_journal_that_discards_rows_acknowledges_nothing() {
    for (condition, empties) in [("events_n > 0", false), ("true", true)] {
        for batch in [vec![event(3), event(4)], vec![started(5)]] {
            let place = Place::new();
            let store = place.open().await;
            store.append(&events(0..3)).await.unwrap();
            let change = format!(
                "ALTER TABLE audit_journal RENAME TO before; CREATE TABLE audit_journal(\
                 seq INTEGER PRIMARY KEY, events_n INTEGER, min_at INTEGER, max_at INTEGER, min_id BLOB, max_id BLOB, events TEXT, \
                 kept AS (CASE WHEN seq > 2 AND {condition} THEN NULL ELSE 1 END) STORED NOT NULL ON CONFLICT IGNORE); \
                 INSERT INTO audit_journal SELECT * FROM before"
            );
            let mut raw = place.raw().await;
            sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut raw).await.unwrap();
            if empties {
                sqlx::query("DELETE FROM audit_journal").execute(&mut raw).await.unwrap();
            }
            for _ in 0..2 {
                let error = store.append(&batch).await.unwrap_err();
                assert!(error.to_string().contains("discards rows"), "{error}");
            }
            assert!(store.health().await.unwrap_err().to_string().contains("discards rows"));
            let mut transaction = raw.begin().await.unwrap();
            store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
            let error = store.insert(AppConnection::Sqlite(&mut transaction), &event(6), true).await.unwrap_err();
            assert!(error.to_string().contains("discards rows"), "{error}");
            transaction.rollback().await.unwrap();
            assert_eq!(all(&store).await.len(), if empties { 0 } else { 3 });
        }
    }
}

#[tokio::test]
async fn a_segment_that_discards_rows_takes_none_from_the_journal() {
    let place = Place::new();
    let store = place.open().await;
    store.append(&events(0..3)).await.unwrap();
    settle(&store).await;
    store.append(&events(3..9)).await.unwrap();
    let change = "ALTER TABLE audit_segment_1 ADD COLUMN kept CHECK (seq < 5)";
    sqlx::query(change).execute(&mut place.raw().await).await.unwrap();
    let error = try_settle(&store).await.unwrap_err();
    assert!(error.to_string().contains("discards rows"), "{error}");
    assert_eq!(all(&store).await, newest_first(events(0..9)));
}

/// Rows that stay although they were deleted. No trigger gets there without another number of the schema but a temporary one of
/// the log's own connection, which nobody else has: so the number of rows is looked at as well.
#[tokio::test]
async fn rows_that_are_not_deleted_when_they_should_be_are_an_error() {
    let keep = async |store: &SqliteStore, table: &str| {
        let mut lease = store.lease("test").await.unwrap();
        let create = format!(
            "CREATE TEMP TRIGGER t BEFORE DELETE ON main.{table} WHEN old.seq % 2 = 0 BEGIN SELECT RAISE(IGNORE); END"
        );
        sqlx::query(AssertSqlSafe(create)).execute(&mut *lease.state.connection.db).await.unwrap();
        lease.finish(Ok(())).await.unwrap();
    };
    let place = Place::new();
    let store = place.open().await;
    for n in 0..6 {
        store.append(&[event(n)]).await.unwrap();
    }
    keep(&store, "audit_journal").await;
    let mut lease = store.lease("test").await.unwrap();
    let moved = compaction::compact_chunk(&mut lease.state, 100).await;
    let error = lease.finish(moved).await.unwrap_err();
    assert!(error.to_string().contains("discards rows"), "{error}");
    assert_eq!(all(&store).await, newest_first(events(0..6)), "each is there once");
    // Of a part of a segment, and of a whole one.
    for until in [4, 100] {
        let place = Place::new();
        let store = place.open().await;
        store.append(&events(0..6)).await.unwrap();
        settle(&store).await;
        keep(&store, "audit_segment_1").await;
        // The first rows go; the next call finds those that are kept.
        let mut lease = store.lease("test").await.unwrap();
        let mut purged = purge::delete_old(&mut lease.state, at(until).as_micros(), 100).await;
        for _ in 0..3 {
            if purged.as_ref().is_ok_and(|purged| purged.has_more) {
                purged = purge::delete_old(&mut lease.state, at(until).as_micros(), 100).await;
            }
        }
        let error = lease.finish(purged).await.expect_err("rows are left");
        assert!(error.to_string().contains("discards rows"), "{until}: {error}");
    }
}
