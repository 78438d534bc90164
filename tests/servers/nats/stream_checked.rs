//! Streams that would lose events are refused, each difference by name.

use serde_json::{Value, json};
use tower_audit::store::{AuditStore as _, Durability, StoreErrorKind, open};
use tower_audit::{AuditEvent, EventType};

use super::opening::options;
use crate::nats_cluster::{Cluster, eventually};

fn stream(name: &str, change: &[(&str, Value)]) -> Value {
    let mut config = json!({
        "name": format!("{name}-0"), "subjects": [format!("{}.0", name.to_lowercase())], "retention": "limits",
        "storage": "file", "num_replicas": 3, "discard": "new", "duplicate_window": 120_000_000_000_u64,
        "deny_delete": true, "deny_purge": true,
    });
    for (field, value) in change {
        config[*field] = value.clone();
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_would_lose_events_is_refused() {
    let cluster = Cluster::shared();
    let client = cluster.client().await;
    for (name, change, named) in [
        ("R1", vec![("num_replicas", json!(1))], vec!["`num_replicas` is 1"]),
        ("MEMORY", vec![("storage", json!("memory"))], vec!["`storage` is \"memory\""]),
        ("AGE", vec![("max_age", json!(3_600_000_000_000_u64))], vec!["`max_age` is 3600 s"]),
        (
            "OLD",
            vec![("discard", json!("old")), ("deny_purge", json!(false))],
            vec!["`discard` is \"old\"", "`deny_purge`"],
        ),
        ("QUEUE", vec![("retention", json!("workqueue"))], vec!["`retention` is \"workqueue\""]),
    ] {
        let made = cluster.api(&client, &format!("STREAM.CREATE.{name}-0"), stream(name, &change)).await;
        assert!(made["error"].is_null(), "{made}");
        let url = cluster.url(&format!("&stream={name}&subject={}", name.to_lowercase()));
        let refused = open(&url, options()).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::NotDurable, "{name}: {refused}");
        for named in named {
            assert!(refused.to_string().contains(named), "{name}: {refused}");
        }
        let store = open(&url, options().durability(Durability::Warn)).await.unwrap();
        store.append(&[AuditEvent::new(EventType::UPLOAD)]).await.unwrap();
        assert!(!store.capabilities().durable);
    }
    // These take no events at all, so they are refused in any case.
    for (name, change, named) in [
        ("NOACK", vec![("no_ack", json!(true))], "`no_ack`"),
        ("SMALL", vec![("max_msg_size", json!(1000))], "`max_msg_size` is 1000"),
        ("OTHER", vec![("subjects", json!(["elsewhere.>"]))], "`subjects`"),
    ] {
        let made = cluster.api(&client, &format!("STREAM.CREATE.{name}-0"), stream(name, &change)).await;
        assert!(made["error"].is_null(), "{made}");
        let url = cluster.url(&format!("&stream={name}&subject={}", name.to_lowercase()));
        let refused = open(&url, options().durability(Durability::Warn)).await.unwrap_err();
        assert!(refused.kind() == StoreErrorKind::Config && refused.to_string().contains(named), "{name}: {refused}");
    }
    // The subject is another stream's.
    let refused = open(&cluster.url("&stream=NEW&subject=old"), options()).await.unwrap_err();
    assert!(refused.kind() == StoreErrorKind::Config && refused.to_string().contains("another stream"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_changed_or_full_while_it_is_open_is_reported() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let client = cluster.client().await;
    let store = open(&place.url(""), options()).await.unwrap();
    let event = [AuditEvent::new(EventType::UPLOAD)];
    store.append(&event).await.unwrap();
    let full = stream(&place.name(), &[("max_msgs", json!(1))]);
    let changed = cluster.api(&client, &format!("STREAM.UPDATE.{}", place.stream()), full).await;
    assert!(changed["error"].is_null(), "{changed}");
    let short = options().timeout(std::time::Duration::from_secs(2));
    let refused = store.health().await.unwrap_err();
    assert!(refused.kind() == StoreErrorKind::Transient && refused.to_string().contains("full"), "{refused}");
    let second = open(&place.url(""), short).await.unwrap();
    let refused = second.append(&[AuditEvent::new(EventType::AUTH)]).await.unwrap_err();
    assert!(refused.kind() == StoreErrorKind::Transient && refused.to_string().contains("full"), "{refused}");

    let old = stream(
        &place.name(),
        &[("max_age", json!(60_000_000_000_u64)), ("duplicate_window", json!(60_000_000_000_u64))],
    );
    let changed = cluster.api(&client, &format!("STREAM.UPDATE.{}", place.stream()), old).await;
    assert!(changed["error"].is_null(), "{changed}");
    let refused = store.health().await.unwrap_err();
    assert!(
        refused.kind() == StoreErrorKind::NotDurable && refused.to_string().contains("`max_age` is 60 s"),
        "{refused}"
    );
    // Known from then on.
    let refused = store.append(&event).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotDurable, "{refused}");
    let (events, _) = cluster.events(&client, &place.stream()).await;
    assert_eq!(events.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_is_told_of_and_takes_events() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let client = cluster.client().await;
    let store = open(&place.url(""), options()).await.unwrap();
    let append = || async { store.append(&[AuditEvent::new(EventType::UPLOAD)]).await };
    append().await.unwrap();
    append().await.unwrap();
    let deleted = cluster.api(&client, &format!("STREAM.DELETE.{}", place.stream()), Value::Null).await;
    assert!(deleted["error"].is_null(), "{deleted}");
    let made = cluster.api(&client, &format!("STREAM.CREATE.{}", place.stream()), stream(&place.name(), &[])).await;
    assert!(made["error"].is_null(), "{made}");
    // The next append finds out by its number, and the one behind it looks.
    append().await.unwrap();
    append().await.unwrap();
    store.health().await.unwrap();
    let found = store.diagnose().await.unwrap();
    let told = found.iter().find(|diagnostic| diagnostic.subject == "stream").expect("it is told of");
    assert_eq!(told.severity, tower_audit::store::Severity::Error);
    assert_eq!(cluster.events(&client, &place.stream()).await.0.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_put_back_to_an_earlier_state_is_found_out() {
    let cluster = Cluster::start();
    let client = cluster.client().await;
    let store = open(&cluster.url(""), options()).await.unwrap();
    let append = || async { store.append(&[AuditEvent::new(EventType::UPLOAD)]).await };
    append().await.unwrap();
    for node in 0..3 {
        cluster.kill(node);
    }
    cluster.save();
    for node in 0..3 {
        cluster.resume(node);
    }
    eventually("events are accepted", async || append().await.is_ok()).await;
    append().await.unwrap();
    for node in 0..3 {
        cluster.kill(node);
    }
    cluster.restore();
    for node in 0..3 {
        cluster.resume(node);
    }
    eventually("events are refused", async || {
        append().await.is_err_and(|error| error.kind() == StoreErrorKind::Corrupt)
    })
    .await;
    assert_eq!(store.health().await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    drop(client);
}
