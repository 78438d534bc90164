//! A server on which a commit would not last is refused, when the log is opened and by its health.

use std::time::Duration;

use tower_audit::AuditLog;
use tower_audit::query::Filter;
use tower_audit::store::{AuditStore, Durability, StoreErrorKind};

use crate::cluster::{Cluster, eventually};
use crate::postgres::support::{all, append_at_last, event, ok, open, open_to_read, open_with_timeout, refusal};

/// The health is bad for a reason with this word in it, as soon as the server has read its configuration.
async fn becomes_ill(store: &dyn AuditStore, word: &str) {
    eventually(word, async || match store.health().await {
        Ok(()) => false,
        Err(error) => error.to_string().contains(word),
    })
    .await;
}

async fn becomes_healthy(store: &dyn AuditStore) {
    eventually("healthy", async || store.health().await.is_ok()).await;
}

#[tokio::test]
async fn asynchronous_commits_are_refused() {
    let database = Cluster::shared().database();
    let name = database.name();
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("synchronous_commit is off"), "{error}");
    let asked = refusal(&format!("{}?options=-c%20synchronous_commit%3Doff", database.url())).await;
    assert!(asked.to_string().contains("synchronous_commit is off"), "{asked}");
    let store = open(&format!("{}?options=-c%20synchronous_commit%3Don", database.url())).await;
    ok(store.append(&[event(1)]).await);
    // Weaker than `on` only where there are replicas: the session gets `on`.
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = local"));
    ok(open(&database.url()).await.health().await);
}

#[tokio::test]
async fn what_changes_while_the_log_is_open_is_noticed() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(1)]).await);
    for (setting, word) in [("fsync", "fsync=off"), ("synchronous_commit", "synchronous_commit is off")] {
        cluster.sql("postgres", &format!("ALTER SYSTEM SET {setting} = off"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
        becomes_ill(&*store, word).await;
        assert!(refusal(&database.url()).await.to_string().contains(word));
        cluster.sql("postgres", &format!("ALTER SYSTEM RESET {setting}"));
        cluster.sql("postgres", "SELECT pg_reload_conf()");
        becomes_healthy(&*store).await;
    }
    // No commit of another is done while the replica is missing: nothing is tried before the settings were judged.
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_commit = local");
    cluster.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'missing'");
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    // A session that is open either reads the weaker setting ("replicas are required") or has `on` of its own and waits
    // ("commits wait for a replica"). A new one always reads the setting.
    becomes_ill(&*store, "replica").await;
    assert!(refusal(&database.url()).await.to_string().contains("replicas are required"));
}

#[tokio::test]
async fn a_standby_is_for_readers() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let (store, first) = (open(&database.url()).await, event(1));
    ok(store.append(std::slice::from_ref(&first)).await);
    cluster.stop();
    cluster.make_standby();
    cluster.resume();
    let error = refusal(&database.url()).await;
    assert!(error.to_string().contains("standby"), "{error}");
    let error = store.append(&[event(2)]).await.unwrap_err();
    assert!(error.is_transient(), "the primary may come back: {error}");
    eventually("the standby is named", async || {
        store.health().await.is_err_and(|error| format!("{error} {error:?}").contains("standby"))
    })
    .await;
    let reading = ok(open_to_read(&database.url()).await);
    assert_eq!(all(&*reading).await, [first]);
    assert!(reading.health().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_waited_for_read_and_refused_until_it_is_the_primary() {
    let primary = Cluster::start();
    let database = primary.database();
    let name = database.name();
    let (store, first) = (open_with_timeout(&database.url(), Duration::from_secs(2)).await, event(1));
    ok(store.append(std::slice::from_ref(&first)).await);
    let replica = primary.start_standby();
    let error = refusal(&replica.url(name)).await;
    assert!(error.to_string().contains("name the primary"), "{error}");
    let reading = ok(open_to_read(&replica.url(name)).await);
    assert_eq!(all(&*reading).await, std::slice::from_ref(&first));
    assert!(reading.health().await.unwrap_err().to_string().contains("name the primary"));
    assert!(reading.append(&[event(2)]).await.is_err());
    // Of several servers the primary is written to, whatever their order, and nobody waits for those that are gone.
    let all_of_them = format!("127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}", replica.port(), primary.port());
    let several = open(&format!("postgres://postgres@{all_of_them}/{name}")).await;
    ok(several.append(std::slice::from_ref(&first)).await);
    let is_standby = |attributes: &str| {
        let url = format!("postgres://postgres@{all_of_them}/{name}?target_session_attrs={attributes}");
        async move {
            ok(ok(open_to_read(&url).await).diagnose().await).iter().any(|found| found.message.ends_with("a standby"))
        }
    };
    for (attributes, expected) in [("standby", true), ("prefer-standby", true), ("any", true), ("primary", false)] {
        assert_eq!(is_standby(attributes).await, expected, "{attributes}");
    }
    let nobody = format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{}/{name}", replica.port());
    let error = refusal(&nobody).await;
    assert!(error.is_transient() && error.to_string().contains("none of the 2 servers"), "{error}");

    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'replica'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    eventually("it is waited for", async || {
        primary.sql("postgres", "SELECT string_agg(sync_state, '') FROM pg_stat_replication") == "sync"
    })
    .await;
    let second = event(2);
    ok(store.append(std::slice::from_ref(&second)).await);
    ok(store.health().await);
    // The acknowledged event is on the replica.
    eventually("the replica has it", async || all(&*reading).await.len() == 2).await;
    for weaker in ["local", "remote_write"] {
        primary.sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = {weaker}"));
        let error = refusal(&database.url()).await;
        assert!(error.to_string().contains("replicas are required"), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::NotDurable);
    }
    primary.sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = remote_apply"));
    let strong = open(&database.url()).await;
    ok(strong.append(&[event(3)]).await);
    assert_eq!(all(&*reading).await.len(), 3, "applied there before it was acknowledged");

    // While it is away, nothing is acknowledged; when it is back, what was appended is there once.
    replica.stop();
    let third = event(4);
    let error = store.append(std::slice::from_ref(&third)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    replica.resume();
    append_at_last(&*store, &[third]).await;
    assert_eq!(all(&*store).await.len(), 4);
    eventually("the replica has it", async || match reading.parts().reader {
        Some(reader) => reader.count(&Filter::default()).await.ok() == Some(4),
        None => false,
    })
    .await;

    primary.stop();
    replica.sql("postgres", "SELECT pg_promote()");
    replica.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    replica.sql("postgres", "SELECT pg_reload_conf()");
    append_at_last(&*several, &[event(6)]).await;
    let promoted = open(&replica.url(name)).await;
    ok(promoted.append(&[event(5)]).await);
    assert_eq!(all(&*promoted).await.len(), 6);
}

#[tokio::test]
async fn told_to_warn_it_works_and_its_health_says_so() {
    let database = Cluster::shared().database();
    let name = database.name();
    ok(open(&database.url()).await.close().await);
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    database.sql("ALTER TABLE audit_events_before SET UNLOGGED");
    let refused = AuditLog::open(&database.url()).await.unwrap_err();
    assert!(format!("{refused} {refused:?}").contains("synchronous_commit is off"), "{refused:?}");

    let log =
        AuditLog::builder().url(&database.url()).durability(Durability::Warn).open().await.expect("it only warns");
    log.record(event(1)).await.expect("it is written to");
    let ill = log.health().await.unwrap_err();
    assert_eq!(ill.kind(), StoreErrorKind::NotDurable);
    assert!(ill.to_string().contains("synchronous_commit is off"), "{ill}");
    assert!(!log.store().expect("it is on").capabilities().durable, "it promises nothing");
    assert_eq!(all(&**log.store().expect("it is on")).await.len(), 1);
    // A table that takes no event is another error than one that is not durable.
    database.sql("ALTER TABLE audit_events DROP COLUMN details");
    assert_ne!(log.health().await.unwrap_err().kind(), StoreErrorKind::NotDurable);
    log.close().await.expect("it closes");
    let error = match AuditLog::builder().url(&database.url()).durability(Durability::Warn).open().await {
        Ok(_) => panic!("it opens without a column"),
        Err(error) => error,
    };
    assert!(format!("{error:?}").contains("the column \"details\" is missing"), "{error:?}");
}

#[tokio::test]
async fn tables_that_a_crash_empties_are_refused() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    database.sql("ALTER TABLE audit_events_default SET UNLOGGED");
    becomes_ill(&*store, "UNLOGGED").await;
    assert!(refusal(&database.url()).await.to_string().contains("UNLOGGED"));
}

#[tokio::test]
async fn encodings_without_every_letter_are_refused() {
    let cluster = Cluster::shared();
    cluster.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    let error = refusal(&cluster.url("latin")).await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
}
