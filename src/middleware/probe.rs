//! A roll call: which layers of ours are around a route of an app?
//!
//! A router copies or makes the services around a route for every request, before it calls any of them. So the services
//! of ours that are copied or made while it is handed a request, whose future is not polled, are those around the route
//! of this request. Nothing has been called by then: no handler, and no layer of anybody.
//!
//! Outside of a roll call this costs a service that is copied one look at a flag of its thread.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use crate::capture::{LayerConfig, ProbeStandIn};
use crate::policy::AuditPolicy;

thread_local! {
    static IS_CALLED: Cell<bool> = const { Cell::new(false) };
    static ROLL: RefCell<Option<ProbeCall>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct ProbeCall {
    present: Vec<ProbedLayer>,
    sightings: Option<Arc<ObservedPaths>>,
}

/// A layer that is around a route.
#[derive(Clone)]
pub(crate) struct ProbedLayer(Option<Arc<LayerConfig>>);

impl ProbedLayer {
    /// What it records; none if its log is off.
    pub(crate) fn policy(&self) -> Option<&AuditPolicy> {
        self.0.as_ref().map(|shared| &shared.policy)
    }

    /// Whether this is the same layer, in whatever place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// The layers whose services `probe_future` copies or makes on this thread, the innermost first.
pub(crate) fn layers_of<T>(hand_over: impl FnOnce() -> T) -> Vec<ProbedLayer> {
    call(ProbeCall::default(), hand_over).1.present
}

/// The services that `probe_future` copies or makes on this thread stand in for the real ones: called, they write down
/// which path they see. The innermost of them never answers, so that nothing behind it is called.
pub(crate) fn with_stand_ins<T>(hand_over: impl FnOnce() -> T) -> (T, Arc<ObservedPaths>) {
    let sightings = Arc::<ObservedPaths>::default();
    let (handed_over, _) = call(ProbeCall { present: Vec::new(), sightings: Some(sightings.clone()) }, hand_over);
    (handed_over, sightings)
}

fn call<T>(roll: ProbeCall, hand_over: impl FnOnce() -> T) -> (T, ProbeCall) {
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
pub(super) fn reply(shared: Option<Arc<LayerConfig>>) -> Option<Arc<LayerConfig>> {
    if IS_CALLED.get() { reply_now(shared) } else { shared }
}

#[cold]
fn reply_now(shared: Option<Arc<LayerConfig>>) -> Option<Arc<LayerConfig>> {
    ROLL.with_borrow_mut(|roll| {
        let Some(roll) = roll else { return shared };
        let is_innermost = roll.present.iter().all(|other| other.0.is_none());
        roll.present.push(ProbedLayer(shared.clone()));
        let (Some(sightings), Some(real)) = (&roll.sightings, &shared) else { return shared };
        let stand_in = StandIn { present: ProbedLayer(shared.clone()), is_innermost, sightings: Arc::clone(sightings) };
        Some(Arc::new(real.replaced_by(Box::new(stand_in))))
    })
}

/// Which paths were seen by which layers.
#[derive(Default)]
pub(crate) struct ObservedPaths(Mutex<(Vec<(ProbedLayer, String)>, bool)>);

impl ObservedPaths {
    /// What was seen, by the outermost layer first.
    pub(crate) fn paths(&self) -> Vec<(ProbedLayer, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Whether the innermost layer has seen one.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Stands in for the service of a layer.
struct StandIn {
    present: ProbedLayer,
    is_innermost: bool,
    sightings: Arc<ObservedPaths>,
}

impl ProbeStandIn for StandIn {
    fn observe(&self, path: &str) -> bool {
        let mut sightings = self.sightings.0.lock().unwrap_or_else(PoisonError::into_inner);
        sightings.0.push((self.present.clone(), path.to_owned()));
        sightings.1 |= self.is_innermost;
        !self.is_innermost
    }
}
