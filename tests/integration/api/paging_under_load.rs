//! Paging while events arrive: a log of some size, a writer at a thousand events a second, two ways to read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tower_audit::query::{Cursor, Filter, PageQuery};
use tower_audit::store::AuditStore;
use tower_audit::{Actor, AuditEvent, AuditLog, EventId, EventType};

use crate::api::paging::next;
use crate::api::support::{ALICE, BOB, ROOT, app_over, ask, stores};

/// The number of events before the first read: a dozen pages, and more than a store keeps in its first place.
const BEFORE: usize = 6_000;

/// The number of events that must arrive before the last read: two seconds of them. There is at least one read.
const MEANWHILE: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_seen_once_while_a_thousand_a_second_arrive() {
    // MongoDB's stand-in takes a few hundred events a second.
    let is_fast = |store: &dyn AuditStore| store.capabilities().durable && store.capabilities().name != "mongodb";
    for (store, _folder) in stores().await.into_iter().filter(|(store, _)| is_fast(&**store)) {
        let name = store.capabilities().name;
        let before = fill(&*store).await;
        let log = AuditLog::builder().store(Arc::clone(&store)).open().await.expect("the log opens");
        let arrivals = Arrivals::start(&log);
        let app = app_over(Arc::clone(&store));
        let mut walks = 0;
        while arrivals.so_far() < MEANWHILE {
            for (caller, whose) in [(ROOT, None), (ALICE, Some(ALICE))] {
                let before = before.iter().filter(|(_, user)| whose.is_none_or(|whose| whose == **user));
                let before: HashSet<EventId> = before.map(|(id, _)| *id).collect();
                let mut seen = Seen::default();
                let mut uri = "/audit/?limit=500".to_owned();
                loop {
                    let page = ask(&app, caller, &uri).await;
                    assert_eq!(page.status, 200, "{name}: {page:?}");
                    seen.add(&page.events());
                    let Some(following) = next(&page, "/audit/") else { break };
                    uri = following;
                }
                seen.assert_each_once(&before, &format!("{name}: {caller} by the API"));
            }
            let mut seen = Seen::default();
            let mut query = PageQuery::new(Filter::default(), 700);
            loop {
                let page = store.parts().reader.expect("a store that can be read").query(&query).await.expect("a page");
                seen.add(&page);
                if page.len() < query.limit {
                    break;
                }
                query.after = page.last().map(Cursor::of);
            }
            seen.assert_each_once(&before.keys().copied().collect(), &format!("{name}: by the reader"));
            walks += 1;
        }
        let arrived = arrivals.end().await;
        log.close().await.expect("the log closes");
        assert!(walks > 0);
        println!("{name}: {arrived} events arrived during {walks} walks over {BEFORE} and more");
    }
}

/// The number of times that each event was returned.
#[derive(Default)]
struct Seen(HashMap<EventId, usize>);

impl Seen {
    fn add(&mut self, events: &[AuditEvent]) {
        for event in events {
            *self.0.entry(event.event_id).or_default() += 1;
        }
    }

    #[track_caller]
    fn assert_each_once(&self, before: &HashSet<EventId>, context: &str) {
        let twice = self.0.iter().filter(|(_, times)| **times > 1).count();
        let missing = before.iter().filter(|id| !self.0.contains_key(id)).count();
        assert_eq!((twice, missing), (0, 0), "{context}: seen twice, and not at all");
    }
}

/// The ids of the events that are there from the beginning, and whose they are.
async fn fill(store: &dyn AuditStore) -> HashMap<EventId, &'static str> {
    let mut filled = HashMap::new();
    for batch in 0..BEFORE / 1000 {
        let users = [ALICE, BOB].into_iter().cycle().take(1000);
        let events: Vec<_> = users.map(|user| (upload(user), user)).collect();
        filled.extend(events.iter().map(|(event, user)| (event.event_id, *user)));
        let events: Vec<_> = events.into_iter().map(|(event, _)| event).collect();
        store.append(&events).await.unwrap_or_else(|error| panic!("batch {batch}: {error}"));
    }
    filled
}

fn upload(user: &str) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::UPLOAD);
    event.actor = Actor::user(user);
    event
}

/// A writer that records a hundred events ten times a second.
struct Arrivals {
    arrived: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    writing: tokio::task::JoinHandle<()>,
}

impl Arrivals {
    fn start(log: &AuditLog) -> Self {
        let (arrived, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let writing = tokio::spawn({
            let (log, arrived, is_over) = (log.clone(), Arc::clone(&arrived), Arc::clone(&is_over));
            async move {
                let mut tick = tokio::time::interval(Duration::from_millis(100));
                while !is_over.load(Ordering::SeqCst) {
                    tick.tick().await;
                    for recorded in join_all((0..100).map(|_| log.record(upload(ALICE)))).await {
                        recorded.expect("it is recorded");
                        arrived.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
        Self { arrived, is_over, writing }
    }

    fn so_far(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    async fn end(self) -> usize {
        self.is_over.store(true, Ordering::SeqCst);
        self.writing.await.expect("the writer ends well");
        self.arrived.load(Ordering::SeqCst)
    }
}
