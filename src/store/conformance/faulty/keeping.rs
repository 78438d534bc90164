//! Purges, provisioning, tidying and the closing of orphans that go wrong.

use super::{Fault, FaultyStore};
use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::{Filter, Query};
use crate::store::{Keeper, Orphans, Purged, StoreError, StoreErrorKind, StoreFuture};

impl Keeper for FaultyStore {
    fn init(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.fault() {
                None => {}
                Some(Fault::InitKeepsEvents) => return Ok(()),
                Some(Fault::InitKeepsIds) => {}
                Some(Fault::InitBreaksAppends) => self.shared.state().broken = true,
                Some(_) => self.shared.state().forget_everything(),
            }
            self.inner_keeper()?.init().await
        })
    }

    fn ensure_indexes(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let keeper = self.inner_keeper()?;
            match self.fault() {
                Some(Fault::EnsureDestroys) => keeper.init().await,
                Some(Fault::EnsureNeedsEvents) if self.shared.state().arrived.is_empty() => {
                    self.refusal("ensure-indexes")
                }
                Some(Fault::EnsureFailsTwice) => {
                    self.shared.state().ensured += 1;
                    if self.shared.state().ensured > 1 {
                        return self.refusal("ensure-indexes");
                    }
                    keeper.ensure_indexes().await
                }
                Some(Fault::EnsureFailsTogether) => {
                    self.shared.state().ensuring += 1;
                    let mut met = false;
                    for _ in 0..50 {
                        met |= self.shared.state().ensuring > 1;
                        tokio::task::yield_now().await;
                    }
                    self.shared.state().ensuring -= 1;
                    if met { self.refusal("ensure-indexes") } else { keeper.ensure_indexes().await }
                }
                _ => keeper.ensure_indexes().await,
            }
        })
    }

    fn purge(&self, before: Timestamp, at_most: usize) -> StoreFuture<'_, Purged> {
        Box::pin(async move {
            let keeper = self.inner_keeper()?;
            let fault = self.fault();
            match fault {
                Some(Fault::PurgeOnlySaysSo) => {
                    let old = Filter { until: Some(before), ..Filter::default() };
                    let removed = self.inner_reader()?.count(&old).await?;
                    return Ok(Purged { removed, more: false });
                }
                Some(Fault::PurgeIgnoresAtMost) => return keeper.purge(before, usize::MAX).await,
                Some(Fault::PurgeInclusive) => {
                    let after = Timestamp::from_micros(before.as_micros() + 1).unwrap_or(before);
                    return keeper.purge(after, at_most).await;
                }
                Some(Fault::PurgeTakesTheNewest) => self.lose_the_newest().await?,
                Some(Fault::PurgeLeavesIds) => {
                    let old = Query::new(Filter { until: Some(before), ..Filter::default() }, usize::MAX);
                    let old = self.inner_reader()?.query(&old).await?;
                    self.shared.state().purged.extend(old.into_iter().map(|event| (event.event_id, event)));
                }
                _ => {}
            }
            let purged = keeper.purge(before, at_most).await?;
            Ok(match fault {
                Some(Fault::PurgeStopsEarly) => Purged { more: false, ..purged },
                Some(Fault::PurgeNeverEnds) => Purged { more: true, ..purged },
                Some(Fault::PurgeMiscounts) => Purged { removed: purged.removed + 1, ..purged },
                _ => purged,
            })
        })
    }
}

impl Orphans for FaultyStore {
    fn close_orphans<'a>(
        &'a self,
        close: &'a (dyn Fn(&AuditEvent) -> AuditEvent + Send + Sync),
    ) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let Some(orphans) = self.inner.orphans() else {
                return Err(self.error(StoreErrorKind::Unsupported, "closing orphans"));
            };
            match self.fault() {
                Some(Fault::NeverCloses) => Ok(0),
                Some(Fault::ClosesTheLiving) => {
                    self.close_all(close, Some(Phase::Completed), Some(Phase::Unknown)).await
                }
                Some(Fault::ClosesTheCompleted) => {
                    let closed = self.close_all(close, Some(Phase::Unknown), None).await?;
                    Ok(closed + orphans.close_orphans(close).await?)
                }
                Some(Fault::ClosesAgain) => self.close_all(close, Some(Phase::Completed), None).await,
                Some(Fault::ClosesWithoutLink) => {
                    let close = |event: &AuditEvent| {
                        let mut closing = close(event);
                        closing.request.started_event_id = None;
                        closing
                    };
                    orphans.close_orphans(&close).await
                }
                Some(Fault::ClosesAndMiscounts) => match orphans.close_orphans(close).await? {
                    0 => Ok(0),
                    closed => Ok(closed + 1),
                },
                _ => orphans.close_orphans(close).await,
            }
        })
    }
}

impl FaultyStore {
    pub(super) async fn tidy_faultily(&self) -> Result<bool, StoreError> {
        let more = self.inner.tidy().await?;
        match self.fault() {
            Some(Fault::TidyNeverEnds) => Ok(true),
            Some(Fault::TidyLoses) => {
                self.lose_the_newest().await?;
                Ok(more)
            }
            Some(Fault::TidyForgetsIds) => {
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
        let Some(reader) = self.inner.reader() else { return Ok(()) };
        let newest = reader.query(&Query::new(Filter::default(), 1)).await?;
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
        let all = self.inner_reader()?.query(&Query::new(Filter::default(), usize::MAX)).await?;
        let ends = |event: &&AuditEvent| Some(event.phase) == ended_by || Some(event.phase) == or_by;
        let ended: Vec<_> = all.iter().filter(ends).filter_map(|event| event.request.started_event_id).collect();
        let open = all.iter().filter(|event| event.phase == Phase::Started && !ended.contains(&event.event_id));
        let closing: Vec<_> = open.map(close).collect();
        self.inner.append(&closing).await?;
        Ok(closing.len() as u64)
    }

    fn inner_keeper(&self) -> Result<&dyn Keeper, StoreError> {
        self.inner.keeper().ok_or_else(|| self.error(StoreErrorKind::Unsupported, "keeping"))
    }
}
