//! Collections that lose events by themselves, hide them or keep them out: refused, reported, and named with the remedy.

use tower_audit::store::{AuditStore, Durability, OpenOptions, Severity, StoreErrorKind, open as open_store};

use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, event, ok, open, open_to_read, refusal};

/// Something on the collection: lines of the shell that make it, the kind of the error, a word of it, and lines that
/// remove it.
const OBSTACLES: [(&str, StoreErrorKind, &str, &str); 7] = [
    (
        "db.audit_events.create_index([('created_at', 1)], expireAfterSeconds=3600, name='ttl')",
        StoreErrorKind::NotDurable,
        "TTL index",
        "db.audit_events.drop_index('ttl')",
    ),
    (
        "db.audit_events_started.create_index([('at', 1)], expireAfterSeconds=3600, name='ttl')",
        StoreErrorKind::NotDurable,
        "TTL index",
        "db.audit_events_started.drop_index('ttl')",
    ),
    (
        "db.drop_collection('audit_events'); db.create_collection('audit_events', capped=True, size=1000000)",
        StoreErrorKind::NotDurable,
        "capped",
        "db.drop_collection('audit_events')",
    ),
    (
        "db.command({'collMod': 'audit_events', 'validator': {'outcome': 200}})",
        StoreErrorKind::Permanent,
        "validator",
        "db.command({'collMod': 'audit_events', 'validator': {}})",
    ),
    (
        "db.audit_events.create_index([('outcome', 1)], unique=True, name='one')",
        StoreErrorKind::Permanent,
        "unique",
        "db.audit_events.drop_index('one')",
    ),
    (
        "db.drop_collection('audit_events'); db.create_collection('audit_events', viewOn='x', pipeline=[])",
        StoreErrorKind::Config,
        "view",
        "db.drop_collection('audit_events')",
    ),
    (
        "db.drop_collection('audit_events'); \
         db.create_collection('audit_events', collation={'locale': 'en', 'strength': 1})",
        StoreErrorKind::Config,
        "collation",
        "db.drop_collection('audit_events')",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_refused_and_reported() {
    let server = MongodbServer::shared();
    for (make, kind, word, remove) in OBSTACLES {
        let url = server.new_url();
        let store = open(&url).await;
        ok(store.health().await);
        server.shell(&url, make);
        let error = store.health().await.expect_err(word);
        assert_eq!(error.kind(), kind, "{word}: {error}");
        assert!(error.to_string().contains(word), "{word}: {error}");
        let diagnostics = ok(store.diagnose().await);
        assert!(
            diagnostics.iter().any(|found| {
                found.severity == Severity::Error && found.message.contains(word) && found.hint.is_some()
            }),
            "{word}: {diagnostics:?}"
        );
        let error = refusal(&url).await;
        assert_eq!(error.kind(), kind, "{word}: {error}");
        if kind == StoreErrorKind::NotDurable {
            let warned = open_store(&url, OpenOptions::new().durability(Durability::Warn)).await;
            let warned = ok(warned);
            assert!(!warned.capabilities().durable);
            ok(warned.append(&[event(1)]).await);
            assert_eq!(warned.health().await.expect_err(word).kind(), StoreErrorKind::NotDurable);
        }
        server.shell(&url, remove);
        let store = open(&url).await;
        ok(store.append(&[event(2)]).await);
        ok(store.health().await);
    }
}

/// As IVRE's own tests pin them, and nothing that expires.
#[tokio::test]
async fn the_indexes_are_those_of_ivre_and_a_few_more() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    ok(open(&url).await.health().await);
    let listed = server.shell(&url, "out({index['name']: index for index in db.audit_events.list_indexes()})");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let indexes = listed.as_object().expect("an object");
    for (name, key) in [
        ("event_type_1_created_at_-1", serde_json::json!({"event_type": 1, "created_at": -1})),
        ("actor.user_email_1_created_at_-1", serde_json::json!({"actor.user_email": 1, "created_at": -1})),
        ("created_at_-1", serde_json::json!({"created_at": -1})),
        ("event_id_1", serde_json::json!({"event_id": 1})),
    ] {
        assert_eq!(indexes[name]["key"], key, "{name}");
    }
    assert_eq!(indexes["event_id_1"]["unique"], true);
    assert_eq!(
        indexes["actor.user_email_1_created_at_-1"]["partialFilterExpression"],
        serde_json::json!({"actor.user_email": {"$type": "string"}})
    );
    assert_eq!(indexes.len(), 12);
    assert!(indexes.values().all(|index| index.get("expireAfterSeconds").is_none()));
}

#[tokio::test]
async fn what_is_missing_is_made_or_named() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let error = open_to_read(&url).await.expect_err("there is no log").to_string();
    assert!(error.contains("`audit_events`") && error.contains("migrate"), "{error}");
    let store = open(&url).await;
    ok(store.append(&[event(1)]).await);
    server.shell(
        &url,
        "db.audit_events.drop_index('event_id_1'); db.audit_events.drop_index('resource.route_1_created_at_-1')",
    );
    let diagnostics = ok(store.diagnose().await);
    let named = diagnostics.iter().any(|found| {
        found.severity == Severity::Warning && found.message.contains("event_id_1, resource.route_1_created_at_-1")
    });
    assert!(named, "{diagnostics:?}");
    // The id is the document's own key as well.
    let repeated = all(&*store).await;
    ok(store.append(&repeated).await);
    assert_eq!(all(&*store).await, repeated);
    ok(store.parts().admin.expect("it is migrated").migrate().await);
    assert!(ok(store.diagnose().await).iter().any(|found| found.message == "all of them"));
    server.shell(&url, "db.drop_collection('audit_events')");
    let error = store.health().await.expect_err("the collection is missing");
    assert!(error.to_string().contains("`audit_events` is missing"), "{error}");
}

#[tokio::test]
async fn a_server_without_access_control_and_a_lone_member_are_warnings() {
    let store = open(&MongodbServer::shared().new_url()).await;
    let diagnostics = ok(store.diagnose().await);
    let warned =
        |subject| diagnostics.iter().any(|found| found.subject == subject && found.severity == Severity::Warning);
    assert!(warned("role") && warned("servers"), "{diagnostics:?}");
    assert!(diagnostics.iter().all(|found| found.severity < Severity::Error), "{diagnostics:?}");
    assert!(!format!("{diagnostics:?}").contains("127.0.0.1"));
}
