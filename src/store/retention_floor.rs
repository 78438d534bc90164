//! A wrapper that refuses to delete young events.

use std::time::Duration;

use super::{
    AuditStore, Capabilities, Diagnostic, Parts, PurgeOutcome, Removal, StoreAdmin, StoreError, StoreErrorKind,
    StoreFuture,
};
use crate::event::{AuditEvent, EventId, Timestamp};
use crate::query::{Cursor, PageQuery};

/// A store around another that deletes no event younger than the floor, and cannot be recreated.
///
/// [`AuditLogBuilder::retention_floor`](crate::AuditLogBuilder::retention_floor) puts it around the store of a log.
///
/// ```
/// use std::time::Duration;
/// use tower_audit::Timestamp;
/// use tower_audit::store::{AuditStore as _, MemoryStore, RetentionFloor};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = RetentionFloor::new(MemoryStore::new(), Duration::from_secs(180 * 86_400));
/// let admin = store.parts().admin.unwrap();
/// let error = admin.purge(Timestamp::now(), 1000).await.unwrap_err();
/// assert!(error.to_string().contains("the retention floor of the log is 180 days"));
/// # });
/// ```
#[derive(Debug)]
pub struct RetentionFloor<S> {
    inner: S,
    floor: Duration,
}

impl<S: AuditStore> RetentionFloor<S> {
    /// Puts a floor around a store.
    pub fn new(inner: S, floor: Duration) -> Self {
        if let Some(admin) = inner.parts().admin {
            admin.apply_retention_floor(floor);
        }
        Self { inner, floor }
    }

    /// Refuses what is younger than the floor.
    fn check(&self, newest: Timestamp, doing: &'static str) -> Result<(), StoreError> {
        match cutoff(self.floor) {
            Some(cutoff) if newest <= cutoff => Ok(()),
            _ => Err(self.refusal(doing)),
        }
    }

    fn refusal(&self, doing: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Permanent, self.inner.capabilities().name, doing).with_hint(format!(
            "the retention floor of the log is {}: nothing younger is deleted",
            in_words(self.floor)
        ))
    }

    fn admin(&self, doing: &'static str) -> Result<&dyn StoreAdmin, StoreError> {
        self.inner.parts().admin.ok_or_else(|| self.missing(doing))
    }

    fn removal(&self, doing: &'static str) -> Result<&dyn Removal, StoreError> {
        self.inner.parts().removal.ok_or_else(|| self.missing(doing))
    }

    fn missing(&self, doing: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Unsupported, self.inner.capabilities().name, doing)
    }
}

/// Returns the moment before which events are older than the floor; none before the year 1.
fn cutoff(floor: Duration) -> Option<Timestamp> {
    let micros = i64::try_from(floor.as_micros()).ok()?;
    Timestamp::from_micros(Timestamp::now().as_micros().checked_sub(micros)?)
}

/// Returns a length of time in days, or in seconds if it is no whole number of days.
pub(crate) fn in_words(length: Duration) -> String {
    let (count, unit) = match length.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(86_400) => (seconds / 86_400, "day"),
        seconds => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditStore> AuditStore for RetentionFloor<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn parts(&self) -> Parts<'_> {
        let inner = self.inner.parts();
        Parts {
            admin: inner.admin.map(|_| self as &dyn StoreAdmin),
            removal: inner.removal.map(|_| self as &dyn Removal),
            ..inner
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        self.inner.append(events)
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        self.inner.health()
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        self.inner.diagnose()
    }

    fn maintain(&self) -> StoreFuture<'_, bool> {
        self.inner.maintain()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.inner.close()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditStore> StoreAdmin for RetentionFloor<S> {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Err(self.refusal("init"))))
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { self.admin("ensure-indexes")?.migrate().await })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            self.check(before, PURGE)?;
            self.admin(PURGE)?.purge(before, at_most).await
        })
    }

    fn retention_floor(&self) -> Option<Duration> {
        let inner = self.inner.parts().admin.and_then(StoreAdmin::retention_floor);
        Some(inner.map_or(self.floor, |inner| inner.max(self.floor)))
    }

    fn apply_retention_floor(&self, floor: Duration) {
        if let Some(admin) = self.inner.parts().admin {
            admin.apply_retention_floor(floor.max(self.floor));
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: AuditStore> Removal for RetentionFloor<S> {
    fn positions<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<Cursor>> {
        Box::pin(async move { self.removal(PURGE)?.positions(query).await })
    }

    fn remove<'a>(&'a self, positions: &'a [Cursor]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            // An event as old as the floor itself is not older than it.
            if let Some(newest) = positions.iter().max() {
                let after = Timestamp::from_micros(newest.created_at.as_micros() + 1);
                self.check(after.unwrap_or(Timestamp::MAX), PURGE)?;
            }
            self.removal(PURGE)?.remove(positions).await
        })
    }

    fn still_open<'a>(&'a self, ids: &'a [EventId]) -> StoreFuture<'a, Vec<EventId>> {
        Box::pin(async move { self.removal(PURGE)?.still_open(ids).await })
    }

    fn finish(&self, copies_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.removal(PURGE)?.finish(copies_before).await })
    }
}

const PURGE: &str = "purge";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn nobody_deletes_below_the_floor() {
        let memory = MemoryStore::new();
        let store = RetentionFloor::new(memory.clone(), Duration::from_secs(86_400));
        let young = AuditEvent::new(EventType::UPLOAD);
        let mut old = AuditEvent::new(EventType::UPLOAD);
        old.created_at = "2020-01-01T00:00:00Z".parse().unwrap();
        store.append(&[young.clone(), old.clone()]).await.unwrap();
        let parts = store.parts();
        let (admin, removal) = (parts.admin.unwrap(), parts.removal.unwrap());
        assert!(admin.recreate().await.is_err());
        assert!(admin.purge(Timestamp::now(), 10).await.is_err());
        assert!(removal.remove(&[Cursor::of(&old), Cursor::of(&young)]).await.is_err());
        // A time that is not the event's own deletes nothing.
        let forged = Cursor { created_at: old.created_at, event_id: young.event_id };
        assert_eq!(removal.remove(&[forged]).await.unwrap(), 0);
        assert_eq!(memory.events().len(), 2);
        assert_eq!(removal.remove(&[Cursor::of(&old)]).await.unwrap(), 1);
        assert_eq!(admin.retention_floor(), Some(Duration::from_secs(86_400)));
    }
}
