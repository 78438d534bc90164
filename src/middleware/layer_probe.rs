//! A probe: finds the audit layers around a route of an app.
//!
//! A router clones or makes the services around a route for every request, before it calls any of them. So the audit
//! services that are cloned or made while the router is given a request are those around the route of this request. The
//! router's future is not polled, so no handler and no other layer is called.
//!
//! Outside of a probe, a clone of a service reads one flag of its thread.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError};

use crate::capture::{LayerState, ProbeStandIn};
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
pub(crate) struct ProbedLayer(Option<Arc<LayerState>>);

impl ProbedLayer {
    /// The policy; none if its log is off.
    pub(crate) fn policy(&self) -> Option<&AuditPolicy> {
        self.0.as_ref().map(|shared| &shared.policy)
    }

    /// Returns true for clones of one layer, wherever they are.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// The layers whose services `hand_over` clones or makes on this thread, the innermost first.
pub(crate) fn layers_of<T>(hand_over: impl FnOnce() -> T) -> Vec<ProbedLayer> {
    call(ProbeCall::default(), hand_over).1.present
}

/// Makes the services that `hand_over` clones or makes on this thread stand-ins. A stand-in that is called records the path
/// of the request. The innermost one never answers, so that nothing behind it is called.
pub(crate) fn with_stand_ins<T>(hand_over: impl FnOnce() -> T) -> (T, Arc<ObservedPaths>) {
    let sightings = Arc::<ObservedPaths>::default();
    let (handed_over, _) = call(ProbeCall { present: Vec::new(), sightings: Some(sightings.clone()) }, hand_over);
    (handed_over, sightings)
}

fn call<T>(probe: ProbeCall, hand_over: impl FnOnce() -> T) -> (T, ProbeCall) {
    /// Ends the probe, even by a panic.
    struct Called;

    impl Drop for Called {
        fn drop(&mut self) {
            IS_CALLED.set(false);
        }
    }

    ROLL.set(Some(probe));
    IS_CALLED.set(true);
    let called = Called;
    let handed_over = hand_over();
    drop(called);
    (handed_over, ROLL.take().unwrap_or_default())
}

/// Registers a service with the probe of this thread, if there is one. Returns the configuration that the service uses.
#[inline]
pub(super) fn reply(shared: Option<Arc<LayerState>>) -> Option<Arc<LayerState>> {
    if IS_CALLED.get() { reply_now(shared) } else { shared }
}

#[cold]
fn reply_now(shared: Option<Arc<LayerState>>) -> Option<Arc<LayerState>> {
    ROLL.with_borrow_mut(|probe| {
        let Some(probe) = probe else { return shared };
        let is_innermost = probe.present.iter().all(|other| other.0.is_none());
        probe.present.push(ProbedLayer(shared.clone()));
        let (Some(sightings), Some(real)) = (&probe.sightings, &shared) else { return shared };
        let stand_in = StandIn { present: ProbedLayer(shared.clone()), is_innermost, sightings: Arc::clone(sightings) };
        Some(Arc::new(real.replaced_by(Box::new(stand_in))))
    })
}

/// The paths that layers have seen.
#[derive(Default)]
pub(crate) struct ObservedPaths(Mutex<(Vec<(ProbedLayer, String)>, bool)>);

impl ObservedPaths {
    /// Each layer with the path it has seen, the outermost first.
    pub(crate) fn paths(&self) -> Vec<(ProbedLayer, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Returns true if the innermost layer has seen a path.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Takes the place of a layer's service.
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
