//! The reading part: each call looks at one snapshot of the files.

use super::append_lock::{Held, peek};
use super::catalogue::{Catalogue, Edits};
use super::error::{DuringOperation as _, NAME, error_of, transient};
use super::file_layout::{FileKey, stat};
use super::scan::Scan;
use super::shared::Shared;
use super::snapshot::{Cancelled, ScanError, Snapshot};
use super::store::JsonlStore;
use crate::event::{AuditEvent, EventId};
use crate::query::{Buckets, Field, Filter, PageQuery, ValueCount};
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for JsonlStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        let query = query.clone();
        Box::pin(self.read(move |scan| scan.page(&query)))
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        let filter = filter.clone();
        Box::pin(self.read(move |scan| scan.count(&filter)))
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        let filter = filter.clone();
        Box::pin(async move { self.read(move |scan| scan.value_counts(&filter, by)).await?.top(NAME, by, at_most) })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        let (filter, buckets) = (filter.clone(), *buckets);
        Box::pin(self.read(move |scan| scan.histogram(&filter, &buckets)))
    }

    /// Returns every condition but those on time: nothing else has an index.
    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = filter
            .texts()
            .into_iter()
            .filter(|(_, condition)| !condition.is_empty())
            .map(|(field, _)| field.as_str())
            .collect();
        names.extend((!filter.outcome.is_empty()).then_some("outcome"));
        names.extend((!filter.phase.is_empty()).then_some("phase"));
        names.extend((!filter.details.is_empty()).then_some("detail"));
        names
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let shared = self.shared.clone();
            self.blocking("reading", move || {
                let denied = || error_of(StoreErrorKind::Denied, "reading").with_hint(DENIED);
                match std::fs::File::open(&shared.config.path) {
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                        Err(denied().with_source(error))
                    }
                    _ => Ok(()),
                }
            })
            .await
        })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(self.read(move |scan| scan.get(id)))
    }
}

impl JsonlStore {
    /// Runs a scan of a snapshot on a thread for blocking calls.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        scan: impl Fn(&Scan<'_>) -> Result<T, ScanError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let permit = shared.scans.clone().acquire_owned().await;
        let cancelled = Cancelled::default();
        let cancel = cancelled.on_drop();
        let done = self
            .blocking(READING, move || {
                let _permit = permit;
                for _ in 0..MAX_LOOKS {
                    let snapshot = shared.snapshot()?;
                    let place = shared.lock_catalogue().place.clone();
                    let hold =
                        || Held::shared(&place, shared.config.timeout / 2, READING).map_err(std::io::Error::other);
                    let looking =
                        Scan { snapshot: &snapshot, cancelled: &cancelled, cache: &shared.cache, hold: &hold };
                    match scan(&looking) {
                        Ok(answer) => return Ok(answer),
                        Err(ScanError::Moved) => shared.look_again(),
                        Err(ScanError::Cancelled) => return Err(transient(READING).with_hint("the read was cancelled")),
                        Err(ScanError::Io(error)) => return Err(error).during(READING),
                    }
                }
                Err(transient(READING).with_hint("the files were moved or removed during the read, again and again"))
            })
            .await;
        drop(cancel);
        done
    }
}

impl Shared {
    /// Looks at the files as they are.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let mut catalogue = self.lock_catalogue();
        self.look(&mut catalogue)?;
        if let Some(name) = catalogue.denied.first() {
            let hint = format!("{DENIED}; {} is one of them", name.display());
            return Err(error_of(StoreErrorKind::Denied, READING).with_hint(hint));
        }
        Ok(Snapshot::of(&catalogue))
    }

    /// Brings the catalogue up to date with durable batches.
    ///
    /// Example of a look without the lock: it finds file A at PATH; A is renamed, and B made; it lists the folder, where A
    /// has another name. The numbers of changes, or the file at PATH, are then others than before: it looks again.
    fn look(&self, catalogue: &mut Catalogue) -> Result<(), StoreError> {
        for _ in 0..MAX_LOOKS {
            let before = peek(&catalogue.place).during(READING)?;
            catalogue.refresh(before.map(|(changes, _)| changes), Edits::Indexed).during(READING)?;
            let active = catalogue.active.as_ref().map(|file| file.stamp.key);
            let until = match before {
                // Nobody who may write has been here, or this user may not know.
                None => None,
                Some((_, Some(durable))) if active.map(FileKey::inode) == Some(durable.inode) => Some(durable.len),
                Some(_) => break,
            };
            catalogue.catch_up(until, &mut |_, _, _, _| {}).during(READING)?;
            let after = peek(&catalogue.place).during(READING)?;
            let named = stat(&catalogue.place.file).during(READING)?.map(|metadata| FileKey::of(&metadata));
            if before.map(|(changes, _)| changes) == after.map(|(changes, _)| changes) && named == active {
                return Ok(());
            }
        }
        let held = Held::shared(&catalogue.place, self.config.timeout / 2, READING)?;
        let changes = held.as_ref().map(Held::changes).transpose().during(READING)?;
        catalogue.refresh(changes, Edits::Indexed).during(READING)?;
        catalogue.catch_up(None, &mut |_, _, _, _| {}).during(READING).map(drop)
    }

    /// Makes the next snapshot look at the folder.
    fn look_again(&self) {
        self.lock_catalogue().forget_look();
    }
}

const DENIED: &str = "this user may not read the files of the log: give its group the right to (`chmod g+r`)";
const READING: &str = "reading";
/// The number of snapshots for one answer.
const MAX_LOOKS: usize = 10;
