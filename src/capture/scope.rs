//! Which audited request the current thread is working on.
//!
//! A layer that put its context into the extensions of every request would allocate for each of them. So an outer layer
//! opens a scope around each poll of the inner service instead; a context is made when somebody in there asks for one.

use std::cell::Cell;
use std::sync::Arc;

use super::{AuditContext, Shared};

thread_local! {
    static CURRENT: Cell<Slot> = const { Cell::new(Slot::Outside) };
}

/// Identifies a log among those of a process. An address: unique while the log lives, and that is as long as it matters.
pub(crate) type LogId = usize;

/// What a layer has opened around the current poll. Always of the same size: it moves with every poll.
#[derive(Debug, Default)]
pub(crate) enum Slot {
    /// No layer.
    #[default]
    Outside,
    /// A layer, and nobody has asked for a context yet.
    Vacant(Arc<Shared>),
    /// A layer and its context.
    Held(AuditContext),
}

/// An open scope. Dropped, it restores what was there before.
pub(crate) struct Entered {
    before: Slot,
}

/// Opens a scope.
#[inline]
pub(crate) fn enter(slot: Slot) -> Entered {
    Entered { before: CURRENT.with(|current| current.replace(slot)) }
}

impl Entered {
    /// Ends the scope and returns what has become of its slot.
    #[inline]
    pub(crate) fn leave(mut self) -> Slot {
        let before = std::mem::take(&mut self.before);
        let after = CURRENT.with(|current| current.replace(before));
        std::mem::forget(self);
        after
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let before = std::mem::take(&mut self.before);
        CURRENT.with(|current| current.replace(before));
    }
}

/// The context of the innermost scope, made now if there is none yet.
pub(crate) fn current() -> Option<AuditContext> {
    CURRENT.with(|current| {
        let context = match current.take() {
            Slot::Outside => return None,
            Slot::Held(context) => context,
            Slot::Vacant(shared) => AuditContext::new(shared, None),
        };
        current.set(Slot::Held(context.clone()));
        Some(context)
    })
}

/// Whether the innermost scope is one of this log.
#[inline]
pub(crate) fn is_within(log: LogId) -> bool {
    CURRENT.with(|current| {
        let slot = current.take();
        let is_within = match &slot {
            Slot::Outside => return false,
            Slot::Vacant(outer) => outer.log_id == log,
            Slot::Held(context) => context.is_of(log),
        };
        current.set(slot);
        is_within
    })
}
