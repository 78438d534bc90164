//! Opening, appending, and appending again.

use std::time::Duration;

use serde_json::Value;
use tower_audit::store::{AuditStore as _, Durability, OpenOptions, Severity, StoreErrorKind, open};
use tower_audit::{AuditEvent, AuditLog, EventType};

use crate::nats_cluster::{ALWAYS, Cluster};

pub(super) fn options() -> OpenOptions {
    OpenOptions::new().timeout(Duration::from_secs(20))
}

fn batch(events: usize) -> Vec<AuditEvent> {
    (0..events).map(|_| AuditEvent::new(EventType::UPLOAD)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_in_the_stream_once_whatever_is_repeated() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let store = open(&place.url(""), options()).await.unwrap();
    assert!(store.capabilities().durable);
    let large = batch(3000);
    store.append(&large).await.unwrap();
    store.append(&large).await.unwrap();
    let other = batch(1);
    // By another writer.
    let second = open(&place.url(""), options()).await.unwrap();
    second.append(&other).await.unwrap();
    store.append(&other).await.unwrap();
    store.append(&[]).await.unwrap();
    store.health().await.unwrap();

    let client = cluster.client().await;
    let (events, messages) = cluster.events(&client, &place.stream()).await;
    let ids = |events: &[AuditEvent]| events.iter().map(|event| event.event_id).collect::<Vec<_>>();
    let mut expected = ids(&large);
    expected.extend(ids(&other));
    assert_eq!(ids(&events), expected);
    assert!((3..20).contains(&messages), "{messages} messages");

    let found = store.diagnose().await.unwrap();
    assert!(found.iter().all(|diagnostic| diagnostic.severity == Severity::Ok), "{found:?}");
    assert!(found[0].message.contains("system account"), "{found:?}");
    store.close().await.unwrap();
    assert_eq!(store.append(&other).await.unwrap_err().kind(), StoreErrorKind::Permanent);
    assert_eq!(store.health().await.unwrap_err().kind(), StoreErrorKind::Permanent);
    let text = format!("{store:?}");
    assert!(!text.contains("127.") && !text.contains("sys"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_evidence_of_syncs_is_asked_for_declared_or_missing() {
    let cluster = Cluster::shared();
    let refused = open(&cluster.url_without_evidence("stream=A&subject=a"), options()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotDurable);
    assert!(refused.to_string().contains("sync=declared"), "{refused}");

    let warned = options().durability(Durability::Warn);
    let store = open(&cluster.url_without_evidence("stream=A&subject=a"), warned).await.unwrap();
    assert!(!store.capabilities().durable);
    store.append(&batch(1)).await.unwrap();
    assert_eq!(store.health().await.unwrap_err().kind(), StoreErrorKind::NotDurable);

    let store = open(&cluster.url_without_evidence("stream=A&subject=a&sync=declared"), options()).await.unwrap();
    assert!(store.capabilities().durable);
    store.health().await.unwrap();
    let found = store.diagnose().await.unwrap();
    assert!(found[0].severity == Severity::Warning && found[0].message.contains("declared"), "{found:?}");

    let monitors = cluster.monitors();
    let url = cluster.url_without_evidence(&format!("stream=A&subject=a&monitor={}", monitors.join(",")));
    let store = open(&url, options()).await.unwrap();
    store.health().await.unwrap();
    assert!(store.diagnose().await.unwrap()[0].message.contains("monitoring port"));
    // A server that is not asked is not seen.
    let url = cluster.url_without_evidence(&format!("stream=A&subject=a&monitor={}", monitors[..2].join(",")));
    let refused = open(&url, options()).await.unwrap_err();
    assert!(refused.kind() == StoreErrorKind::NotDurable && refused.to_string().contains("\"n2\""), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_several_streams_spread_over_them() {
    let cluster = Cluster::shared();
    let place = cluster.place();
    let client = cluster.client().await;
    for partition in 0..3 {
        let log = AuditLog::open(&place.url(&format!("&streams=3&partition={partition}"))).await.unwrap();
        for _ in 0..=partition {
            log.record(AuditEvent::new(EventType::AUTH)).await.unwrap();
        }
        log.close().await.unwrap();
        let (events, _) = cluster.events(&client, &format!("{}-{partition}", place.name())).await;
        assert_eq!(events.iter().filter(|event| event.event_type == EventType::AUTH).count(), partition + 1);
    }
    let names = cluster.api(&client, "STREAM.NAMES", Value::Null).await;
    let names = names["streams"].as_array().expect("a list");
    let ours = names.iter().filter(|name| name.as_str().is_some_and(|name| name.starts_with(&(place.name() + "-"))));
    assert_eq!(ours.count(), 3, "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_alone_is_refused() {
    let cluster = Cluster::start_with(&[ALWAYS], "");
    let short = OpenOptions::new().timeout(Duration::from_secs(3));
    let refused = open(&cluster.url(""), short).await.unwrap_err();
    assert!(refused.to_string().contains("replicas"), "{refused}");
    let refused = open(&cluster.url("&replicas=1"), short).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::NotDurable);
    assert!(refused.to_string().contains("`num_replicas` is 1"), "{refused}");
    // For an evening at home.
    let store = open(&cluster.url("&replicas=1"), short.durability(Durability::Warn)).await.unwrap();
    store.append(&batch(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_stream_is_not_made_for_a_program_that_creates_nothing() {
    let place = Cluster::shared().place();
    let refused = open(&place.url(""), options().create_if_missing(false)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Config);
    assert!(refused.to_string().contains("no such stream"), "{refused}");
}
