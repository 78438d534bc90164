//! Erasures that go wrong.

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{AuditEvent, EventId};
use crate::store::{CellErasure, ErasedEvent, ReplaceEventFn, StoreError, StoreErrorKind, StoreFuture, StoredSeed};

#[deny(clippy::missing_trait_methods)]
impl CellErasure for FaultyStore {
    fn erase<'a>(&'a self, ids: &'a [EventId], replace: ReplaceEventFn<'a>) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let erasure = self.inner_erasure()?;
            let fault = self.fault();
            match fault {
                Some(Fault::ErasesNothing) => Ok(ids.len() as u64),
                Some(Fault::EraseMiscounts) => Ok(erasure.erase(ids, replace).await? + 1),
                Some(Fault::EraseTakesTheNewest) => {
                    let replaced = erasure.erase(ids, replace).await?;
                    self.lose_the_newest().await?;
                    Ok(replaced)
                }
                Some(Fault::EraseKeepsACopy) => {
                    let mut copies = Vec::new();
                    for id in ids {
                        let event = self.inner_reader()?.get(*id).await?;
                        copies.extend(event.map(|event| AuditEvent { event_id: EventId::new(), ..event }));
                    }
                    let replaced = erasure.erase(ids, replace).await?;
                    self.inner.append(&copies).await?;
                    Ok(replaced)
                }
                Some(Fault::EraseReplacesAll) => {
                    let replace = |event: &AuditEvent, seed: Option<&StoredSeed>| {
                        let mut blank = event.clone();
                        blank.details.clear();
                        replace(event, seed).or(Some(ErasedEvent { event: blank, seed: None }))
                    };
                    erasure.erase(ids, &replace).await
                }
                Some(Fault::EraseKeepsSeeds) => {
                    let replace = |event: &AuditEvent, seed: Option<&StoredSeed>| {
                        replace(event, seed).map(|erased| ErasedEvent { seed: None, ..erased })
                    };
                    erasure.erase(ids, &replace).await
                }
                Some(Fault::EraseKeepsOpenCopies) => {
                    for id in ids {
                        let event = self.inner_reader()?.get(*id).await?;
                        self.shared.state().open_copies.extend(event.map(|event| (event.event_id, event)));
                    }
                    erasure.erase(ids, replace).await
                }
                _ => erasure.erase(ids, replace).await,
            }
        })
    }

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.inner_erasure()?.finish().await })
    }
}

impl FaultyStore {
    fn inner_erasure(&self) -> Result<&dyn CellErasure, StoreError> {
        self.inner.parts().erasure.ok_or_else(|| self.error(StoreErrorKind::Unsupported, "erasing"))
    }
}
