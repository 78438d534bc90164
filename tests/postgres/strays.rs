//! Rows that no writer of ours makes: whoever may append can. They blind no reader.

use tower_audit::query::{Cursor, Filter, Pattern, Query};
use tower_audit::store::Reader;
use tower_audit::{AuditEvent, EventId, Phase};

use crate::cluster::Cluster;
use crate::support::{at, event, ok, open};

/// A role that appends makes a row between the events `1` and `2`, or wherever its time is.
const STRAYS: [(&str, &str); 8] = [
    ("'2026-05-25T12:00:01.5Z'", "'x'"),
    ("'2026-05-25T12:00:01.5Z'", "''"),
    ("'2026-05-25T12:00:01.5Z'", "'[]'"),
    ("'2026-05-25T12:00:01.5Z'", "repeat('[', 1000000)"),
    // The event of another row: with its id, with its time.
    ("'2026-05-25T12:00:01.5Z'", "(SELECT event FROM audit_events WHERE actor_user_email = 'user0@example.org')"),
    (
        "'2026-05-25T12:00:01.5Z'",
        "(SELECT replace(event, replace(event_id::text, '-', ''), '019e5f0000007000800000000000ffff') FROM audit_events \
         WHERE actor_user_email = 'user3@example.org')",
    ),
    ("'infinity'", "'x'"),
    ("'-infinity'", "'x'"),
];

#[tokio::test]
async fn a_row_that_is_no_event_hides_no_other() {
    const ID: EventId = EventId::from_u128(0x019e_5f00_0000_7000_8000_0000_0000_ffff);
    for (time, text) in STRAYS {
        let database = Cluster::shared().database();
        let store = open(&database.url()).await;
        let mut events: Vec<_> = (0..4).map(event).collect();
        for (event, second) in events.iter_mut().zip(0..) {
            event.created_at = at(&format!("2026-05-25T12:00:0{second}Z"));
        }
        ok(store.append(&events).await);
        events.reverse();
        database.sql(&format!(
            "INSERT INTO audit_events (event_id, event_type, created_at, phase, actor_user_email, outcome, event) \
             VALUES ('{ID}', 'made.up', {time}, 'odd', 'mallory', 70000, {text})"
        ));
        let reader = store.reader().expect("the store is read");
        for limit in 1..=6 {
            let (mut strays, kept): (Vec<_>, Vec<_>) =
                walk(reader, &Filter::default(), limit).await.into_iter().partition(|event| event.event_id == ID);
            assert_eq!(kept, events, "pages of {limit}: {time} {text}");
            let stray = strays.pop().expect("it is shown, too");
            assert!(strays.is_empty(), "pages of {limit}: {time} {text}");
            assert_eq!((stray.event_type.as_str(), stray.phase), ("made.up", Phase::Unknown));
            assert_eq!((stray.actor.user_email.as_deref(), stray.outcome), (Some("mallory"), None));
            assert!(stray.details["unreadable_event"].is_string(), "{stray:?}");
            assert_eq!(ok(reader.get(ID).await), Some(stray));
        }
        let hers = Filter { user_email: Pattern::parse("mallory*").expect("a pattern").into(), ..Filter::default() };
        assert_eq!(walk(reader, &hers, 3).await.len(), 1, "{time} {text}");
    }
}

/// All events that a filter selects, page by page.
async fn walk(reader: &dyn Reader, filter: &Filter, limit: usize) -> Vec<AuditEvent> {
    let mut events = Vec::new();
    let mut after = None;
    for _ in 0..20 {
        let page = ok(reader.query(&Query { after, ..Query::new(filter.clone(), limit) }).await);
        let Some(last) = page.last() else { return events };
        after = Some(Cursor::of(last));
        events.extend(page);
    }
    panic!("the pages of {limit} do not end");
}
