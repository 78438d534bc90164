//! A log in the database of an application, beside its tables.

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use super::super::config::with_suffix;
use super::*;
use crate::store::StoreErrorKind;

/// A pool on a file that has tables of an application, and versions of its own.
async fn app(place: &Place, sql: &str) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(place.path()).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
    pool
}

const TABLES: &str = "CREATE TABLE segments(a); CREATE TABLE audit_trail(a); INSERT INTO segments VALUES (7); \
    PRAGMA user_version = 42; PRAGMA application_id = 9";

#[tokio::test]
async fn a_log_lives_beside_the_tables_of_an_app() {
    let place = Place::new();
    let pool = app(&place, TABLES).await;
    assert!(place.try_open(true).await.unwrap_err().to_string().contains("another application"));
    let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await.unwrap();
    store.append(&events(0..3000)).await.unwrap();
    maintain_all(&store).await;
    store.health().await.unwrap();
    // By its name it is found now.
    let again = place.try_open(false).await.unwrap();
    assert_eq!(all(&again).await, newest_first(events(0..3000)));
    again.append(&[event(3000)]).await.unwrap();
    assert_eq!(all(&store).await.len(), 3001);
    // `recreate` touches the tables of the log alone.
    store.parts().admin.unwrap().recreate().await.unwrap();
    assert_eq!(all(&store).await, []);
    for (asked, answer) in [("SELECT a FROM segments", 7), ("PRAGMA user_version", 42), ("PRAGMA application_id", 9)] {
        assert_eq!(place.number(asked).await, answer, "{asked}");
    }
    place.assert_whole().await;
}

#[tokio::test]
async fn an_app_may_number_its_own_tables_in_a_file_that_was_the_logs() {
    let place = Place::new();
    place.open().await.append(&events(0..3)).await.unwrap();
    let _pool = app(&place, "CREATE TABLE users(name); PRAGMA user_version = 12").await;
    assert_eq!(all(&place.open().await).await.len(), 3);
}

#[tokio::test]
async fn tables_of_the_same_names_are_left_alone() {
    let place = Place::new();
    let pool = app(&place, "CREATE TABLE audit_journal(a)").await;
    let error = SqliteStore::from_pool(&pool, OpenOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("audit_journal"), "{error}");
    assert_eq!(place.number("SELECT count(*) FROM sqlite_schema").await, 1);
}

#[tokio::test]
async fn a_pool_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite:"] {
        let pool = SqlitePool::connect(url).await.unwrap();
        let error = SqliteStore::from_pool(&pool, OpenOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("in memory"), "{error}");
    }
}

/// The pool's connections keep the removed file open. What they commit is in no file that has a name.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_log_whose_files_are_removed_waits_for_the_pool_of_the_app() {
    use crate::store::{AppConnection, Transactional as _};

    // `true`: another process has made an index by then.
    for (suffixes, is_made) in
        [(&["-wal"][..], false), (&["-shm"], false), (&["-shm"], true), (&["-wal", "-shm"], false)]
    {
        let place = Place::new();
        app(&place, TABLES).await.close().await;
        let options = SqliteConnectOptions::new().filename(place.path());
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let store = SqliteStore::from_pool(&pool, OpenOptions::default()).await.unwrap();
        store.append(&events(0..3)).await.unwrap();
        sqlx::query("INSERT INTO segments VALUES (8)").execute(&pool).await.unwrap();
        for suffix in suffixes {
            std::fs::remove_file(with_suffix(&place.path(), suffix)).unwrap();
        }
        if is_made {
            std::fs::write(with_suffix(&place.path(), "-shm"), b"").unwrap();
        }
        for _ in 0..3 {
            let mut transaction = pool.begin().await.unwrap();
            let error = store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("removed"), "{suffixes:?} {error}");
            sqlx::query("INSERT INTO segments VALUES (8)").execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
            let error = store.append(&events(3..5)).await.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains("removed"), "{suffixes:?} {error}");
        }
        assert!(store.health().await.unwrap_err().is_transient());
        pool.close().await;
        store.append(&events(3..5)).await.unwrap();
        store.health().await.unwrap();
        assert_eq!(all(&store).await, newest_first(events(0..5)), "{suffixes:?}");
        assert_eq!(place.number("SELECT count(*) FROM segments WHERE a = 8").await, 4, "{suffixes:?}");
        place.assert_whole().await;

        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(place.path())).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        store.prepare(AppConnection::Sqlite(&mut transaction)).await.unwrap();
        store.insert(AppConnection::Sqlite(&mut transaction), &event(5), true).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(all(&store).await.len(), 6);
    }
}
