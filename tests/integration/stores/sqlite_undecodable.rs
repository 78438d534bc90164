//! Events in the file that cannot be decoded: each is shown, and stops nothing.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tower_audit::query::{Buckets, Cursor, Field, Filter, PageQuery};
use tower_audit::store::sqlite::SqliteStore;
use tower_audit::store::{AuditStore as _, OpenOptions, Reader as _, StoreAdmin as _};
use tower_audit::{Actor, AuditEvent, EventType, Timestamp};

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await.expect("it opens")
}

fn of_alice() -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user("alice");
    event
}

/// Texts to put in the place of `{"event_id":…}`, made from the text of a valid event.
fn hostile(event: &str) -> Vec<String> {
    vec![
        "x".into(),
        String::new(),
        "[]".into(),
        "null".into(),
        "{}".into(),
        event.replace("\"user_email\":\"alice\"", "\"user_email\":\"alice\",\"user_email\":\"bob\""),
        event.replace("\"event_type\"", "\"event_type\":\"auth\",\"event_type\""),
        event.replace("\"completed\"", "\"postponed\""),
        event.replace("\"details\":{}", "\"details\":\"none\""),
        event.replace("\"outcome\":null", "\"outcome\":{}"),
        event.replace("\"event_id\":\"", "\"event_id\":\"no id "),
        event[..event.len() / 2].into(),
    ]
}

/// Puts a row for each text into the journal, between events that are fine.
async fn plant(path: &Path) -> (Vec<AuditEvent>, usize) {
    let store = open(path).await;
    let mut fine = Vec::new();
    let texts = hostile(&serde_json::to_string(&of_alice()).expect("JSON"));
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("it opens");
    for text in &texts {
        let id = of_alice().event_id.to_string();
        let own = text.replace(
            &serde_json::from_str::<AuditEvent>(text).map_or(String::new(), |event| event.event_id.to_string()),
            &id,
        );
        let text = if own.contains(&id) && text.len() > 40 { own } else { text.clone() };
        let event = of_alice();
        store.append(std::slice::from_ref(&event)).await.expect("it is kept");
        let at = event.created_at.as_micros();
        fine.push(event);
        sqlx::query("INSERT INTO audit_journal SELECT max(seq) + 1, 1, ?1, ?2, x'00', x'ff', '[' || ?3 || ']' FROM audit_journal")
            .bind(at)
            .bind(at + 1_000_000_000)
            .bind(text)
            .execute(&mut raw)
            .await
            .expect("it is planted");
    }
    raw.close().await.expect("it closes");
    store.close().await.expect("it closes");
    (fine, texts.len())
}

/// Listings and counts agree, and every event is reached by paging and by its id.
async fn assert_whole(store: &SqliteStore, fine: &[AuditEvent], hostile: usize) {
    let all = store.query(&PageQuery::new(Filter::default(), 1000)).await.expect("they are listed");
    assert_eq!(all.len(), fine.len() + hostile);
    assert!(fine.iter().all(|event| all.contains(event)));
    assert_eq!(all.iter().filter(|event| event.details.contains_key("unreadable_event")).count(), hostile);
    let mut query = PageQuery::new(Filter::default(), 1);
    for event in &all {
        assert_eq!(store.query(&query).await.expect("a page"), std::slice::from_ref(event));
        query.after = Some(Cursor::of(event));
        assert_eq!(store.get(event.event_id).await.expect("it is read").as_ref(), Some(event));
    }
    for (user, of_user) in [("alice", true), ("bob", false)] {
        let filter = Filter::new().user_email(user);
        let listed = store.query(&PageQuery::new(filter.clone(), 1000)).await.expect("they are listed");
        assert!(listed.iter().all(|event| event.actor.user_email.as_deref() == Some(user)));
        assert_eq!(
            listed,
            all.iter().filter(|event| event.actor.user_email.as_deref() == Some(user)).cloned().collect::<Vec<_>>()
        );
        assert_eq!(!listed.is_empty(), of_user, "what the first of two says counts");
        assert_eq!(store.count(&filter).await.expect("they are counted"), listed.len() as u64);
    }
    let types = store.top_values(&Filter::default(), Field::EventType, 100).await.expect("they are counted");
    assert_eq!(types.iter().map(|value_count| value_count.count).sum::<u64>(), all.len() as u64);
    let unknown = Filter::new().event_type("audit.unreadable");
    let listed = store.query(&PageQuery::new(unknown.clone(), 1000)).await.expect("they are listed");
    assert_eq!(store.count(&unknown).await.expect("they are counted"), listed.len() as u64);
    assert!(listed.len() >= 5, "{}", listed.len());
    let (first, last) = (all[all.len() - 1].created_at, Timestamp::from_micros(all[0].created_at.as_micros() + 1));
    let buckets = Buckets::covering(first, last.expect("a moment"), 10).expect("a span");
    let activity = store.histogram(&Filter::default(), &buckets).await.expect("they are counted");
    assert_eq!(activity.iter().sum::<u64>(), all.len() as u64);
}

#[tokio::test]
async fn they_stop_neither_reading_nor_moving_nor_opening_nor_purging() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.db");
    let (mut fine, hostile) = plant(&path).await;
    let store = open(&path).await;
    assert_whole(&store, &fine, hostile).await;

    let mut more: Vec<_> = (0..600).map(|_| AuditEvent::new(EventType::AUTH)).collect();
    more.iter_mut().for_each(|event| event.details.insert("n".into(), 1.into()).map_or((), drop));
    store.append(&more).await.expect("it is kept");
    store.append(&[of_alice()]).await.expect("it is kept");
    let before = store.query(&PageQuery::new(Filter::default(), 1000)).await.expect("they are listed");
    while store.maintain().await.expect("it is moved") {}
    assert_eq!(
        store.query(&PageQuery::new(Filter::default(), 1000)).await.expect("they are listed"),
        before,
        "once moved"
    );
    fine = before.into_iter().filter(|event| !event.details.contains_key("unreadable_event")).collect();
    assert_whole(&store, &fine, hostile).await;
    store.close().await.expect("it closes");

    let store = open(&path).await;
    assert_whole(&store, &fine, hostile).await;
    let mut removed = 0;
    loop {
        let purged = store.purge(Timestamp::MAX, 50).await.expect("they are removed");
        assert!(purged.deleted <= 50);
        removed += purged.deleted;
        if !purged.has_more {
            break;
        }
    }
    assert_eq!(removed, (fine.len() + hostile) as u64);
    assert_eq!(store.count(&Filter::default()).await.expect("they are counted"), 0);
}

/// A segment that rejects rows stops compaction, and the log goes on.
#[tokio::test]
async fn a_journal_that_cannot_be_moved_does_not_end_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.db");
    let store = open(&path).await;
    let mut raw = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.expect("it opens");
    // Fails with each row that is inserted.
    sqlx::query("CREATE INDEX i ON audit_segments(json('x' || n))").execute(&mut raw).await.expect("an index");
    let mut kept = 0;
    for _ in 0..24 {
        let batch: Vec<_> = (0..3000).map(|_| AuditEvent::new(EventType::UPLOAD)).collect();
        store.append(&batch).await.expect("it is kept");
        kept += batch.len() as u64;
    }
    assert!(kept > 64 * 1024);
    store.health().await.expect("the next event would be kept");
    sqlx::query("DROP INDEX i").execute(&mut raw).await.expect("no index");
    raw.close().await.expect("it closes");
    assert_eq!(store.count(&Filter::default()).await.expect("they are counted"), kept);
    assert!(store.maintain().await.expect("it is moved now"));
}
