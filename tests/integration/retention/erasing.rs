//! Erasures in logs without a seal.

use std::sync::Arc;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::retention::{Erasure, ErasureError};
use tower_audit::store::{self, AuditStore, ErasedEvent, MemoryStore, OpenOptions, StoredSeed};
use tower_audit::{Actor, AuditEvent, EventId, EventType, Phase, Target, Timestamp};

fn event_of(user: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user(user);
    event.actor.remote_addr = Some("192.0.2.7".into());
    event.actor.api_key_hash = Some("aa11".into());
    event.resource.route = Some("/orders/{id}".into());
    event.request.request_uri = Some("/orders/7?q=secret".into());
    event.request.user_agent = Some(format!("{user}-browser").into());
    event.request.request_id = Some(format!("req-{user}").into());
    event.targets.insert(Target::new("order", 7));
    event.details = json!({"count": 3, "note": "for alice@example.org"}).as_object().expect("an object").clone();
    event
}

async fn stores() -> Vec<(Arc<dyn AuditStore>, Option<tempfile::TempDir>)> {
    let mut stores: Vec<(Arc<dyn AuditStore>, Option<tempfile::TempDir>)> = vec![(Arc::new(MemoryStore::new()), None)];
    let folder = tempfile::tempdir().expect("no error");
    let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    stores.push((store::open(&url, OpenOptions::default()).await.expect("no error"), Some(folder)));
    #[cfg(feature = "postgres")]
    {
        use crate::postgres_server::{Cluster, unique};
        let url = format!("{}?schema={}", Cluster::shared().url("postgres"), unique("erase"));
        stores.push((store::open(&url, OpenOptions::default()).await.expect("no error"), None));
    }
    #[cfg(feature = "mongodb")]
    {
        let url = crate::mongodb_server::MongodbServer::shared().new_url();
        stores.push((store::open(&url, OpenOptions::default()).await.expect("it is done"), None));
    }
    stores
}

async fn all(store: &dyn AuditStore) -> Vec<AuditEvent> {
    store.parts().reader.expect("a reader").query(&PageQuery::new(Filter::default(), 10_000)).await.expect("no error")
}

#[tokio::test]
async fn a_person_is_erased_from_their_own_events_and_from_those_of_others() {
    for (store, _folder) in stores().await {
        let name = store.capabilities().name;
        let mut about = event_of("admin@example.org");
        about.targets.insert(Target::new("user", "carol@example.org"));
        let mut helped = event_of("admin@example.org");
        helped.actor.acting_for = Some("carol@example.org".into());
        let mut asked = event_of("bob@example.org");
        asked.request.request_uri = Some("/users/carol%40example.org".into());
        let others: Vec<AuditEvent> = (0..40).map(|_| event_of("bob@example.org")).collect();
        store.append(&others).await.unwrap();
        store.append(&[event_of("carol@example.org"), about.clone(), helped.clone(), asked.clone()]).await.unwrap();

        let erasure = Erasure::of("carol@example.org").unwrap().actor(Actor::user("officer")).detail("count");
        let counted = erasure.preview(&*store).await.unwrap();
        // Written after the count: it is not in the bounds of the run.
        store.append(&[event_of("carol@example.org")]).await.unwrap();
        let report = erasure.run_until(&*store, &counted, std::future::pending(), |_| ()).await.unwrap();
        assert_eq!((counted.events, report.events), (4, 4), "{name}");
        assert_eq!(erasure.run(&*store).await.unwrap().events, 1, "{name}: the next run finds it");

        let events = all(&*store).await;
        let text = serde_json::to_string(&events).unwrap();
        assert!(!text.contains("carol"), "{name}");
        let own = events.iter().find(|event| event.erased_cells().contains(&"ids")).unwrap();
        assert_eq!(
            own.erased_cells(),
            ["actor.api_key_hash", "actor.user_email", "details", "ids", "origin", "request_uri"]
        );
        assert_eq!((own.actor.remote_addr.as_deref(), own.resource.route.as_deref()), (None, Some("/orders/{id}")));
        assert_eq!(own.details, *json!({"note": "for alice@example.org"}).as_object().unwrap());
        let of_others: Vec<&AuditEvent> = events.iter().filter(|event| others.contains(event)).collect();
        assert_eq!(of_others.len(), 40, "{name}: events of others are as they were");
        let by_id = |id| events.iter().find(|event| event.event_id == id).unwrap();
        assert_eq!(by_id(about.event_id).erased_cells(), ["targets"], "{name}");
        assert_eq!(by_id(helped.event_id).erased_cells(), ["actor.acting_for"], "{name}");
        assert_eq!(by_id(asked.event_id).erased_cells(), ["request_uri"], "{name}");
        // No index leads to them either.
        let reader = store.parts().reader.unwrap();
        for filter in [
            Filter::new().user_email("carol@example.org"),
            Filter::new().target("user/carol@example.org"),
            Filter::new().request_id("req-carol@example.org"),
        ] {
            assert_eq!(reader.count(&filter).await.unwrap(), 0, "{name}: {filter:?}");
        }
        assert_eq!(reader.count(&Filter::new().user_email("bob@example.org")).await.unwrap(), 41, "{name}");
        store.close().await.unwrap();
    }
}

/// The end that a recovery makes of an open event repeats its actor.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_copy_of_an_open_event_is_erased_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("audit.db").display());
    let writer = store::open(&url, OpenOptions::default()).await.unwrap();
    let mut started = event_of("carol@example.org");
    started.phase = Phase::Started;
    writer.append(std::slice::from_ref(&started)).await.unwrap();
    Erasure::of("carol@example.org").unwrap().run(&*writer).await.unwrap();
    drop(writer);
    let next = store::open(&url, OpenOptions::default()).await.unwrap();
    let recovery = next.parts().recovery.unwrap();
    let close = |started: &AuditEvent| {
        assert!(!serde_json::to_string(started).unwrap().contains("carol"));
        let mut unknown = AuditEvent::new(EventType::UPLOAD);
        unknown.actor = started.actor.clone();
        unknown.phase = Phase::Unknown;
        unknown.request.started_event_id = Some(started.event_id);
        unknown
    };
    assert_eq!(recovery.recover(&close).await.unwrap(), 1);
    next.close().await.unwrap();
}

/// Of an erased value, no byte is left in the files of the log.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn erased_bytes_are_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let store = store::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await.unwrap();
    for _ in 0..30 {
        let batch: Vec<AuditEvent> =
            (0..100).map(|n| event_of(if n % 10 == 0 { "carol@example.org" } else { "bob@example.org" })).collect();
        store.append(&batch).await.unwrap();
        while store.maintain().await.unwrap() {}
    }
    let has = |text: &str| {
        ["audit.db", "audit.db-wal"].iter().any(|name| {
            let file = std::fs::read(folder.path().join(name)).unwrap_or_default();
            file.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    assert!(has("carol@example.org"));
    assert_eq!(Erasure::of("carol@example.org").unwrap().run(&*store).await.unwrap().events, 300);
    assert!(!has("carol@example.org"), "before it is closed");
    store.close().await.unwrap();
    assert!(!has("carol@example.org") && has("bob@example.org"));
}

/// An erasure or a purge that was killed after its last page, before free pages were overwritten.
#[tokio::test]
async fn what_a_killed_erasure_or_purge_left_is_overwritten_by_the_next() {
    for (is_purge, next_is_purge) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("audit.db").display());
        // Others have the log open: it is not cleaned up by the end of the last.
        let idle = store::open(&url, OpenOptions::default()).await.unwrap();
        let killed = store::open(&url, OpenOptions::default()).await.unwrap();
        for _ in 0..30 {
            killed.append(&(0..100).map(|_| event_of("carol@example.org")).collect::<Vec<_>>()).await.unwrap();
            while killed.maintain().await.unwrap() {}
        }
        let events = all(&*killed).await;
        // A snapshot of before: no page of it is overwritten.
        let mut reader = SqliteConnectOptions::new().filename(folder.path().join("audit.db")).connect().await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM audit_journal").execute(&mut reader).await.unwrap();
        let parts = killed.parts();
        let mut done = 0;
        for events in events.chunks(1000) {
            if is_purge {
                let positions: Vec<Cursor> = events.iter().map(Cursor::of).collect();
                done += parts.removal.unwrap().remove(&positions).await.unwrap();
                continue;
            }
            let ids: Vec<EventId> = events.iter().map(|event| event.event_id).collect();
            let blank = |event: &AuditEvent, _: Option<&StoredSeed>| {
                let mut event = event.clone();
                event.actor.user_email = None;
                event.request.user_agent = None;
                event.request.request_id = None;
                Some(ErasedEvent { event, seed: None })
            };
            done += parts.erasure.unwrap().erase(&ids, &blank).await.unwrap();
        }
        assert_eq!(done, 3000);
        drop(killed);
        let has = |text: &str| {
            ["audit.db", "audit.db-wal"].iter().any(|name| {
                let file = std::fs::read(folder.path().join(name)).unwrap_or_default();
                file.windows(text.len()).any(|window| window == text.as_bytes())
            })
        };
        assert!(has("carol@example.org"), "copies are left: purge {is_purge}");
        reader.close().await.unwrap();
        let next = store::open(&url, OpenOptions::default()).await.unwrap();
        if next_is_purge {
            assert_eq!(next.parts().admin.unwrap().purge(Timestamp::MIN, 100).await.unwrap().deleted, 0);
        } else {
            assert_eq!(Erasure::of("carol@example.org").unwrap().run(&*next).await.unwrap().events, 0);
        }
        assert!(!has("carol@example.org"), "purge: {is_purge}, then purge: {next_is_purge}");
        next.close().await.unwrap();
        idle.close().await.unwrap();
    }
}

/// Values of an app keep nothing of their event from an erasure.
#[tokio::test]
async fn neither_a_detail_nor_a_member_of_the_app_escapes() {
    for (store, _folder) in stores().await {
        let name = store.capabilities().name;
        let mut named_as_unreadable = event_of("carol@example.org");
        named_as_unreadable.details.insert("unreadable_event".into(), "no JSON".into());
        let mut named_by_two = event_of("bob@example.org");
        named_by_two.details.insert("dave@example.org".into(), "for carol@example.org".into());
        let mut named_as_erased = event_of("bob@example.org");
        named_as_erased.extra.insert("erased".into(), json!(["origin", "details/carol@example.org"]));
        store.append(&[named_as_unreadable, named_by_two, named_as_erased]).await.unwrap();
        let report = Erasure::of("carol@example.org").unwrap().run(&*store).await.unwrap();
        assert_eq!((report.events, report.unreadable), (3, 0), "{name}");
        let report = Erasure::of("dave@example.org").unwrap().run(&*store).await.unwrap();
        assert_eq!(report.events, 0, "{name}: the member has gone with its name");
        let text = serde_json::to_string(&all(&*store).await).unwrap();
        assert!(!text.contains("carol") && !text.contains("dave"), "{name}: {text}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn names_and_stores_that_will_not_do() {
    assert!(matches!(Erasure::of("  "), Err(ErasureError::Name(_))));
    let carol = || Erasure::of("carol").unwrap();
    for bad in ["", " x", "a\nb", &"x".repeat(129), "former carol"] {
        assert!(matches!(carol().pseudonym(bad), Err(ErasureError::Name(_))), "{bad:?}");
    }
    let store = store::open("tracing:", OpenOptions::default()).await.unwrap();
    let error = carol().run(&*store).await.unwrap_err();
    assert!(matches!(error, ErasureError::NotPlanned(_)), "{error}");
}

/// An operator who erases themselves is not in the record of it.
#[tokio::test]
async fn the_record_names_nobody_who_is_erased() {
    let store = MemoryStore::new();
    store.append(&[event_of("carol")]).await.unwrap();
    Erasure::of("carol").unwrap().actor(Actor::user("carol")).run(&store).await.unwrap();
    assert!(!serde_json::to_string(&store.events()).unwrap().contains("carol"));
}
