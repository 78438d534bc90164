//! One append: given to the members, then decided.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::NAME;
use super::acknowledgement::{Members, Need, Verdict, bit, takers};
use super::delivery::{Delivery, DeliveryWatch, EventFate, Failure};
use super::lane::{Enqueued, Lane, Queued, Role};
use super::lane_worker;
use super::refused_appends::DeliveriesOfEvent;
use super::tee_state::TeeState;
use crate::event::AuditEvent;
use crate::store::{StoreError, StoreErrorKind};

/// Appends events: returns when enough members have acknowledged them, or cannot any more.
pub(super) async fn append(tee: &TeeState, events: &[AuditEvent]) -> Result<(), StoreError> {
    tee.check_open(APPEND)?;
    if events.is_empty() {
        return Ok(());
    }
    let plan = Plan::of(tee, events)?;
    plan.check_obstacles(tee)?;
    plan.give(tee)?.decision().await
}

/// The members that get the events of an append, and the acknowledgements that these need.
struct Plan<'e> {
    events: &'e [AuditEvent],
    /// The members that take each event.
    takers: Vec<Members>,
    needs: Vec<Need>,
    /// The number of events that too few members take.
    discarded: u64,
    /// The earlier deliveries of each event, if it was in a refused append.
    earlier: Vec<Option<DeliveriesOfEvent>>,
    /// The share of each member.
    shares: Vec<Share>,
}

/// The part of one member in an append.
#[derive(Default)]
struct Share {
    /// The indexes of the events that it is given.
    new: Vec<usize>,
    bytes: usize,
    /// Earlier deliveries that are not settled.
    pending: Vec<Arc<Delivery>>,
}

impl<'e> Plan<'e> {
    fn of(tee: &TeeState, events: &'e [AuditEvent]) -> Result<Self, StoreError> {
        let takers: Vec<Members> = events.iter().map(|event| takers(&tee.lanes, &event.event_type)).collect();
        let mut kinds: Vec<(Members, Need)> = Vec::new();
        let mut discarded = 0;
        for (event, takers) in events.iter().zip(&takers) {
            let is_unmatched = tee.routing.need(*takers).is_none();
            discarded += u64::from(is_unmatched);
            if kinds.iter().any(|(known, _)| known == takers) {
                continue;
            }
            let need = tee.routing.need(*takers).or_else(|| tee.routing.need_of_unmatched(*takers));
            kinds.push((*takers, need.ok_or_else(|| unmatched(event))?));
        }
        let mut plan = Self {
            events,
            takers,
            needs: kinds.into_iter().map(|(_, need)| need).collect(),
            discarded,
            earlier: Vec::new(),
            shares: tee.lanes.iter().map(|_| Share::default()).collect(),
        };
        plan.find_earlier(tee);
        plan.share_out();
        Ok(plan)
    }

    fn find_earlier(&mut self, tee: &TeeState) {
        let undecided = tee.undecided();
        if !undecided.is_empty() {
            self.earlier = self.events.iter().map(|event| undecided.get(event.event_id).cloned()).collect();
        }
    }

    fn share_out(&mut self) {
        let Self { events, takers, earlier, shares, .. } = self;
        for (index, (event, takers)) in events.iter().zip(takers).enumerate() {
            let earlier = earlier.get(index).and_then(Option::as_deref).unwrap_or_default();
            for (member, share) in shares.iter_mut().enumerate().filter(|(member, _)| *takers & bit(*member) != 0) {
                let earlier = earlier.get(member).and_then(Option::as_ref);
                match earlier.map(|delivery| (delivery, delivery.fate_of(event.event_id))) {
                    Some((_, EventFate::Accepted)) => {}
                    Some((delivery, EventFate::Pending)) => {
                        if !share.pending.iter().any(|known| Arc::ptr_eq(known, delivery)) {
                            share.pending.push(Arc::clone(delivery));
                        }
                    }
                    Some((_, EventFate::Rejected)) | None => {
                        share.new.push(index);
                        share.bytes += event.weight();
                    }
                }
            }
        }
    }

    /// Refuses the append before a member has any of it, if those that it needs would not take it in time.
    fn check_obstacles(&self, tee: &TeeState) -> Result<(), StoreError> {
        let obstacle = |(lane, share): (&Arc<Lane>, &Share)| {
            (!share.new.is_empty()).then(|| lane.obstacle(share.new.len(), share.bytes)).flatten()
        };
        let failures: Vec<Option<Failure>> = tee.lanes.iter().zip(&self.shares).map(obstacle).collect();
        let failed = members_of(&failures);
        if self.needs.iter().all(|need| need.verdict(0, failed) != Verdict::Refused) {
            return Ok(());
        }
        let error = refusal(tee, &self.needs, &failures, APPEND);
        Err(if self.earlier.iter().any(Option::is_some) { error.partly_stored() } else { error })
    }

    /// Queues the events for the members, for all of them in the same order.
    fn give<'t>(mut self, tee: &'t TeeState) -> Result<Given<'t, 'e>, StoreError> {
        let runtime = Handle::try_current().map_err(|error| {
            StoreError::new(StoreErrorKind::Permanent, NAME, APPEND)
                .with_source(error)
                .with_hint("call it on a tokio runtime")
        })?;
        let shares = std::mem::take(&mut self.shares);
        let mut whole: Option<Arc<[AuditEvent]>> = None;
        let mut given = Vec::with_capacity(shares.len());
        let giving = tee.giving.lock().unwrap_or_else(PoisonError::into_inner);
        for (lane, share) in tee.lanes.iter().zip(shares) {
            let mut watches: Vec<DeliveryWatch> = share.pending.iter().map(|delivery| delivery.watch()).collect();
            let mut new = None;
            if !share.new.is_empty() {
                let delivery = Arc::new(Delivery::default());
                watches.push(delivery.watch());
                let events = if share.new.len() == self.events.len() {
                    Arc::clone(whole.get_or_insert_with(|| self.events.into()))
                } else {
                    share.new.iter().filter_map(|index| self.events.get(*index).cloned()).collect()
                };
                let queued = Queued { events, bytes: share.bytes, delivery: Arc::clone(&delivery) };
                match lane.enqueue(queued) {
                    Enqueued::StartsWorker => _ = runtime.spawn(lane_worker::run(Arc::clone(lane))),
                    Enqueued::Queued => {}
                    Enqueued::Full => {
                        let failure = lane.full();
                        for event in share.new.iter().filter_map(|index| self.events.get(*index)) {
                            delivery.reject(event.event_id, &failure);
                        }
                        delivery.settle();
                    }
                }
                new = Some(NewDelivery { delivery, events: share.new });
            }
            given.push(GivenTo { pending: share.pending, new, watches });
        }
        drop(giving);
        Ok(Given { tee, plan: self, to: given, is_decided: false })
    }
}

/// An append that the members have.
struct Given<'t, 'e> {
    tee: &'t TeeState,
    plan: Plan<'e>,
    to: Vec<GivenTo>,
    is_decided: bool,
}

/// The deliveries of one member that hold the events of an append.
struct GivenTo {
    pending: Vec<Arc<Delivery>>,
    new: Option<NewDelivery>,
    watches: Vec<DeliveryWatch>,
}

struct NewDelivery {
    delivery: Arc<Delivery>,
    /// The indexes of its events, ascending.
    events: Vec<usize>,
}

impl Given<'_, '_> {
    /// Waits until the append is decided.
    async fn decision(mut self) -> Result<(), StoreError> {
        let Self { tee, plan, to, .. } = &mut self;
        let events = plan.events;
        let mut answers: FuturesUnordered<_> = tee
            .lanes
            .iter()
            .zip(to.iter_mut())
            .enumerate()
            .map(|(member, (lane, given))| async move { (member, answer(lane, &mut given.watches, events).await) })
            .collect();
        let mut failures: Vec<Option<Failure>> = vec![None; tee.lanes.len()];
        let mut acknowledged: Members = 0;
        let is_acknowledged = loop {
            let failed = members_of(&failures);
            let verdicts = || plan.needs.iter().map(|need| need.verdict(acknowledged, failed));
            if verdicts().any(|verdict| verdict == Verdict::Refused) {
                break false;
            }
            if verdicts().all(|verdict| verdict == Verdict::Acknowledged) {
                break true;
            }
            match pin!(answers.next()).await {
                Some((member, Ok(()))) => acknowledged |= bit(member),
                Some((member, Err(failure))) => {
                    if let Some(slot) = failures.get_mut(member) {
                        *slot = Some(failure);
                    }
                }
                // Each need is decided when each member has answered.
                None => break false,
            }
        };
        drop(answers);
        if is_acknowledged {
            self.acknowledge();
            return Ok(());
        }
        Err(refusal(self.tee, &self.plan.needs, &failures, APPEND).partly_stored())
    }

    /// Notes the acknowledgement: what a member has refused, or has yet to refuse, is lost.
    fn acknowledge(&mut self) {
        self.is_decided = true;
        let Self { tee, plan, to, .. } = self;
        if plan.discarded > 0 {
            tee.discarded.fetch_add(plan.discarded, Ordering::Relaxed);
        }
        for (lane, given) in tee.lanes.iter().zip(to) {
            for delivery in given.pending.iter().chain(given.new.as_ref().map(|new| &new.delivery)) {
                let lost = delivery.acknowledge();
                if !lost.is_empty() {
                    lane.lose(&lost, &delivery.reason());
                }
            }
        }
        if plan.earlier.iter().any(Option::is_some) {
            let mut undecided = tee.undecided();
            plan.events.iter().for_each(|event| undecided.remove(event.event_id));
        }
    }
}

/// Remembers, of an append that is not acknowledged, the members that have each event. So it does for one whose caller has gone.
impl Drop for Given<'_, '_> {
    fn drop(&mut self) {
        if self.is_decided {
            return;
        }
        let Self { tee, plan, to, .. } = self;
        let mut undecided = tee.undecided();
        for (index, event) in plan.events.iter().enumerate() {
            let earlier = plan.earlier.get(index).and_then(Option::as_deref).unwrap_or_default();
            let delivery_of = |(member, given): (usize, &GivenTo)| {
                let is_new = |new: &&NewDelivery| new.events.binary_search(&index).is_ok();
                let new = given.new.as_ref().filter(is_new).map(|new| Arc::clone(&new.delivery));
                new.or_else(|| earlier.get(member).cloned().flatten())
            };
            undecided.insert(event.event_id, to.iter().enumerate().map(delivery_of).collect());
        }
    }
}

/// Waits for the answer of a member, within its timeout.
async fn answer(lane: &Lane, watches: &mut [DeliveryWatch], events: &[AuditEvent]) -> Result<(), Failure> {
    let all = async {
        for watch in watches {
            watch.outcome(events).await?;
        }
        Ok(())
    };
    match timeout(lane.timeout, all).await {
        Ok(result) => result,
        Err(_) => Err(Failure::transient(format!("it has not answered within {} ms", lane.timeout.as_millis()))),
    }
}

/// Returns the members that have failed.
pub(super) fn members_of(failures: &[Option<Failure>]) -> Members {
    let failed = failures.iter().enumerate().filter(|(_, failure)| failure.is_some());
    failed.fold(0, |members, (member, _)| members | bit(member))
}

/// Returns the error of an operation that too many members have failed, with the failures that count.
pub(super) fn refusal(
    tee: &TeeState,
    needs: &[Need],
    failures: &[Option<Failure>],
    operation: &'static str,
) -> StoreError {
    let failed = members_of(failures);
    let refused: Vec<&Need> = needs.iter().filter(|need| need.verdict(0, failed) == Verdict::Refused).collect();
    let reasons: Vec<(&Lane, &Failure)> = tee
        .lanes
        .iter()
        .zip(failures)
        .enumerate()
        .filter(|(member, _)| refused.iter().any(|need| need.concerns(*member)))
        .filter_map(|(_, (lane, failure))| Some((&**lane, failure.as_ref()?)))
        .collect();
    // Another try helps only if it helps one of those that failed.
    let is_required = |lane: &Lane| lane.role == Role::Required;
    let for_good = reasons.iter().find(|(lane, failure)| is_required(lane) && !failure.is_transient());
    let transient = reasons.iter().find(|(_, failure)| failure.is_transient());
    let kind = for_good.or(transient).or(reasons.first()).map_or(StoreErrorKind::Transient, |(_, it)| it.kind);
    let words = |(lane, failure): &(&Lane, &Failure)| {
        let role = if is_required(lane) { "required member" } else { "member" };
        format!("{role} `{}`: {}", lane.name, failure.text)
    };
    let hint = reasons.iter().map(words).collect::<Vec<_>>().join("; ");
    StoreError::new(kind, NAME, operation).with_hint(hint)
}

fn unmatched(event: &AuditEvent) -> StoreError {
    StoreError::new(StoreErrorKind::Permanent, NAME, APPEND).with_hint(format!(
        "the filters leave events of the type `{}` too few durable members: let one take them, leave them out by the filter of the \
         policy, or have them discarded with `unmatched`",
        event.event_type
    ))
}

const APPEND: &str = "append";
