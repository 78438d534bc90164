//! The access of the suite to a store under test.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::faulty_store::FaultyStore;
use crate::store::AuditStore;

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Make<T> = Arc<dyn Fn() -> Task<T> + Send + Sync>;

/// Opens the store under test for the checks of the suite.
#[derive(Clone)]
pub struct Harness {
    open: Make<FreshStore>,
    lacks: Vec<Need>,
    exceptions: Vec<&'static str>,
    total: usize,
    timeout: Duration,
    /// A store that was opened to see its parts, for the first call of [`fresh`](Self::fresh).
    opened: Arc<Mutex<Option<FreshStore>>>,
}

impl Harness {
    /// `open` opens a new, empty store each time it is called, in a place of its own (a directory, a schema), so that
    /// checks can run at the same time.
    pub fn new<F, Fut>(open: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = FreshStore> + Send + 'static,
    {
        Self {
            open: Arc::new(move || Box::pin(open())),
            lacks: Vec::new(),
            exceptions: Vec::new(),
            total: 10_000,
            timeout: Duration::from_secs(120),
            opened: Arc::default(),
        }
    }

    /// Admits that the store has no such parts: the checks that need one of them are skipped. Any other skip fails.
    #[must_use]
    pub fn without(mut self, needs: &[Need]) -> Self {
        self.lacks.extend_from_slice(needs);
        self
    }

    /// Admits that the store fails a check, as its page says: the check is skipped.
    #[must_use]
    pub fn except(mut self, check: &'static str) -> Self {
        self.exceptions.push(check);
        self
    }

    /// Sets the number of events that the capacity checks append: 10,000 by default. Choose it so that internal
    /// thresholds of the store are crossed. A slow server has fewer: the check with random filters then tries fewer, too.
    #[must_use]
    pub fn with_event_count(mut self, events: usize) -> Self {
        self.total = events;
        self
    }

    /// Sets the timeout of a check: two minutes by default. A check that times out fails.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Wraps every fresh store with `wrap`.
    #[must_use]
    pub fn wrapped<F>(mut self, wrap: F) -> Self
    where
        F: Fn(FreshStore) -> FreshStore + Send + Sync + 'static,
    {
        let open = self.open;
        let wrap = Arc::new(wrap);
        self.open = Arc::new(move || {
            let (opening, wrap) = (open(), wrap.clone());
            Box::pin(async move { wrap(opening.await) })
        });
        self.opened = Arc::default();
        self
    }

    /// Sets a fault in every fresh store and in its other handles.
    #[must_use]
    pub fn with_fault(self, fault: Option<Fault>) -> Self {
        self.wrapped(move |fresh| {
            let faulty = FaultyStore::new(fresh.store);
            faulty.set_fault(fault);
            // Not a clone: it would keep the first handle alive.
            let another = faulty.handle_maker();
            FreshStore { store: Arc::new(faulty), backing: fresh.backing.handles_in(another) }
        })
    }

    pub(super) async fn fresh(&self) -> FreshStore {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        match opened {
            Some(fresh) => fresh,
            None => (self.open)().await,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The number of random filters to try: at most one for eight events.
    pub(super) fn rounds(&self, most: usize) -> usize {
        most.min(self.total / 8)
    }

    pub(super) fn lacks(&self, need: Need) -> bool {
        self.lacks.contains(&need)
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("lacks", &self.lacks).field("total", &self.total).finish_non_exhaustive()
    }
}

/// A store that was just opened and is empty, and the backing it stands on.
#[derive(Debug)]
#[non_exhaustive]
pub struct FreshStore {
    /// The store.
    pub store: Arc<dyn AuditStore>,
    /// The part that outlives the store.
    pub backing: Backing,
}

impl FreshStore {
    /// This store, which cannot be opened a second time.
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self { store, backing: Backing { reopen: None, keep: Vec::new() } }
    }

    /// Sets a function that opens another handle on the same events. It must not keep the first handle alive.
    #[must_use]
    pub fn reopened_by<F, Fut>(mut self, reopen: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Arc<dyn AuditStore>> + Send + 'static,
    {
        self.backing.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// Keeps `thing` alive as long as the check: a temporary directory, a schema.
    #[must_use]
    pub fn owning(mut self, thing: impl Any + Send + Sync) -> Self {
        self.backing.keep.push(Box::new(thing));
        self
    }
}

/// The part that outlives a dropped store: the place of its events, and a function that opens it again.
pub struct Backing {
    reopen: Option<Make<Arc<dyn AuditStore>>>,
    keep: Vec<Box<dyn Any + Send + Sync>>,
}

impl Backing {
    /// Another handle on the same events.
    pub(super) async fn reopen(&self) -> Arc<dyn AuditStore> {
        let reopen = self.reopen.as_ref().expect("the check said that it needs a second handle");
        reopen().await
    }

    fn handles_in<S: AuditStore>(mut self, wrap: impl Fn(Arc<dyn AuditStore>) -> S + Send + Sync + 'static) -> Self {
        let wrap = Arc::new(wrap);
        self.reopen = self.reopen.map(|reopen| -> Make<Arc<dyn AuditStore>> {
            Arc::new(move || {
                let (opening, wrap) = (reopen(), wrap.clone());
                Box::pin(async move { Arc::new(wrap(opening.await)) as Arc<dyn AuditStore> })
            })
        });
        self
    }
}

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backing").field("can_reopen", &self.reopen.is_some()).finish_non_exhaustive()
    }
}

/// A requirement of a check beyond appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// The store can be read.
    Reader,
    /// The store can be provisioned and purged.
    Admin,
    /// Single events can be deleted.
    Removal,
    /// The store finds the `started` events of dead processes.
    OrphanRecovery,
    /// Leaves and checkpoints can be kept beside the events.
    Sealing,
    /// Values of events can be erased.
    Erasure,
    /// A second handle can be opened on the same events.
    SecondHandle,
}

impl Need {
    fn is_met(self, fresh: &FreshStore) -> bool {
        match self {
            Self::Reader => fresh.store.parts().reader.is_some(),
            Self::Admin => fresh.store.parts().admin.is_some(),
            Self::Removal => fresh.store.parts().removal.is_some(),
            Self::OrphanRecovery => fresh.store.parts().recovery.is_some(),
            Self::Sealing => fresh.store.parts().sealing.is_some(),
            Self::Erasure => fresh.store.parts().erasure.is_some(),
            Self::SecondHandle => fresh.backing.reopen.is_some(),
        }
    }
}

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    pub(super) name: &'static str,
    pub(super) needs: &'static [Need],
    pub(super) body: for<'a> fn(&'a Harness) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl Check {
    /// The check with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|check| check.name == name).copied()
    }

    /// Its name: what a store that passes it does.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the requirements of the check.
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// Runs a check, or skips it and prints why.
///
/// # Panics
/// If the store fails the check, takes longer than [`Harness::with_timeout`], or lacks a part that the harness did not
/// admit to be missing.
pub async fn run(check: &Check, harness: &Harness) {
    if harness.exceptions.contains(&check.name) {
        println!("skipped: {}: an exception of the store", check.name);
        return;
    }
    let fresh = harness.fresh().await;
    if let Some(need) = check.needs.iter().find(|need| !need.is_met(&fresh)) {
        let store = fresh.store.capabilities().name;
        assert!(harness.lacks(*need), "{}: the store `{store}` lacks {need:?}, and may not", check.name);
        println!("skipped: {}: the store `{store}` has no {need:?}", check.name);
        return;
    }
    // On a server, a store takes longer to make than most checks take.
    let harness = Harness { opened: Arc::new(Mutex::new(Some(fresh))), ..harness.clone() };
    if tokio::time::timeout(harness.timeout, (check.body)(&harness)).await.is_err() {
        panic!("{}: not done within {:?}", check.name, harness.timeout);
    }
}
