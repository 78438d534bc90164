//! Members of a tee that hang, die and fill up, in turn and together, and what an append gets then.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::tee::{MAX_LOST_IDS, MemberStatus, Quorum, TeeBuilder, TeeMember, TeeStore, Unmatched};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, Durability, MemoryStore, Severity, StoreError, StoreErrorKind, StoreFuture,
};
use tower_audit::{AuditEvent, AuditLog, EventId, EventType};

/// A sink that writes what it is given, again and again.
#[derive(Debug, Default, Clone)]
struct Lines {
    ids: Arc<Mutex<Vec<EventId>>>,
    is_closed: Arc<AtomicBool>,
}

impl Lines {
    fn ids(&self) -> Vec<EventId> {
        self.ids.lock().expect("no panic").clone()
    }
}

impl AuditStore for Lines {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("lines")
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.ids.lock().expect("no panic").extend(events.iter().map(|event| event.event_id));
            Ok(())
        })
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.is_closed.store(true, Ordering::Release);
            Ok(())
        })
    }
}

fn faulty() -> (FaultyStore, MemoryStore) {
    let memory = MemoryStore::new();
    (FaultyStore::new(Arc::new(memory.clone())), memory)
}

/// In memory nothing is durable: the members count all the same.
fn tee() -> TeeBuilder {
    TeeStore::builder().durability(Durability::Warn)
}

fn event() -> AuditEvent {
    AuditEvent::new(EventType::UPLOAD)
}

fn events(count: usize) -> Vec<AuditEvent> {
    (0..count).map(|_| event()).collect()
}

fn of_type(name: &str) -> AuditEvent {
    AuditEvent::new(EventType::new(name).expect("no panic"))
}

fn ids(events: &[AuditEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.event_id).collect()
}

fn held(memory: &MemoryStore) -> BTreeSet<EventId> {
    memory.events().iter().map(|event| event.event_id).collect()
}

fn status(tee: &TeeStore, member: &str) -> MemberStatus {
    tee.members().into_iter().find(|status| status.name == member).expect("a member")
}

/// Lets the workers of the members run, until a condition holds; time is paused and moves on.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 50 s: {what}");
}

async fn refused(tee: &TeeStore, events: &[AuditEvent]) -> StoreError {
    tee.append(events).await.expect_err("the append is refused")
}

#[tokio::test(start_paused = true)]
async fn a_member_beyond_the_quorum_that_hangs_delays_nobody_and_costs_bounded_memory() {
    let (hanging, hung) = faulty();
    hanging.pause_appends();
    let read = MemoryStore::new();
    let tee = tee()
        .member(TeeMember::new("read", read.clone()))
        .member(TeeMember::new("hanging", hanging.clone()).backlog(1_000, 1 << 20))
        .quorum(Quorum::Any)
        .build()
        .unwrap();
    let begun = Instant::now();
    let all: Vec<Vec<AuditEvent>> = (0..200).map(|_| events(50)).collect();
    for batch in &all {
        tee.append(batch).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waited for it");
    assert_eq!(read.events().len(), 10_000);
    let hanging_now = status(&tee, "hanging");
    assert!(hanging_now.behind <= 1_000, "{hanging_now:?}");
    // It has what fits, in order; the rest is counted, and the latest are named.
    assert_eq!(hanging_now.lost + hanging_now.behind as u64, 10_000);
    let all: Vec<EventId> = all.iter().flat_map(|batch| ids(batch)).collect();
    assert_eq!(hanging_now.lost_ids, all[all.len() - MAX_LOST_IDS..]);
    hanging.resume_appends();
    until("it takes its backlog", || status(&tee, "hanging").behind == 0).await;
    assert_eq!(held(&hung), all[..hanging_now.behind].iter().copied().collect());
    // It is back, and gets what comes now.
    let later = event();
    tee.append(std::slice::from_ref(&later)).await.unwrap();
    until("it has the next event", || held(&hung).contains(&later.event_id)).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_member_gets_its_events_once_and_in_order() {
    let lines = Lines::default();
    let late = FaultyStore::new(Arc::new(lines.clone()));
    let tee = tee()
        .member(TeeMember::new("read", MemoryStore::new()))
        .member(TeeMember::new("late", late.clone()))
        .build()
        .unwrap();
    let all = events(3_000);
    for (number, batch) in all.chunks(7).enumerate() {
        match number % 60 {
            10 => late.pause_appends(),
            30 => late.resume_appends(),
            40 => late.set_fault(Some(Fault::FailsFirst(5))),
            _ => {}
        }
        tee.append(batch).await.unwrap();
    }
    late.resume_appends();
    until("it takes its backlog", || status(&tee, "late").behind == 0).await;
    assert!(lines.ids() == ids(&all), "another order, or a gap");
    assert_eq!(status(&tee, "late").lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_required_member_that_hangs_refuses_within_its_deadline_and_then_at_once() {
    let (hanging, hung) = faulty();
    let other = MemoryStore::new();
    let tee = tee()
        .member(TeeMember::new("other", other.clone()))
        .member(TeeMember::new("hanging", hanging.clone()).required().timeout(Duration::from_secs(2)))
        .quorum(Quorum::Any)
        .build()
        .unwrap();
    hanging.pause_appends();
    let first = events(3);
    let begun = Instant::now();
    let error = refused(&tee, &first).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(error.kind(), StoreErrorKind::Transient);
    assert!(error.to_string().contains("required member `hanging`: it has not answered within 2000 ms"), "{error}");
    // From then on, nobody waits for it, and no other member gets what will be refused.
    let begun = Instant::now();
    for _ in 0..100 {
        let error = refused(&tee, &events(10)).await;
        assert!(error.to_string().contains("`hanging`: it has not answered for 2 s"), "{error}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(held(&other), ids(&first).into_iter().collect());
    assert!(tee.health().await.is_err());
    // The repeated append waits for the one that hangs, and is not queued again.
    let error = refused(&tee, &first).await;
    assert_eq!((begun.elapsed(), status(&tee, "hanging").behind), (Duration::from_secs(2), 3), "{error}");
    hanging.resume_appends();
    tee.append(&first).await.unwrap();
    assert_eq!((hanging.appends(), held(&hung)), (1, ids(&first).into_iter().collect()));
    tee.append(&events(1)).await.unwrap();
    assert!(tee.health().await.is_ok());
}

/// The writer repeats a batch after a failure: a sink that has it already must not write it again.
#[tokio::test(start_paused = true)]
async fn what_is_repeated_reaches_no_sink_twice() {
    let (failing, memory) = faulty();
    let lines = Lines::default();
    let build = tee()
        .member(TeeMember::new("failing", failing.clone()))
        .member(TeeMember::new("lines", lines.clone()).required())
        .build();
    let log = AuditLog::builder().store(build.unwrap()).open().await.unwrap();
    let faults = [Some(Fault::FailsFirst(7)), Some(Fault::StoresButReportsError), Some(Fault::RejectsLongText), None];
    let mut sent = Vec::new();
    for (round, fault) in faults.into_iter().cycle().take(12).enumerate() {
        failing.set_fault(fault);
        let records = (0..40).map(|number| {
            let mut event = event();
            // One of them is refused for good in each round with the third fault.
            event
                .details
                .insert("n".into(), if number == 20 { "long ".repeat(100) } else { number.to_string() }.into());
            let (log, id) = (log.clone(), event.event_id);
            async move { (id, log.record(event).await.is_ok()) }
        });
        let results = futures_util::future::join_all(records).await;
        let refused = results.iter().filter(|(_, is_kept)| !is_kept).count();
        assert_eq!(refused, usize::from(fault == Some(Fault::RejectsLongText)), "round {round}");
        sent.extend(results);
    }
    let written = lines.ids();
    let distinct: BTreeSet<EventId> = written.iter().copied().collect();
    assert_eq!(written.len(), distinct.len(), "an event was written twice");
    for (id, is_kept) in &sent {
        assert!(!is_kept || distinct.contains(id) && held(&memory).contains(id));
    }
    log.close().await.unwrap();
    assert!(lines.is_closed.load(Ordering::Acquire));
}

/// An event that a best-effort member never takes is lost for it alone, and named.
#[tokio::test(start_paused = true)]
async fn an_event_that_a_member_refuses_is_lost_alone() {
    let (picky, memory) = faulty();
    let tee = tee()
        .member(TeeMember::new("read", MemoryStore::new()))
        .member(TeeMember::new("picky", picky.clone()).best_effort())
        .build()
        .unwrap();
    picky.set_fault(Some(Fault::RejectsLongText));
    let mut batch = events(64);
    batch[17].details.insert("text".into(), "long ".repeat(100).into());
    tee.append(&batch).await.unwrap();
    until("it is settled", || status(&tee, "picky").behind == 0).await;
    let found = status(&tee, "picky");
    assert_eq!((found.lost, found.lost_ids), (1, vec![batch[17].event_id]));
    assert_eq!(held(&memory).len(), 63);
    // `health` is about the next event, unless it is told to be strict.
    assert!(tee.health().await.is_ok());
    let told = tee.diagnose().await.unwrap();
    let loss = told.iter().find(|one| one.severity == Severity::Warning).unwrap();
    assert!(
        loss.message.contains("picky: 1 acknowledged events are lost")
            && loss.message.contains(&batch[17].event_id.to_string()),
        "{loss:?}"
    );
}

/// Two of three: each of them hangs, dies, fills up and panics, alone and two at a time, under load.
#[tokio::test(start_paused = true)]
async fn two_of_three_is_what_is_declared_under_load() {
    const DEADLINE: Duration = Duration::from_millis(500);
    let faults = [
        Fault::HangsAppend,
        Fault::FailsAppend(StoreErrorKind::Transient),
        Fault::FailsAppend(StoreErrorKind::Permanent),
        Fault::FailsAppend(StoreErrorKind::Corrupt),
        Fault::Panics,
    ];
    for fault in faults {
        for broken in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2], vec![0, 1, 2]] {
            let members: [(FaultyStore, MemoryStore); 3] = std::array::from_fn(|_| faulty());
            let builder = members.iter().enumerate().fold(tee(), |builder, (number, (store, _))| {
                let member =
                    TeeMember::new(format!("m{number}"), store.clone()).timeout(DEADLINE).backlog(500, 1 << 20);
                builder.member(member)
            });
            let tee =
                builder.quorum(Quorum::AtLeast(2.try_into().unwrap())).timeout(Duration::from_secs(2)).build().unwrap();
            let log =
                AuditLog::builder().store(tee.clone()).write_timeout(Duration::from_secs(2)).open().await.unwrap();
            for number in &broken {
                members[*number].0.set_fault(Some(fault));
            }
            let mut kept = Vec::new();
            for _ in 0..5 {
                let begun = Instant::now();
                let records = (0..30).map(|_| log.record(event()));
                let results = futures_util::future::join_all(records).await;
                let is_kept = results.iter().filter(|result| result.is_ok()).count();
                assert_eq!(is_kept, if broken.len() == 1 { 30 } else { 0 }, "{fault:?} of {broken:?}");
                // With one of them broken, nobody waits; with two, at most as long as for any store.
                let limit = if broken.len() == 1 { Duration::ZERO } else { Duration::from_millis(2_100) };
                assert!(begun.elapsed() <= limit, "{fault:?} of {broken:?}: {:?}", begun.elapsed());
                kept.extend(results.into_iter().flatten());
                assert!(tee.members().iter().all(|member| member.behind <= 500), "{:?}", tee.members());
            }
            // Each event that was acknowledged is in two of them.
            for id in kept {
                let copies = members.iter().filter(|(_, memory)| held(memory).contains(&id)).count();
                assert!(copies >= 2, "{fault:?} of {broken:?}: {id} is in {copies}");
            }
            assert_eq!(
                log.health().await.is_ok(),
                broken.len() == 1
                    || matches!(fault, Fault::FailsAppend(StoreErrorKind::Permanent | StoreErrorKind::Corrupt)),
                "{fault:?} of {broken:?}"
            );
            let begun = Instant::now();
            let closed = log.close().await;
            assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
            if fault == Fault::HangsAppend {
                let text = format!("{:?}", closed.unwrap_err());
                let is_named = broken.iter().any(|number| text.contains(&format!("member `m{number}` has not taken")));
                assert!(is_named, "{broken:?}: {text}");
            }
        }
    }
}

/// A member that is healed is counted again, without a restart.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_back_counts_again() {
    let (first, first_memory) = faulty();
    let (second, second_memory) = faulty();
    let tee = tee()
        .member(TeeMember::new("first", first.clone()).timeout(Duration::from_millis(100)))
        .member(TeeMember::new("second", second.clone()).timeout(Duration::from_millis(100)))
        .quorum(Quorum::Any)
        .build()
        .unwrap();
    let mut kept = Vec::new();
    for round in 0..6 {
        let (down, up) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        up.set_fault(None);
        tokio::time::sleep(Duration::from_secs(1)).await;
        down.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
        let batch = events(20);
        tee.append(&batch).await.unwrap();
        kept.extend(ids(&batch));
    }
    first.set_fault(None);
    second.set_fault(None);
    until("both take their backlog", || tee.members().iter().all(|member| member.behind == 0)).await;
    let kept: BTreeSet<EventId> = kept.into_iter().collect();
    assert_eq!((held(&first_memory), held(&second_memory)), (kept.clone(), kept));
}

/// Returns true if a member takes these events.
type TakesFn = dyn Fn(&[AuditEvent]) -> bool + Send + Sync;

/// A member that takes an append if its script says so, and fails for now otherwise.
struct Scripted {
    events: MemoryStore,
    takes: Box<TakesFn>,
}

impl Scripted {
    fn new(takes: impl Fn(&[AuditEvent]) -> bool + Send + Sync + 'static) -> Self {
        Self { events: MemoryStore::new(), takes: Box::new(takes) }
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl AuditStore for Scripted {
    fn capabilities(&self) -> Capabilities {
        self.events.capabilities()
    }

    fn parts(&self) -> tower_audit::store::Parts<'_> {
        self.events.parts()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        if (self.takes)(events) {
            return self.events.append(events);
        }
        let error = StoreError::new(StoreErrorKind::Transient, "scripted", "append");
        Box::pin(std::future::ready(Err(error)))
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.events.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.events.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.events.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.events.close()
    }
}

/// Appends until the tee accepts.
async fn accepted(tee: &TeeStore, event: &AuditEvent) {
    for _ in 0..100 {
        if tee.append(std::slice::from_ref(event)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not accepted within 10 s");
}

/// A failure with which a member's last event was given up keeps no later one away.
#[tokio::test(start_paused = true)]
async fn a_member_that_has_given_its_last_event_up_takes_the_next_one() {
    let (a, b) = (event(), event());
    let [a_id, b_id] = [&a, &b].map(|event| event.event_id);
    let (others, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    // It takes the two after nine others, alone: the first, but not the second. From then on it takes everything.
    let scripted = Scripted::new(move |events| {
        let has = |id: EventId| events.iter().any(|event| event.event_id == id);
        if is_over.load(Ordering::Acquire) {
            return true;
        }
        if !has(a_id) && !has(b_id) {
            others.fetch_add(1, Ordering::AcqRel);
            return true;
        }
        let is_late = others.load(Ordering::Acquire) >= 9;
        is_over.store(is_late && has(b_id), Ordering::Release);
        is_late && !has(b_id)
    });
    let taken = scripted.events.clone();
    let tee = tee().member(TeeMember::new("scripted", scripted)).quorum(Quorum::All).build().unwrap();
    refused(&tee, &[a, b]).await;
    for _ in 0..9 {
        accepted(&tee, &event()).await;
    }
    until("the second is given up", || status(&tee, "scripted").behind == 0).await;
    assert_eq!((held(&taken).contains(&a_id), held(&taken).contains(&b_id)), (true, false));
    tee.append(&[event()]).await.unwrap();
}

/// The tries of an outage are the member's failures, not the event's.
#[tokio::test(start_paused = true)]
async fn an_event_that_failed_in_an_outage_is_not_given_up_after_it() {
    let (a, b) = (event(), event());
    let a_id = a.event_id;
    let (is_away, failures) = (Arc::new(AtomicBool::new(true)), AtomicUsize::new(0));
    let away = Arc::clone(&is_away);
    // After the outage it fails for the first event twice more.
    let scripted = Scripted::new(move |events| {
        let has_first = events.iter().any(|event| event.event_id == a_id);
        !away.load(Ordering::Acquire) && (!has_first || failures.fetch_add(1, Ordering::AcqRel) >= 2)
    });
    let tee = tee()
        .member(TeeMember::new("read", MemoryStore::new()))
        .member(TeeMember::new("scripted", scripted))
        .quorum(Quorum::Any)
        .build()
        .unwrap();
    tee.append(&[a, b]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    is_away.store(false, Ordering::Release);
    until("it has its backlog", || status(&tee, "scripted").behind == 0).await;
    assert_eq!(status(&tee, "scripted").lost, 0, "{:?}", status(&tee, "scripted"));
}

/// A single event that a member never takes, though it may pass, stops nobody for ever.
#[tokio::test(start_paused = true)]
async fn one_event_does_not_stop_the_others_of_a_required_member() {
    let choosy = Scripted::new(|events| events.iter().all(|event| event.event_type != EventType::AUTH));
    let tee = tee().member(TeeMember::new("choosy", choosy).required()).build().unwrap();
    let log = AuditLog::builder().store(tee).open().await.unwrap();
    let refused = log.record(AuditEvent::new(EventType::AUTH)).await;
    assert!(refused.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..20 {
        assert!(log.record(event()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn filters_choose_the_members_of_an_event() {
    let (durable, alarms) = (MemoryStore::new(), Lines::default());
    let build = |unmatched: Unmatched| {
        tee()
            .declare(["orders.get", "orders.create"])
            .member(TeeMember::new("durable", durable.clone()).exclude(["orders.get"]))
            .member(TeeMember::new("alarms", alarms.clone()).required().include(["auth", "orders.get"]))
            .unmatched(unmatched)
            .build()
    };
    let error = build(Unmatched::Refuse).unwrap_err().to_string();
    assert!(error.contains("the declared type `orders.get` too few durable members"), "{error}");
    let tee = build(Unmatched::Discard).unwrap();
    let batch = [
        of_type("orders.get"),
        of_type("orders.create"),
        of_type("auth"),
        of_type("audit.read"),
        of_type("other.type"),
    ];
    tee.append(&batch).await.unwrap();
    let of = |numbers: &[usize]| numbers.iter().map(|number| batch[*number].event_id).collect::<BTreeSet<_>>();
    assert_eq!(held(&durable), of(&[1, 2, 3, 4]));
    assert_eq!(alarms.ids().into_iter().collect::<BTreeSet<_>>(), of(&[0, 2, 3]));
    assert_eq!(tee.discarded(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_durable_member_is_refused_by_name() {
    let (durable, alarms) = (MemoryStore::new(), Lines::default());
    let tee = tee()
        .member(TeeMember::new("durable", durable.clone()).include(["auth"]))
        .member(TeeMember::new("alarms", alarms.clone()))
        .build()
        .unwrap();
    let error = refused(&tee, &[of_type("auth"), of_type("upload")]).await;
    assert_eq!(error.kind(), StoreErrorKind::Permanent);
    assert!(error.to_string().contains("events of the type `upload` too few durable members"), "{error}");
    assert!(held(&durable).is_empty() && alarms.ids().is_empty(), "no member has a part of it");
    // Its batch does not go down with it.
    let log = AuditLog::builder().store(tee).open().await.unwrap();
    let (kept, refused) = tokio::join!(log.record(of_type("auth")), log.record(of_type("upload")));
    assert!(kept.is_ok() && refused.is_err());
}

#[test]
fn what_cannot_work_is_an_error_at_the_start() {
    let memory = || TeeMember::new("memory", MemoryStore::new());
    let lines = || TeeMember::new("lines", Lines::default());
    let three = Quorum::AtLeast(3.try_into().unwrap());
    for (builder, named) in [
        (TeeStore::builder(), "there are 0 members"),
        (TeeStore::builder().member(memory()), "the quorum needs 1 durable members, and 0 count"),
        (tee().member(lines()), "the quorum needs 1 durable members, and 0 count"),
        (tee().member(lines().required()), "the quorum needs 1 durable members, and 0 count"),
        (tee().member(memory().best_effort()), "the quorum needs 1 durable members, and 0 count"),
        (tee().member(memory()).member(lines()).quorum(three), "the quorum needs 3 durable members, and 1 count"),
        (tee().member(memory()).member(memory()), "two members have the name `memory`"),
        (tee().member(TeeMember::new("a b", MemoryStore::new())), "\"a b\" is no name of a member"),
        (tee().member(memory()).member(lines()).read_from("lines"), "the member `lines` (lines) cannot be read"),
        (tee().member(memory()).read_from("other"), "\"other\" is no member: expected one of `memory`"),
        (
            tee().member(memory().include(["order.get"])),
            "member `memory`, filter: `include`: \"order.get\" is no known",
        ),
        (tee().member(memory().exclude(["audit.read"])), "\"audit.read\" is no known event type"),
        (tee().member(memory().include([""; 0])), "neither `include` nor `exclude` has an entry"),
        (tee().member(memory()).declare(["X"]), "`declare`: "),
        (
            (0..17).fold(tee(), |tee, n| tee.member(TeeMember::new(n.to_string(), MemoryStore::new()))),
            "there are 17 members",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains(named), "{error}\n{named}");
    }
    let sinks_count_never = tee().member(memory()).member(lines()).build().unwrap();
    let counted: Vec<bool> = sinks_count_never.members().iter().map(|member| member.is_counted).collect();
    assert_eq!(counted, [true, false]);
    assert!(!sinks_count_never.capabilities().durable);
}

#[tokio::test(start_paused = true)]
async fn health_can_be_about_every_member() {
    for is_strict in [false, true] {
        let (second, _) = faulty();
        let tee = tee()
            .member(TeeMember::new("first", MemoryStore::new()))
            .member(TeeMember::new("second", second.clone()).best_effort().backlog(1, 0))
            .strict_health(is_strict)
            .build()
            .unwrap();
        assert!(tee.health().await.is_ok());
        second.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
        for _ in 0..3 {
            tee.append(&events(2)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let health = tee.health().await;
        assert_eq!(health.is_err(), is_strict, "{health:?}");
        if let Err(error) = health {
            assert!(
                error.to_string().contains("member `second`") && error.to_string().contains("it has lost 4 events"),
                "{error}"
            );
        }
    }
}

/// A caller that goes away leaves an append that goes on, and a repetition that is no second one.
#[tokio::test(start_paused = true)]
async fn an_append_whose_caller_has_gone_is_not_done_twice() {
    let (paused, _) = faulty();
    paused.pause_appends();
    let lines = Lines::default();
    let tee = tee()
        .member(TeeMember::new("paused", paused.clone()))
        .member(TeeMember::new("lines", lines.clone()).required())
        .build()
        .unwrap();
    let batch = events(5);
    let dropped = tokio::time::timeout(Duration::from_millis(10), tee.append(&batch)).await;
    assert!(dropped.is_err());
    paused.resume_appends();
    tee.append(&batch).await.unwrap();
    assert_eq!((lines.ids(), paused.appends()), (ids(&batch), 1));
}

/// Purging takes the copies of every member; one that fails is named, and keeps the others from nothing.
#[tokio::test(start_paused = true)]
async fn a_purge_is_of_every_member() {
    let (read, copy) = (MemoryStore::new(), MemoryStore::new());
    let tee = tee()
        .member(TeeMember::new("read", read.clone()))
        .member(TeeMember::new("copy", copy.clone()))
        .member(TeeMember::new("lines", Lines::default()))
        .build()
        .unwrap();
    let mut old = events(10);
    old.iter_mut().for_each(|event| event.created_at = "2020-01-01T00:00:00Z".parse().unwrap());
    let young = events(2);
    tee.append(&old).await.unwrap();
    tee.append(&young).await.unwrap();
    let admin = tee.parts().admin.unwrap();
    let before = "2021-01-01T00:00:00Z".parse().unwrap();
    let mut deleted = 0;
    loop {
        let outcome = admin.purge(before, 3).await.unwrap();
        deleted += outcome.deleted;
        if !outcome.has_more {
            break;
        }
    }
    assert_eq!((deleted, read.events().len(), copy.events().len()), (10, 2, 2));
    admin.recreate().await.unwrap();
    assert!(read.events().is_empty() && copy.events().is_empty());
}

/// An erasure is one of every member, or not possible at all.
#[tokio::test(start_paused = true)]
async fn an_erasure_is_of_every_member() {
    let (read, copy) = (MemoryStore::new(), MemoryStore::new());
    let build = |more: Option<TeeMember>| {
        let members = tee().member(TeeMember::new("read", read.clone())).member(TeeMember::new("copy", copy.clone()));
        more.into_iter().fold(members, TeeBuilder::member).build().unwrap()
    };
    let tee = build(Some(TeeMember::new("lines", Lines::default())));
    let mut named = event();
    named.actor.user_email = Some("alice@example.org".into());
    tee.append(&[named.clone(), event()]).await.unwrap();
    let erasure = tee.parts().erasure.unwrap();
    let blank = |event: &AuditEvent, _: Option<&tower_audit::store::StoredSeed>| {
        let mut event = event.clone();
        event.actor.user_email = None;
        Some(tower_audit::store::ErasedEvent { event, seed: None })
    };
    assert_eq!(erasure.erase(&[named.event_id], &blank).await.unwrap(), 1);
    erasure.finish().await.unwrap();
    for memory in [&read, &copy] {
        assert!(memory.events().iter().all(|event| event.actor.user_email.is_none()) && memory.events().len() == 2);
    }
    // A member that can be read and cannot erase would keep the name.
    #[derive(Debug)]
    struct Indelible(MemoryStore);

    impl AuditStore for Indelible {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        fn parts(&self) -> tower_audit::store::Parts<'_> {
            tower_audit::store::Parts { erasure: None, ..self.0.parts() }
        }

        fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
            self.0.append(events)
        }

        fn health(&self) -> StoreFuture<'_, ()> {
            self.0.health()
        }

        fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
            self.0.diagnose()
        }

        fn maintain(&self) -> StoreFuture<'_, bool> {
            self.0.maintain()
        }

        fn close(&self) -> StoreFuture<'_, ()> {
            self.0.close()
        }
    }
    assert!(build(Some(TeeMember::new("indelible", Indelible(MemoryStore::new())))).parts().erasure.is_none());
}

/// A store that asks to be maintained after so many events, and counts how often it is.
#[derive(Debug, Clone)]
struct Maintained {
    events: MemoryStore,
    after: Option<usize>,
    times: Arc<AtomicUsize>,
}

impl Maintained {
    fn after(after: Option<usize>) -> Self {
        Self { events: MemoryStore::new(), after, times: Arc::default() }
    }
}

impl AuditStore for Maintained {
    fn capabilities(&self) -> Capabilities {
        let own = self.events.capabilities();
        self.after.map_or(own, |events| own.with_maintenance_after(events))
    }

    fn parts(&self) -> tower_audit::store::Parts<'_> {
        self.events.parts()
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        self.events.append(events)
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.events.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.events.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.times.fetch_add(1, Ordering::AcqRel);
        self.events.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.events.close()
    }
}

/// Under load there is no idle moment: members that need maintenance would never get it.
#[tokio::test]
async fn a_tee_asks_for_maintenance_as_often_as_the_member_that_needs_it_most() {
    for (needs, of_tee) in
        [([None, Some(64), Some(16)], Some(16)), ([Some(64), Some(16), None], Some(16)), ([None; 3], None)]
    {
        let members = needs.map(Maintained::after);
        let builder = members
            .iter()
            .zip(["first", "second", "third"])
            .fold(tee(), |builder, (member, name)| builder.member(TeeMember::new(name, member.clone()).required()));
        let tee = builder.build().unwrap();
        assert_eq!(tee.capabilities().maintenance_after, of_tee, "{needs:?}");
        tee.maintain().await.unwrap();
        assert_eq!(members.map(|member| member.times.load(Ordering::Acquire)), [1; 3]);
    }
}
