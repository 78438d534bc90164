//! Several batches under way at once: the store of these tests answers each append when, and as, the test says.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_audit::store::{AuditStore, Capabilities, Diagnostic, MemoryStore, StoreError, StoreErrorKind, StoreFuture};
use tower_audit::{AuditEvent, AuditLog, EventId, EventType, RecordError};

use crate::layer::support::let_others_run;

const DEADLINE: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 4;
/// Enough for a batch beside another.
const EVENTS: usize = 24;

/// Holds every append up until the test has answered it.
#[derive(Debug)]
struct Steered {
    kept: MemoryStore,
    appends: mpsc::UnboundedSender<Append>,
    under_way: AtomicUsize,
    /// The number of calls of `maintain`, and of appends in progress during them.
    maintained: AtomicUsize,
    disturbed: AtomicUsize,
    maintenance_after: Option<usize>,
}

/// An append that waits for its answer.
#[derive(Debug)]
struct Append {
    ids: Vec<EventId>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Kept,
    /// Kept, and an error that says nothing about it.
    KeptAndLost,
    NotKept(StoreErrorKind),
    Panic,
}

impl Append {
    fn answers(self, answer: Answer) {
        self.answer.send(answer).expect("the append waits");
    }
}

impl Steered {
    /// A log over such a store, what comes out of its appends, and what it has kept.
    async fn log() -> (AuditLog, mpsc::UnboundedReceiver<Append>, Arc<Self>) {
        Self::log_maintained_after(None).await
    }

    async fn log_maintained_after(events: Option<usize>) -> (AuditLog, mpsc::UnboundedReceiver<Append>, Arc<Self>) {
        let (appends, appended) = mpsc::unbounded_channel();
        let store = Arc::new(Self {
            kept: MemoryStore::new(),
            appends,
            under_way: AtomicUsize::new(0),
            maintained: AtomicUsize::new(0),
            disturbed: AtomicUsize::new(0),
            maintenance_after: events,
        });
        let log = AuditLog::builder().store(store.clone()).write_timeout(DEADLINE).open().await.expect("it opens");
        (log, appended, store)
    }

    fn ids(&self) -> Vec<EventId> {
        self.kept.events().iter().map(|event| event.event_id).collect()
    }
}

impl AuditStore for Steered {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new("steered");
        capabilities.max_parallel_appends = AT_ONCE;
        capabilities.maintenance_after = self.maintenance_after;
        capabilities
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let ids = events.iter().map(|event| event.event_id).collect();
            self.appends.send(Append { ids, answer }).expect("the test listens");
            let answer = match answered.await {
                Ok(answer) => answer,
                // The test has let go of it: it hangs.
                Err(_) => std::future::pending().await,
            };
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            if matches!(answer, Answer::Kept | Answer::KeptAndLost) {
                self.kept.append(events).await?;
            }
            match answer {
                Answer::Kept => Ok(()),
                Answer::KeptAndLost => Err(StoreError::new(StoreErrorKind::Transient, "steered", "append")),
                Answer::NotKept(kind) => Err(StoreError::new(kind, "steered", "append")),
                Answer::Panic => panic!("as the test says"),
            }
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        let before = self.maintained.fetch_add(1, Ordering::Relaxed);
        self.disturbed.fetch_add(self.under_way.load(Ordering::Relaxed), Ordering::Relaxed);
        // It has something to do three times.
        Box::pin(std::future::ready(Ok(before < 2)))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.kept.close()
    }
}

type Recording = JoinHandle<Result<EventId, RecordError>>;

/// Events that are being recorded, and their ids.
fn record(log: &AuditLog, count: usize) -> (Vec<Recording>, Vec<EventId>) {
    (0..count)
        .map(|_| {
            let (log, event) = (log.clone(), AuditEvent::new(EventType::UPLOAD));
            let id = event.event_id;
            (tokio::spawn(async move { log.record(event).await }), id)
        })
        .unzip()
}

/// The next append. Time passes meanwhile, as far as it must for a small batch to begin beside others.
async fn next(appends: &mut mpsc::UnboundedReceiver<Append>) -> Append {
    tokio::time::timeout(Duration::from_millis(100), appends.recv()).await.expect("an append begins").expect("it lives")
}

/// As many batches under way as this, each of two events.
async fn under_way(
    log: &AuditLog,
    appends: &mut mpsc::UnboundedReceiver<Append>,
    count: usize,
) -> Vec<(Append, Vec<Recording>)> {
    let mut begun = Vec::new();
    for _ in 0..count {
        let (recordings, ids) = record(log, 2);
        let append = next(appends).await;
        assert_eq!(append.ids, ids);
        begun.push((append, recordings));
    }
    begun
}

/// Returns the result of a task. Panics if the task takes longer than three deadlines.
async fn ended<T>(task: JoinHandle<T>) -> T {
    tokio::time::timeout(DEADLINE * 3, task).await.expect("it ends").expect("no panic")
}

async fn all_recorded(recordings: Vec<Recording>) {
    for recording in recordings {
        ended(recording).await.expect("recorded");
    }
}

fn none_is_done(recordings: &[Recording]) -> bool {
    recordings.iter().all(|recording| !recording.is_finished())
}

#[tokio::test(start_paused = true)]
async fn each_gets_the_answer_of_its_own_batch() {
    let (log, mut appends, store) = Steered::log().await;
    let mut begun = under_way(&log, &mut appends, 3).await;
    let (last, last_recordings) = begun.pop().expect("three");
    let (refused, refused_recordings) = begun.pop().expect("two");
    let (first, first_recordings) = begun.pop().expect("one");
    last.answers(Answer::Kept);
    all_recorded(last_recordings).await;
    assert!(none_is_done(&first_recordings) && none_is_done(&refused_recordings));

    // One of two is refused for good: the other is kept, and those of the other batches do not notice.
    let bad = refused.ids[1];
    refused.answers(Answer::NotKept(StoreErrorKind::Permanent));
    for _ in 0..2 {
        let half = next(&mut appends).await;
        let answer = if half.ids.contains(&bad) { Answer::NotKept(StoreErrorKind::Permanent) } else { Answer::Kept };
        half.answers(answer);
    }
    let mut results = Vec::new();
    for recording in refused_recordings {
        results.push(ended(recording).await.is_ok());
    }
    assert_eq!(results, [true, false]);
    assert!(none_is_done(&first_recordings));
    first.answers(Answer::Kept);
    all_recorded(first_recordings).await;
    assert_eq!(store.ids().len(), 5);
    assert!(!store.ids().contains(&bad));
    let stats = log.stats();
    assert_eq!((stats.written, stats.failed, stats.timed_out), (5, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_all_before_it_and_for_none_after() {
    let (log, mut appends, _store) = Steered::log().await;
    let mut begun = under_way(&log, &mut appends, 2).await.into_iter();
    let flush = tokio::spawn({
        let log = log.clone();
        async move { log.flush().await.expect("everything is settled") }
    });
    let_others_run().await;
    let (later, _) = under_way(&log, &mut appends, 1).await.pop().expect("one");
    let (first, _) = begun.next().expect("two");
    let (second, recordings) = begun.next().expect("two");
    second.answers(Answer::Kept);
    all_recorded(recordings).await;
    let_others_run().await;
    assert!(!flush.is_finished(), "the first batch is still under way");
    first.answers(Answer::Kept);
    // Although a later batch is under way.
    ended(flush).await;
    later.answers(Answer::Kept);
    log.flush().await.expect("everything is settled");
    assert_eq!(log.stats().written, 6);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_the_store_serves_well() {
    let (log, mut appends, _store) = Steered::log().await;
    let begun = under_way(&log, &mut appends, AT_ONCE).await;
    let (recordings, ids) = record(&log, 100);
    tokio::time::sleep(DEADLINE / 2).await;
    assert!(appends.try_recv().is_err(), "a fifth append");
    for (append, _) in begun {
        append.answers(Answer::Kept);
    }
    let append = next(&mut appends).await;
    assert_eq!(append.ids, ids);
    append.answers(Answer::Kept);
    all_recorded(recordings).await;
}

#[tokio::test(start_paused = true)]
async fn a_few_wait_for_more_and_many_begin_at_once() {
    let (log, mut appends, _store) = Steered::log().await;
    let (first, _) = under_way(&log, &mut appends, 1).await.pop().expect("one");
    let (few, few_ids) = record(&log, 3);
    let_others_run().await;
    assert!(appends.try_recv().is_err(), "a commit for three, while another is under way");
    // No time has passed.
    let (many, many_ids) = record(&log, 100);
    let_others_run().await;
    let second = appends.try_recv().expect("it begins at once");
    assert!(second.ids.len() >= 16 && second.ids.starts_with(&few_ids));
    first.answers(Answer::Kept);
    second.answers(Answer::Kept);
    let mut rest = many_ids.len();
    while rest > 0 {
        let_others_run().await;
        let Ok(append) = appends.try_recv() else { break };
        rest -= append.ids.iter().filter(|id| many_ids.contains(id)).count();
        append.answers(Answer::Kept);
    }
    all_recorded(few).await;
    all_recorded(many).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_that_hangs_does_not_stop_the_others() {
    let (log, mut appends, _store) = Steered::log().await;
    let (hangs, hanging) = under_way(&log, &mut appends, 1).await.pop().expect("one");
    for _ in 0..20 {
        let begun = Instant::now();
        let (recordings, _) = record(&log, 1);
        next(&mut appends).await.answers(Answer::Kept);
        all_recorded(recordings).await;
        assert!(begun.elapsed() <= Duration::from_millis(20), "{:?}", begun.elapsed());
    }
    assert!(none_is_done(&hanging));
    hangs.answers(Answer::Kept);
    all_recorded(hanging).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_while_all_hang() {
    let (log, mut appends, _store) = Steered::log().await;
    let mut waiting = Vec::new();
    let mut hanging = Vec::new();
    for count in [1, 30, 200, 3, 2000] {
        let log = log.clone();
        waiting.extend((0..count).map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let result = log.record(AuditEvent::new(EventType::UPLOAD)).await;
                (result, begun.elapsed())
            })
        }));
        tokio::time::sleep(Duration::from_millis(333)).await;
        hanging.extend(std::iter::from_fn(|| appends.try_recv().ok()));
    }
    assert_eq!(hanging.len(), AT_ONCE);
    let count = waiting.len() as u64;
    for recording in waiting {
        let (result, spent) = ended(recording).await;
        result.expect_err("all hang");
        assert!(spent <= DEADLINE + Duration::from_millis(100), "{spent:?}");
    }
    let stats = log.stats();
    assert_eq!((stats.timed_out, stats.written, stats.queued), (count, 0, 0));
}

/// The halves of a refused batch wait for each other, and their deadlines go on.
#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_the_other_half_of_a_refused_batch() {
    let (log, mut appends, _store) = Steered::log().await;
    let begun = Instant::now();
    let (refused, recordings) = under_way(&log, &mut appends, 1).await.pop().expect("one");
    refused.answers(Answer::NotKept(StoreErrorKind::Permanent));
    let _hangs = next(&mut appends).await;
    for recording in recordings {
        ended(recording).await.expect_err("neither half is kept");
    }
    assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_by_itself_and_nothing_is_lost_or_kept_twice() {
    let (log, mut appends, store) = Steered::log().await;
    let mut begun = under_way(&log, &mut appends, AT_ONCE).await;
    let (panics, panicking) = begun.pop().expect("four");
    let mut expected: HashSet<EventId> = begun.iter().flat_map(|(append, _)| append.ids.clone()).collect();
    panics.answers(Answer::Panic);
    // The first panic may not be the batch's fault; the second is taken for a refusal: each of the two is tried by itself.
    for _ in 0..3 {
        next(&mut appends).await.answers(Answer::Panic);
    }
    for recording in panicking {
        ended(recording).await.expect_err("the store panics");
    }

    let mut recordings = Vec::new();
    for ((append, of_it), answer) in
        begun.into_iter().zip([Answer::NotKept(StoreErrorKind::Transient), Answer::KeptAndLost, Answer::Kept])
    {
        let ids = append.ids.clone();
        append.answers(answer);
        if answer != Answer::Kept {
            let again = next(&mut appends).await;
            assert_eq!(again.ids, ids, "the same batch, and nothing else");
            again.answers(Answer::Kept);
        }
        recordings.extend(of_it);
    }
    let (later, ids) = record(&log, 1);
    expected.extend(ids);
    next(&mut appends).await.answers(Answer::Kept);
    all_recorded(recordings).await;
    all_recorded(later).await;
    let kept = store.ids();
    assert_eq!(kept.len(), expected.len());
    assert_eq!(kept.into_iter().collect::<HashSet<_>>(), expected);
    let stats = log.stats();
    assert_eq!((stats.written, stats.failed, stats.retries, stats.batches), (7, 2, 3, 4));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_everything_under_way_and_everything_that_waits() {
    let (log, mut appends, store) = Steered::log().await;
    let begun = under_way(&log, &mut appends, AT_ONCE).await;
    let (waiting, ids) = record(&log, 10);
    let_others_run().await;
    let closing = tokio::spawn({
        let log = log.clone();
        async move { log.close().await }
    });
    let_others_run().await;
    let mut recordings = waiting;
    // The last first.
    for (append, of_it) in begun.into_iter().rev() {
        assert!(!closing.is_finished());
        append.answers(Answer::Kept);
        recordings.extend(of_it);
        let_others_run().await;
    }
    let rest = next(&mut appends).await;
    assert_eq!(rest.ids, ids);
    assert!(!closing.is_finished());
    rest.answers(Answer::Kept);
    ended(closing).await.expect("closed");
    all_recorded(recordings).await;
    assert_eq!(store.ids().len(), 18);
}

#[tokio::test(start_paused = true)]
async fn the_store_is_maintained_when_nothing_is_under_way() {
    let (log, mut appends, store) = Steered::log().await;
    let mut begun = under_way(&log, &mut appends, 2).await;
    let (second, recordings) = begun.pop().expect("two");
    second.answers(Answer::Kept);
    all_recorded(recordings).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.maintained.load(Ordering::Relaxed), 0);
    let (first, recordings) = begun.pop().expect("one");
    first.answers(Answer::Kept);
    all_recorded(recordings).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.maintained.load(Ordering::Relaxed), 3, "until there is no more to do");
    assert_eq!(store.disturbed.load(Ordering::Relaxed), 0);
}

/// A log that is never idle would otherwise leave all of the work to its appends.
#[tokio::test(start_paused = true)]
async fn a_busy_store_is_maintained_after_the_events_that_it_names() {
    for (after, maintained) in [(1, 3), (EVENTS, 1), (EVENTS + 1, 0)] {
        let (log, mut appends, store) = Steered::log_maintained_after(Some(after)).await;
        let others = record(&log, EVENTS).0;
        let other = next(&mut appends).await;
        let recordings = record(&log, EVENTS).0;
        let first = next(&mut appends).await;
        assert_eq!((other.ids.len(), first.ids.len()), (EVENTS, EVENTS));
        first.answers(Answer::Kept);
        all_recorded(recordings).await;
        let_others_run().await;
        assert_eq!(store.maintained.load(Ordering::Relaxed), maintained, "{after}");
        assert_eq!(store.disturbed.load(Ordering::Relaxed), maintained, "the other append is under way");
        other.answers(Answer::Kept);
        all_recorded(others).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_batch_begins_when_as_much_waits_as_is_under_way() {
    let (log, mut appends, _store) = Steered::log().await;
    let mut recordings = record(&log, 100).0;
    let first = appends.recv().await.expect("it begins at once");
    assert_eq!(first.ids.len(), 100);
    recordings.extend(record(&log, 99).0);
    let_others_run().await;
    assert!(appends.try_recv().is_err(), "fewer than are under way wait");
    recordings.extend(record(&log, 1).0);
    let_others_run().await;
    let second = appends.try_recv().expect("as many wait");
    assert_eq!(second.ids.len(), 100);
    // Fewer events are in flight again, so a smaller number deserves a batch of its own.
    first.answers(Answer::Kept);
    second.answers(Answer::Kept);
    recordings.extend(record(&log, 1).0);
    let small = next(&mut appends).await;
    recordings.extend(record(&log, 23).0);
    let_others_run().await;
    assert!(appends.try_recv().is_err(), "too few for a batch of their own");
    recordings.extend(record(&log, 1).0);
    let_others_run().await;
    let further = appends.try_recv().expect("enough");
    assert_eq!((small.ids.len(), further.ids.len()), (1, 24));
    small.answers(Answer::Kept);
    further.answers(Answer::Kept);
    all_recorded(recordings).await;
}
