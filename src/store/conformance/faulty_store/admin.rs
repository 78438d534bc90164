//! Purges, provisioning, maintenance and the closing of orphans that go wrong.

use std::time::Duration;

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::{Filter, PageQuery};
use crate::store::{OrphanRecovery, PurgeOutcome, StoreAdmin, StoreError, StoreErrorKind, StoreFuture};

#[deny(clippy::missing_trait_methods)]
impl StoreAdmin for FaultyStore {
    fn recreate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.fault() {
                None => {}
                Some(Fault::InitKeepsEvents) => return Ok(()),
                Some(Fault::InitKeepsIds) => {}
                Some(Fault::InitBreaksAppends) => self.shared.state().broken = true,
                Some(_) => self.shared.state().forget_everything(),
            }
            self.inner_keeper()?.recreate().await
        })
    }

    fn migrate(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let keeper = self.inner_keeper()?;
            match self.fault() {
                Some(Fault::MigrateDestroys) => keeper.recreate().await,
                Some(Fault::MigrateNeedsEvents) if self.shared.state().arrived.is_empty() => {
                    self.refusal("ensure-indexes")
                }
                Some(Fault::MigrateFailsTwice) => {
                    self.shared.state().ensured += 1;
                    if self.shared.state().ensured > 1 {
                        return self.refusal("ensure-indexes");
                    }
                    keeper.migrate().await
                }
                Some(Fault::MigrateFailsConcurrently) => {
                    self.shared.state().ensuring += 1;
                    let mut met = false;
                    for _ in 0..50 {
                        met |= self.shared.state().ensuring > 1;
                        tokio::task::yield_now().await;
                    }
                    self.shared.state().ensuring -= 1;
                    if met { self.refusal("ensure-indexes") } else { keeper.migrate().await }
                }
                _ => keeper.migrate().await,
            }
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, PurgeOutcome> {
        Box::pin(async move {
            let keeper = self.inner_keeper()?;
            let fault = self.fault();
            match fault {
                Some(Fault::PurgeDeletesNothing) => {
                    let old = Filter { until: Some(before), ..Filter::default() };
                    let removed = self.inner_reader()?.count(&old).await?;
                    return Ok(PurgeOutcome { deleted: removed, has_more: false });
                }
                Some(Fault::PurgeIgnoresLimit) => return keeper.purge(before, usize::MAX).await,
                Some(Fault::PurgeInclusive) => {
                    let after = Timestamp::from_micros(before.as_micros() + 1).unwrap_or(before);
                    return keeper.purge(after, at_most).await;
                }
                Some(Fault::PurgeTakesTheNewest) => self.lose_the_newest().await?,
                Some(Fault::PurgeLeavesIds) => {
                    let old = PageQuery::new(Filter { until: Some(before), ..Filter::default() }, usize::MAX);
                    let old = self.inner_reader()?.query(&old).await?;
                    self.shared.state().purged.extend(old.into_iter().map(|event| (event.event_id, event)));
                }
                _ => {}
            }
            let purged = keeper.purge(before, at_most).await?;
            Ok(match fault {
                Some(Fault::PurgeStopsEarly) => PurgeOutcome { has_more: false, ..purged },
                Some(Fault::PurgeNeverEnds) => PurgeOutcome { has_more: true, ..purged },
                Some(Fault::PurgeMiscounts) => PurgeOutcome { deleted: purged.deleted + 1, ..purged },
                _ => purged,
            })
        })
    }

    fn apply_retention_floor(&self, floor: Duration) {
        if let Ok(keeper) = self.inner_keeper() {
            keeper.apply_retention_floor(floor);
        }
    }

    fn retention_floor(&self) -> Option<Duration> {
        self.inner.parts().admin.and_then(StoreAdmin::retention_floor)
    }
}

#[deny(clippy::missing_trait_methods)]
impl OrphanRecovery for FaultyStore {
    fn recover<'a>(&'a self, close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync)) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let Some(orphans) = self.inner.parts().recovery else {
                return Err(self.error(StoreErrorKind::Unsupported, "closing orphans"));
            };
            match self.fault() {
                Some(Fault::NeverRecovers) => Ok(0),
                Some(Fault::RecoversLiveWriters) => {
                    self.close_all(close, Some(Phase::Completed), Some(Phase::Unknown)).await
                }
                Some(Fault::RecoversCompleted) => {
                    let closed = self.close_all(close, Some(Phase::Unknown), None).await?;
                    Ok(closed + orphans.recover(close).await?)
                }
                Some(Fault::RecoversTwice) => self.close_all(close, Some(Phase::Completed), None).await,
                Some(Fault::RecoversWithoutLink) => {
                    let close = |event: &AuditEvent| {
                        let mut closing = close(event);
                        closing.request.started_event_id = None;
                        closing
                    };
                    orphans.recover(&close).await
                }
                Some(Fault::EraseKeepsOpenCopies) => {
                    let copies = self.shared.state().open_copies.clone();
                    let close = |event: &AuditEvent| close(copies.get(&event.event_id).unwrap_or(event));
                    orphans.recover(&close).await
                }
                Some(Fault::RecoveryMiscounts) => match orphans.recover(close).await? {
                    0 => Ok(0),
                    closed => Ok(closed + 1),
                },
                _ => orphans.recover(close).await,
            }
        })
    }
}

impl FaultyStore {
    pub(super) async fn maintain_faultily(&self) -> Result<bool, StoreError> {
        let more = self.inner.maintain().await?;
        match self.fault() {
            Some(Fault::MaintenanceNeverEnds) => Ok(true),
            Some(Fault::MaintenanceLoses) => {
                self.lose_the_newest().await?;
                Ok(more)
            }
            Some(Fault::MaintenanceForgetsIds) => {
                let mut state = self.shared.state();
                let forgotten: Vec<EventId> = state.arrived.keys().copied().collect();
                state.lost.extend(forgotten);
                Ok(more)
            }
            _ => Ok(more),
        }
    }

    /// Shows the newest event no longer.
    pub(super) async fn lose_the_newest(&self) -> Result<(), StoreError> {
        let Some(reader) = self.inner.parts().reader else { return Ok(()) };
        let newest = reader.query(&PageQuery::new(Filter::default(), 1)).await?;
        self.shared.state().lost.extend(newest.iter().map(|event| event.event_id));
        Ok(())
    }

    /// Closes every `started` event that no event of these phases ends, whether its writer lives or not.
    async fn close_all(
        &self,
        close: &(dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync),
        ended_by: Option<Phase>,
        or_by: Option<Phase>,
    ) -> Result<u64, StoreError> {
        let all = self.inner_reader()?.query(&PageQuery::new(Filter::default(), usize::MAX)).await?;
        let ends = |event: &&AuditEvent| Some(event.phase) == ended_by || Some(event.phase) == or_by;
        let ended: Vec<_> = all.iter().filter(ends).filter_map(|event| event.request.started_event_id).collect();
        let open = all.iter().filter(|event| event.phase == Phase::Started && !ended.contains(&event.event_id));
        let closing: Vec<_> = open.map(close).collect();
        self.inner.append(&closing).await?;
        Ok(closing.len() as u64)
    }

    fn inner_keeper(&self) -> Result<&dyn StoreAdmin, StoreError> {
        self.inner.parts().admin.ok_or_else(|| self.error(StoreErrorKind::Unsupported, "keeping"))
    }
}
