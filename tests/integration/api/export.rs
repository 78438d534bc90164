//! Exports: everything, as a stream, with an end only where it is whole.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt as _;
use tower_audit::api::AuditApi;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{AuditStore, MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, AuditLog, EventId, EventType, Timestamp};

use crate::api::support::{ALICE, ROOT, TestGate, Trouble, app, app_over, ask, event, events, respond, spy, stores};

/// More than three pages.
const MANY: u64 = 3400;

#[tokio::test]
async fn an_export_is_what_the_query_gives_in_every_format() {
    for (store, _folder) in stores().await {
        let mut all = events(MANY);
        for batch in all.chunks(500) {
            store.append(batch).await.unwrap();
        }
        all.sort_by_key(|event| std::cmp::Reverse(event.sort_key()));
        let app = app_over(store);
        for (caller, filter) in
            [(ROOT, ""), (ALICE, ""), (ROOT, "&since=2026-05-25T12:05:00Z&until=2026-05-25T12:25:00Z")]
        {
            let expected: Vec<&AuditEvent> = all
                .iter()
                .filter(|event| caller == ROOT || event.actor.user_email.as_deref() == Some(ALICE))
                .filter(|event| {
                    let time = |text: &str| text.parse::<Timestamp>().unwrap();
                    filter.is_empty()
                        || (time("2026-05-25T12:05:00Z")..time("2026-05-25T12:25:00Z")).contains(&event.created_at)
                })
                .collect();
            assert!(expected.len() > 1000);
            let json = ask(&app, caller, &format!("/audit/export?format=json{filter}")).await;
            assert!(json.events().iter().eq(expected.iter().copied()));
            assert_eq!(json.header("content-type"), Some("application/json"));
            let lines = ask(&app, caller, &format!("/audit/export?format=jsonl{filter}")).await;
            assert_eq!(lines.header("content-type"), Some("application/jsonl"));
            assert_eq!(lines.header("content-disposition"), Some("attachment; filename=\"audit.jsonl\""));
            let read: Vec<AuditEvent> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(read.iter().eq(expected.iter().copied()));
            let csv = ask(&app, caller, &format!("/audit/export?format=csv{filter}")).await;
            let records: Vec<&str> = csv.text().strip_suffix("\r\n").unwrap().split("\r\n").collect();
            assert!(records[0].starts_with("event_id,event_type,created_at,phase,user_email,"));
            let ids = records[1..].iter().map(|record| record.split(',').next().unwrap().to_owned());
            assert!(ids.eq(expected.iter().map(|event| event.event_id.to_string())));
            let default = ask(&app, caller, &format!("/audit/export?{}", filter.trim_start_matches('&'))).await;
            assert_eq!(default.body, lines.body);
        }
    }
}

#[tokio::test]
async fn an_export_of_nothing_is_well_formed() {
    let app = app(spy(&[]).await);
    for (format, body) in [("jsonl", ""), ("json", "[]\n")] {
        assert_eq!(ask(&app, ROOT, &format!("/audit/export?format={format}")).await.text(), body);
    }
    assert_eq!(ask(&app, ROOT, "/audit/export?format=csv").await.text().matches("\r\n").count(), 1);
    for wrong in ["format=xml", "format=CSV", "format=", "format=csv&format=csv", "limit=5", "cursor=x", "skip=1"] {
        ask(&app, ROOT, &format!("/audit/export?{wrong}")).await.assert_problem(400);
    }
}

#[tokio::test]
async fn an_export_reads_one_page_ahead_of_its_client() {
    let spy = spy(&events(MANY)).await;
    let app = app(spy.clone());
    let mut body = respond(&app, Method::GET, ROOT, "/audit/export").await.into_body();
    // From the second page on, the reading of the next has begun before a page is written; of no page after that.
    for (page, reads) in [(1, 1), (2, 2), (3, 1)] {
        body.frame().await.unwrap().unwrap();
        assert_eq!(spy.reads().len(), reads, "page {page}");
    }
    drop(body);
    respond(&app, Method::HEAD, ROOT, "/audit/export").await;
    assert_eq!(spy.reads().len(), 1);
}

#[tokio::test]
async fn a_store_that_fails_on_the_way_ends_the_body_in_an_error() {
    let memory = MemoryStore::new();
    let all: Vec<_> = (1..=MANY).map(|n| event(n, Some(ALICE), "/o'brien")).collect();
    memory.append(&all).await.unwrap();
    for format in ["jsonl", "csv", "json"] {
        let faulty = FaultyStore::new(Arc::new(memory.clone()));
        let app = app(faulty.clone());
        let uri = format!("/audit/export?format={format}&route=/o'brien");
        let response = respond(&app, Method::GET, ALICE, &uri).await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        body.frame().await.unwrap().expect("the first page");
        faulty.set_fault(Some(Fault::BreaksOnQuotes));
        let error = body.frame().await.expect("no clean end").expect_err("no page");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("injected") && !told.contains("memory"), "{told}");
        assert!(body.frame().await.is_none(), "nothing follows an error");
        // A failure before the first byte shows in the status.
        ask(&app, ALICE, &uri).await.assert_problem(500);
    }
}

#[tokio::test]
async fn every_kind_of_trouble_ends_the_body_in_an_error() {
    tokio::time::pause();
    let spy = spy(&events(MANY)).await;
    let app = app(spy.clone());
    for trouble in [Trouble::Fails(StoreErrorKind::Transient), Trouble::Hangs, Trouble::Panics] {
        spy.trouble_after(2, trouble);
        let collected = respond(&app, Method::GET, ROOT, "/audit/export").await.into_body().collect().await;
        assert!(collected.is_err(), "{trouble:?}");
    }
}

#[tokio::test]
async fn an_export_of_whole_pages_ends() {
    // The last page is full, and the one after it is empty.
    let app = app(spy(&events(1000)).await);
    assert_eq!(ask(&app, ROOT, "/audit/export").await.text().lines().count(), 1000);
    assert_eq!(ask(&app, ROOT, "/audit/export?format=json").await.events().len(), 1000);
}

#[tokio::test]
async fn an_export_has_the_shape_that_is_asked_for() {
    let app = app(spy(&events(MANY)).await);
    let plain = ask(&app, ROOT, "/audit/export").await;
    for (profile, media_type, array_type) in [
        ("iq", "application/jsonl", Some("application/json")),
        ("cloudevents", "application/jsonl", Some("application/cloudevents-batch+json")),
        ("ecs", "application/jsonl", Some("application/json")),
        ("ocsf", "application/jsonl", Some("application/json")),
        ("otlp", "application/jsonl", Some("application/json")),
        ("cef", "text/plain; charset=utf-8", None),
    ] {
        let lines = ask(&app, ROOT, &format!("/audit/export?profile={profile}")).await;
        assert_eq!(lines.header("content-type"), Some(media_type), "{profile}");
        assert_eq!(lines.text().lines().count(), plain.text().lines().count());
        let pairs = lines.text().lines().zip(plain.text().lines());
        assert!(pairs.into_iter().all(|(line, event)| line.contains(&event[13..45])), "{profile}: another order");
        let array = ask(&app, ROOT, &format!("/audit/export?profile={profile}&format=json")).await;
        match array_type {
            None => array.assert_problem(400),
            Some(array_type) => {
                assert_eq!(array.header("content-type"), Some(array_type), "{profile}");
                let array: Vec<serde_json::Value> = serde_json::from_str(array.text()).expect("an array");
                assert!(
                    lines.text().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).eq(array)
                );
            }
        }
        ask(&app, ROOT, &format!("/audit/export?profile={profile}&format=csv")).await.assert_problem(400);
    }
    ask(&app, ROOT, "/audit/export?profile=splunk").await.assert_problem(400);
}

/// Exports the log that records the export in itself, and appends `meanwhile` after the first page was read. Returns the export without the
/// events that record it.
async fn export_while_growing(store: &Arc<dyn AuditStore>, format: &str, meanwhile: &[AuditEvent]) -> Vec<AuditEvent> {
    let log = AuditLog::builder().store(Arc::clone(store)).open().await.expect("the log opens");
    let app = AuditApi::from_store(Arc::clone(store), TestGate).record_reads(&log).router("/audit");
    let response = respond(&app, Method::GET, ROOT, &format!("/audit/export?format={format}")).await;
    store.append(meanwhile).await.expect("they are kept");
    let body = response.into_body().collect().await.expect("the body ends well").to_bytes();
    let mut events: Vec<AuditEvent> = match format {
        "json" => serde_json::from_slice(&body).expect("an array"),
        _ => body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect(),
    };
    events.retain(|event| event.event_type != EventType::AUDIT_READ);
    events
}

#[tokio::test]
async fn an_export_that_its_own_log_records_has_every_event_once_whatever_is_in_it() {
    for (store, _folder) in stores().await {
        let mut all = events(MANY);
        // The only control character that JSON may have as it is.
        all[3300].details.insert("name".into(), "delete\u{7f}".into());
        for batch in all.chunks(500) {
            store.append(batch).await.expect("they are kept");
        }
        all.reverse();
        for format in ["json", "jsonl"] {
            let exported = export_while_growing(&store, format, &[]).await;
            assert!(exported == all, "{} {format}: {} events", store.capabilities().name, exported.len());
        }
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_export_with_a_damaged_event_has_every_event_once_while_its_log_grows() {
    use sqlx::Connection as _;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.db");
    let store = tower_audit::store::open(&format!("sqlite:{}", path.display()), Default::default()).await;
    let store = store.expect("the store opens");
    let mut all = events(MANY);
    // The newest are in the journal, and shown as they are listed: this one is in a segment, and in the first page.
    all[2500].outcome = Some(418);
    for batch in all.chunks(100) {
        store.append(batch).await.expect("they are kept");
    }
    while store.maintain().await.expect("it is maintained") {}
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut raw = sqlx::sqlite::SqliteConnection::connect_with(&options).await.expect("it opens");
    let segments: Vec<i64> =
        sqlx::query_scalar("SELECT n FROM audit_segments").fetch_all(&mut raw).await.expect("it is read");
    let mut damaged = 0;
    for n in &segments {
        let change = "event = replace(CAST(event AS TEXT), ':418', ':{}') WHERE instr(CAST(event AS TEXT), ':418') > 0";
        let sql = format!("UPDATE audit_segment_{n} SET {change}");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut raw).await.expect("it is damaged");
        damaged += done.rows_affected();
    }
    assert_eq!(damaged, 1, "the event is in a segment: {segments:?}");
    raw.close().await.expect("it closes");
    // Of a machine whose clock is behind: more than a page of them, among the events of the first page.
    let mut late = vec![event(3000, Some(ALICE), "/late"); 1200];
    for (number, event) in (0..).zip(&mut late) {
        event.event_id = EventId::from_u128(1 << 64 | number);
    }
    let exported = export_while_growing(&store, "jsonl", &late).await;
    let ids = |events: &mut dyn Iterator<Item = &AuditEvent>| events.map(|event| event.event_id).collect::<Vec<_>>();
    let is_late = |event: &&AuditEvent| event.resource.route.as_deref() == Some("/late");
    assert_eq!(
        ids(&mut exported.iter().filter(|event| !is_late(event))),
        ids(&mut all.iter().rev()),
        "{} events",
        exported.len()
    );
    assert_eq!(exported.iter().filter(is_late).count(), late.len());
    let unreadable = exported.iter().filter(|event| event.details.contains_key("unreadable_event"));
    assert_eq!(ids(&mut unreadable.into_iter()), [EventId::from_u128(2501)]);
}
