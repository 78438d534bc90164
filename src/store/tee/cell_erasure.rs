//! Erasing values: in every member, or not at all.

use std::collections::HashMap;

use super::delivery::Failure;
use super::health::guarded;
use super::lane::Lane;
use super::reader::{caught_up, error_of};
use super::store::TeeStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{CellErasure, ErasedEvent, ReplaceEventFn, StoreError, StoreFuture, StoredSeed};

impl TeeStore {
    /// Returns true if each member that can be read can erase. Copies in the others would keep the values.
    pub(super) fn can_erase(&self) -> bool {
        let mut readable =
            self.state.lanes.iter().map(|lane| lane.store.parts()).filter(|parts| parts.reader.is_some());
        readable.all(|parts| parts.erasure.is_some())
    }
}

#[deny(clippy::missing_trait_methods)]
impl CellErasure for TeeStore {
    /// Erases in each member, in the one that is read last: as long as one fails, the erasure is not done, and can be repeated. The number
    /// is that of the member that is read.
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let mut replaced = 0;
            let lanes: Vec<_> = self.state.lanes_reading_first().collect();
            let seeds = match lanes.first() {
                Some(reading) => seeds_of(reading, ids).await?,
                None => HashMap::new(),
            };
            // Of a sealed log, one member has the seeds. The events of the others are those that were signed, and get no seed.
            let of_others = |event: &AuditEvent, seed: Option<&StoredSeed>| match seed {
                Some(_) => replace(event, seed),
                None => {
                    let erased = replace(event, seeds.get(&event.event_id))?;
                    Some(ErasedEvent { seed: None, ..erased })
                }
            };
            for (place, lane) in lanes.into_iter().enumerate().rev() {
                if lane.is_open() && lane.store.parts().erasure.is_none() {
                    continue;
                }
                caught_up(lane, ERASURE).await?;
                let Some(erasure) = lane.store.parts().erasure else {
                    // One that was opened after the parts were asked for.
                    let failure = Failure::transient("it cannot erase");
                    match lane.store.parts().reader {
                        Some(_) => return Err(error_of(lane, &failure, ERASURE)),
                        None => continue,
                    }
                };
                let replace: ReplaceEventFn<'_> = if place == 0 { replace } else { &of_others };
                let of_member = guarded(|| erasure.erase(ids, replace)).await;
                replaced = of_member.map_err(|failure| error_of(lane, &failure, ERASURE))?;
            }
            Ok(replaced)
        })
    }

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            for lane in self.state.lanes_reading_first() {
                let Some(erasure) = lane.store.parts().erasure else { continue };
                guarded(|| erasure.finish()).await.map_err(|failure| error_of(lane, &failure, ERASURE))?;
            }
            Ok(())
        })
    }
}

/// Returns the seeds of these events, as far as the member keeps a seal.
async fn seeds_of(lane: &Lane, ids: &[EventId]) -> Result<HashMap<EventId, StoredSeed>, StoreError> {
    let mut seeds = HashMap::new();
    caught_up(lane, ERASURE).await?;
    let Some(sealing) = lane.store.parts().sealing else { return Ok(seeds) };
    for id in ids {
        let leaf = guarded(|| sealing.leaf_of(*id)).await.map_err(|failure| error_of(lane, &failure, ERASURE))?;
        seeds.extend(leaf.map(|leaf| (*id, leaf.seed)));
    }
    Ok(seeds)
}

const ERASURE: &str = "erasure";
