//! A roll call: which layers of ours are around a route of an app?
//!
//! A router copies or makes the services around a route for every request, before it calls any of them. So the services
//! of ours that are copied or made while it is handed a request, whose future is not polled, are those around the route
//! of this request. Nothing has been called by then: no handler, and no layer of anybody.
//!
//! Outside of a roll call this costs a service that is copied one look at a flag of its thread.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use crate::capture::{Shared, StandsIn};
use crate::policy::AuditPolicy;

thread_local! {
    static IS_CALLED: Cell<bool> = const { Cell::new(false) };
    static ROLL: RefCell<Option<Roll>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Roll {
    present: Vec<Present>,
    sightings: Option<Arc<Sightings>>,
}

/// A layer that is around a route.
#[derive(Clone)]
pub(crate) struct Present(Option<Arc<Shared>>);

impl Present {
    /// What it records; none if its log is off.
    pub(crate) fn policy(&self) -> Option<&AuditPolicy> {
        self.0.as_ref().map(|shared| &shared.policy)
    }

    /// Whether this is the same layer, in whatever place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// The layers whose services `hand_over` copies or makes on this thread, the innermost first.
pub(crate) fn present<T>(hand_over: impl FnOnce() -> T) -> Vec<Present> {
    call(Roll::default(), hand_over).1.present
}

/// The services that `hand_over` copies or makes on this thread stand in for the real ones: called, they write down
/// which path they see. The innermost of them never answers, so that nothing behind it is called.
pub(crate) fn stand_ins<T>(hand_over: impl FnOnce() -> T) -> (T, Arc<Sightings>) {
    let sightings = Arc::<Sightings>::default();
    let (handed_over, _) = call(Roll { present: Vec::new(), sightings: Some(sightings.clone()) }, hand_over);
    (handed_over, sightings)
}

fn call<T>(roll: Roll, hand_over: impl FnOnce() -> T) -> (T, Roll) {
    /// Ends the roll call, even by a panic.
    struct Called;

    impl Drop for Called {
        fn drop(&mut self) {
            IS_CALLED.set(false);
        }
    }

    ROLL.set(Some(roll));
    IS_CALLED.set(true);
    let called = Called;
    let handed_over = hand_over();
    drop(called);
    (handed_over, ROLL.take().unwrap_or_default())
}

/// Answers a roll call, if there is one, and returns what the service is to do.
#[inline]
pub(super) fn answer(shared: Option<Arc<Shared>>) -> Option<Arc<Shared>> {
    if IS_CALLED.get() { answer_now(shared) } else { shared }
}

#[cold]
fn answer_now(shared: Option<Arc<Shared>>) -> Option<Arc<Shared>> {
    ROLL.with_borrow_mut(|roll| {
        let Some(roll) = roll else { return shared };
        let is_innermost = roll.present.iter().all(|other| other.0.is_none());
        roll.present.push(Present(shared.clone()));
        let (Some(sightings), Some(real)) = (&roll.sightings, &shared) else { return shared };
        let stand_in = StandIn { present: Present(shared.clone()), is_innermost, sightings: Arc::clone(sightings) };
        Some(Arc::new(real.replaced_by(Box::new(stand_in))))
    })
}

/// Which paths were seen by which layers.
#[derive(Default)]
pub(crate) struct Sightings(Mutex<(Vec<(Present, String)>, bool)>);

impl Sightings {
    /// What was seen, by the outermost layer first.
    pub(crate) fn seen(&self) -> Vec<(Present, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Whether the innermost layer has seen one.
    pub(crate) fn are_complete(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Stands in for the service of a layer.
struct StandIn {
    present: Present,
    is_innermost: bool,
    sightings: Arc<Sightings>,
}

impl StandsIn for StandIn {
    fn sees(&self, path: &str) -> bool {
        let mut sightings = self.sightings.0.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.0.push((self.present.clone(), path.to_owned()));
        sightings.1 |= self.is_innermost;
        !self.is_innermost
    }
}
