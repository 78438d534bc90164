//! The scopes of the requests that the current thread is polling, one within the other.
//!
//! A context in the extensions of every request would be an allocation for each of them. So a layer opens a scope around
//! each poll of the inner service instead, and the context is made when it is asked for.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::Request;

use super::audit_context::AuditContext;
use super::head_pool::KeptHead;
use super::layer_state::LayerState;
use super::request_target::first_value;
use crate::writer::LogId;

thread_local! {
    /// The innermost scope.
    static CURRENT: Cell<Scope> = const { Cell::new(Scope::Outside) };
    /// The scopes around it, the outermost first.
    static AROUND: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

/// The contents of a scope. Always of the same size: it moves with every poll.
#[derive(Debug, Default)]
pub(crate) enum Scope {
    /// No layer.
    #[default]
    Outside,
    /// A layer whose context has not been asked for.
    Vacant(LayerScope),
    /// A layer and its context. Without a fingerprint, only the extensions of the request lead to it.
    Held(AuditContext, RequestFingerprint),
}

/// Small enough to be moved in two registers.
const _: () = assert!(size_of::<Scope>() <= 32);

/// A layer around a request that no rule names.
#[derive(Debug)]
pub(crate) struct LayerScope {
    pub(crate) shared: Arc<LayerState>,
    fingerprint: RequestFingerprint,
    /// The context around, if it came with the request. Boxed, for it is rare.
    around: Option<Box<AuditContext>>,
    /// A layer nearer to the handler has its own limit of results.
    pub(crate) is_limited_within: bool,
}

/// Tells a request from others that its handler sends: a hash of its method and the address of its target. All requests
/// share the address of the target `/`, so for that it is the address of the first header. Clones of a request have the
/// same fingerprint, and the [`KeptHead`] keeps the address in use.
///
/// The last byte is the number of the extensions: layers in between add some, and a request that is made of the target
/// and the headers of another one begins with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestFingerprint(u64);

impl RequestFingerprint {
    /// Equal to no fingerprint.
    pub(crate) const NONE: Self = Self(0);

    /// The fingerprint of a request. `target`: as the client sent it.
    #[inline]
    pub(crate) fn of<B>(request: &Request<B>, target: &str) -> Self {
        let place = match target {
            "/" => first_value(request.headers()).map(|value| value.as_bytes().as_ptr()),
            "" | "*" => None,
            target => Some(target.as_ptr()),
        };
        let Some(place) = place else { return Self::NONE };
        let mut name = [0; 8];
        for (to, from) in name.iter_mut().zip(request.method().as_str().bytes()) {
            *to = from;
        }
        let mixed = (place.addr() as u64 ^ (target.len() as u64).rotate_right(16)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let extensions = request.extensions().len().min(0xff) as u64;
        Self(((mixed ^ u64::from_le_bytes(name)) & !0xff).max(0x100) | extensions)
    }

    /// Returns true if `inner`, the fingerprint of a request further in, may be of the same request.
    fn is_around(self, inner: Self) -> bool {
        self != Self::NONE && self.0 & !0xff == inner.0 & !0xff && self.0 & 0xff <= inner.0 & 0xff
    }
}

impl Scope {
    pub(crate) fn vacant(
        shared: &Arc<LayerState>,
        fingerprint: RequestFingerprint,
        around: Option<AuditContext>,
    ) -> Self {
        Self::Vacant(LayerScope {
            shared: Arc::clone(shared),
            fingerprint,
            around: around.map(Box::new),
            is_limited_within: false,
        })
    }

    fn fingerprint(&self) -> RequestFingerprint {
        match self {
            Self::Outside => RequestFingerprint::NONE,
            Self::Vacant(vacant) => vacant.fingerprint,
            Self::Held(_, fingerprint) => *fingerprint,
        }
    }
}

impl LayerScope {
    /// Returns true if an event type was declared to a layer of another log around the same request.
    pub(crate) fn is_declared_around(&self) -> bool {
        let log = self.shared.log_id;
        match &self.around {
            Some(around) => around.declared_for(log),
            None => innermost(|slot| match slot {
                Scope::Held(around, fingerprint) => fingerprint.is_around(self.fingerprint) && around.declared_for(log),
                _ => false,
            }),
        }
    }

    /// Makes the context of this scope, which the thread has left or is about to enter.
    pub(crate) fn into_context(self, head: Option<KeptHead>) -> AuditContext {
        let Self { shared, fingerprint, around, is_limited_within } = self;
        let around = around.map(|around| *around).or_else(|| current_if(fingerprint));
        let context = AuditContext::unmatched(shared, around.as_ref(), head);
        if is_limited_within {
            context.mark_limited();
        }
        context
    }
}

/// An open scope. Dropped, it restores what was there before.
pub(crate) struct ScopeGuard {
    is_within: bool,
}

/// Opens a scope.
#[inline]
pub(crate) fn enter(slot: Scope) -> ScopeGuard {
    let before = CURRENT.with(|current| current.replace(slot));
    let is_within = !matches!(before, Scope::Outside);
    if is_within {
        AROUND.with_borrow_mut(|around| around.push(before));
    }
    ScopeGuard { is_within }
}

impl ScopeGuard {
    /// Ends the scope and returns its slot.
    #[inline]
    pub(crate) fn leave(self) -> Scope {
        let after = self.restore();
        std::mem::forget(self);
        after
    }

    #[inline]
    fn restore(&self) -> Scope {
        let before = if self.is_within { AROUND.with_borrow_mut(Vec::pop) } else { None };
        CURRENT.with(|current| current.replace(before.unwrap_or_default()))
    }
}

impl Drop for ScopeGuard {
    #[inline]
    fn drop(&mut self) {
        drop(self.restore());
    }
}

impl AuditContext {
    /// The context of the request that the current task is handling, if a layer is around it.
    ///
    /// Found while the handler's future is polled; a task that the handler spawns takes a clone with it.
    pub fn current() -> Option<Self> {
        current()
    }
}

/// The context of the innermost scope, made now if there is none yet.
pub(crate) fn current() -> Option<AuditContext> {
    let (context, fingerprint) = match CURRENT.with(Cell::take) {
        Scope::Outside => return None,
        Scope::Held(context, fingerprint) => (context, fingerprint),
        Scope::Vacant(vacant) => {
            let fingerprint = vacant.fingerprint;
            (within_the_next(|| vacant.into_context(None)), fingerprint)
        }
    };
    CURRENT.with(|current| current.set(Scope::Held(context.clone(), fingerprint)));
    Some(context)
}

/// The context of the innermost scope, if it is that of this request.
fn current_if(fingerprint: RequestFingerprint) -> Option<AuditContext> {
    if is_innermost(fingerprint) { current() } else { None }
}

/// Returns true if the innermost scope is of this request.
#[inline]
pub(crate) fn is_innermost(fingerprint: RequestFingerprint) -> bool {
    innermost(|slot| slot.fingerprint().is_around(fingerprint))
}

/// Runs `f` outside of the innermost scope, whose slot was taken out.
fn within_the_next<T>(f: impl FnOnce() -> T) -> T {
    let Some(next) = AROUND.with_borrow_mut(Vec::pop) else { return f() };
    CURRENT.with(|current| current.set(next));
    let result = f();
    let next = CURRENT.with(Cell::take);
    AROUND.with_borrow_mut(|around| around.push(next));
    result
}

/// Calls `look` with the innermost slot.
#[inline]
fn innermost<T>(look: impl FnOnce(&mut Scope) -> T) -> T {
    CURRENT.with(|current| {
        let mut slot = current.take();
        let seen = look(&mut slot);
        current.set(slot);
        seen
    })
}

/// Returns true if the rules of a layer of this log around the request name it, by the scopes from the innermost on.
/// `limits`: the calling layer has its own limit of results, in place of the nearest layer's of its log.
pub(crate) fn is_named(fingerprint: RequestFingerprint, log: LogId, mut limits: bool) -> bool {
    let mut look = |slot: &mut Scope| {
        if !slot.fingerprint().is_around(fingerprint) {
            return Some(false);
        }
        match slot {
            Scope::Outside => Some(false),
            Scope::Vacant(vacant) => {
                if vacant.shared.log_id == log {
                    vacant.is_limited_within |= std::mem::take(&mut limits);
                }
                vacant.around.as_ref().map(|around| around.is_named_around(log, limits))
            }
            Scope::Held(context, _) => Some(context.is_named_around(log, limits)),
        }
    };
    let innermost = innermost(&mut look);
    innermost.or_else(|| AROUND.with_borrow_mut(|around| around.iter_mut().rev().find_map(look))).unwrap_or(false)
}
