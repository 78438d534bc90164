//! Documents that no log of this crate has made hide no event, and are never shown as something that they do not say.

use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::Severity;
use tower_audit::{EventType, Phase};

use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, at, event, ok, open};

#[tokio::test]
async fn a_document_of_ivre_is_an_event() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let store = open(&url).await;
    let ours = event(1);
    ok(store.append(std::slice::from_ref(&ours)).await);
    let id = server.shell(
        &url,
        "import uuid\nid = uuid.uuid4().hex\n\
         db.audit_events.insert_one({'event_id': id, 'event_type': 'admin_action', \
         'created_at': datetime(2026, 5, 25, 12, 0, 0, 123456, tzinfo=timezone.utc), \
         'actor': {'user_email': 'bob@example.org', 'api_key_hash': None, 'remote_addr': '192.0.2.9'}, \
         'resource': {'route': '/auth/admin/users', 'method': 'PUT'}, 'details': {'fields': ['a', 'b'], 'n': 3}, \
         'outcome': 200})\nprint(id)",
    );
    let reader = store.parts().reader.expect("it is read");
    let found = ok(reader.get(id.parse().expect("an id")).await).expect("it is there");
    assert_eq!(found.event_type, EventType::ADMIN_ACTION);
    assert_eq!(found.created_at, at("2026-05-25T12:00:00.123000Z"));
    assert_eq!((found.phase, found.outcome), (Phase::Completed, Some(200)));
    assert_eq!(found.details.get("fields"), Some(&serde_json::json!(["a", "b"])));
    assert_eq!(all(&*store).await, [ours, found.clone()]);
    for filter in [
        Filter::new().user_email("bob@example.org"),
        Filter::new().route("/auth/admin/users"),
        Filter::new().phase(Phase::Completed).outcome(200).until(at("2026-05-26T00:00:00Z")),
        Filter::new().detail("n", "3").method("PUT"),
    ] {
        assert_eq!(
            ok(reader.query(&PageQuery::new(filter.clone(), 10)).await),
            std::slice::from_ref(&found),
            "{filter:?}"
        );
        assert_eq!(ok(reader.count(&filter).await), 1, "{filter:?}");
    }
    // The first of an id wins, also against another program's.
    let mut again = event(7);
    again.event_id = found.event_id;
    ok(store.append(&[again]).await);
    assert_eq!(ok(reader.get(found.event_id).await), Some(found));
}

#[tokio::test]
async fn a_changed_document_is_what_its_fields_say() {
    let server = MongodbServer::shared();
    let url = server.new_url();
    let store = open(&url).await;
    let events = [event(1), event(2), event(3)];
    ok(store.append(&events).await);
    let (first, second) = (events[0].event_id, events[1].event_id);
    server.shell(
        &url,
        &format!(
            "db.audit_events.update_one({{'event_id': '{first}'}}, {{'$set': {{'actor.user_email': 'mallory'}}}})\n\
             db.audit_events.update_one({{'event_id': '{second}'}}, {{'$set': {{'event': 'no JSON'}}}})\n\
             db.audit_events.insert_many([{{'event_id': 1}}, {{'event_id': 2, 'created_at': 'never'}}, \
             {{'event_id': 3, 'created_at': datetime(2026, 1, 1)}}])"
        ),
    );
    let shown = all(&*store).await;
    assert_eq!(shown.len(), 4, "the documents without a time are not listed");
    assert_eq!(shown[0], events[2]);
    for (shown, id) in [(&shown[2], first), (&shown[1], second)] {
        assert_eq!(shown.event_id, id);
        assert!(shown.details.contains_key("unreadable_event"), "{shown:?}");
    }
    assert_eq!(shown[2].actor.user_email.as_deref(), Some("mallory"));
    let diagnostics = ok(store.diagnose().await);
    assert!(
        diagnostics.iter().any(|found| found.severity == Severity::Warning && found.message.starts_with("2 documents")),
        "{diagnostics:?}"
    );
    let admin = store.parts().admin.expect("it is purged");
    assert_eq!(ok(admin.purge(tower_audit::Timestamp::MAX, 100).await).deleted, 4, "they stop no purge");
}

/// Values that BSON does not have, or has otherwise.
#[tokio::test]
async fn values_without_a_place_in_bson_come_back() {
    let store = open(&MongodbServer::shared().new_url()).await;
    let mut deep = serde_json::json!("bottom");
    for _ in 0..14 {
        deep = serde_json::json!({"$in": [deep]});
        deep = deep["$in"].take();
    }
    let mut event = event(1);
    for (name, value) in [
        ("$where", serde_json::json!({"$gt": 1, "a.b": {"$": 2}})),
        ("a.b.c", serde_json::json!([u64::MAX, i64::MIN, 1e308, -0.0, 0.1, 9_007_199_254_740_993_i64])),
        ("", serde_json::json!({"": null})),
        ("_id", serde_json::json!({"$oid": "x", "$date": 7})),
        ("deep", deep),
    ] {
        event.details.insert(name.into(), value);
    }
    event.created_at = at("2026-05-25T12:00:00.123456Z");
    event.truncate_to_limits();
    ok(store.append(std::slice::from_ref(&event)).await);
    assert_eq!(all(&*store).await, [event.clone()]);
    // The largest event, two hundred times: more than a command has room for.
    let mut large = event;
    large.details.insert("text".into(), "\u{1}".repeat(4000).into());
    for n in 0..3 {
        large.details.insert(format!("text{n}"), "\"\\".repeat(2000).into());
    }
    large.truncate_to_limits();
    let many: Vec<_> = (0..200)
        .map(|_| {
            let mut event = large.clone();
            event.event_id = tower_audit::EventId::new();
            event
        })
        .collect();
    ok(store.append(&many).await);
    let reader = store.parts().reader.expect("it is read");
    assert_eq!(ok(reader.count(&Filter::default()).await), 201);
    assert_eq!(ok(reader.get(many[7].event_id).await).as_ref(), Some(&many[7]));
}
