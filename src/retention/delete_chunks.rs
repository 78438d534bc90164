//! The deletion: chunk after chunk, within the bounds of a preview.

use tokio::time::Instant;

use super::pacing::{CHUNK_EVENTS, Stop, retry};
use super::plan::RetentionPlan;
use super::purge_preview::{Deletion, PurgePreview};
use super::purge_report::PurgeReport;
#[cfg(feature = "seal")]
use super::sealed_removal::SealedRemoval;
use super::survey::{RequiredParts, ties_through};
use crate::event::Timestamp;
#[cfg(feature = "seal")]
use crate::query::Filter;
use crate::query::{Cursor, PageQuery};
use crate::store::StoreError;

/// The end of the deletion.
#[derive(Debug)]
pub(super) enum End {
    Done,
    Interrupted,
    Failed(StoreError),
    /// Somebody has begun to seal the log.
    Sealed(StoreError),
}

impl End {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::Failed(_) | Self::Sealed(_) => "failed",
        }
    }
}

/// A running deletion.
pub(super) struct Deleter<'a> {
    pub(super) parts: RequiredParts<'a>,
    pub(super) stop: Stop<'a>,
    pub(super) progress: &'a mut (dyn FnMut(u64) + Send),
    pub(super) report: PurgeReport,
    #[cfg(feature = "seal")]
    pub(super) sealed: Option<SealedRemoval<'a>>,
}

/// A deletion was stopped or has failed.
enum Halt {
    Interrupted,
    Failed(StoreError),
    Sealed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Deleter<'_> {
    /// Deletes the events of the preview.
    pub(super) async fn run(&mut self, plan: &RetentionPlan, preview: &PurgePreview) -> End {
        match self.delete(plan, preview).await {
            Ok(()) => End::Done,
            Err(Halt::Interrupted) => End::Interrupted,
            Err(Halt::Failed(error)) => End::Failed(error),
            Err(Halt::Sealed(error)) => End::Sealed(error),
        }
    }

    async fn delete(&mut self, plan: &RetentionPlan, preview: &PurgePreview) -> Result<(), Halt> {
        let deleted = match &preview.deletion {
            Deletion::Nothing => Ok(()),
            Deletion::Before(cutoff) => self.before(*cutoff).await,
            Deletion::Through(last) => {
                self.before(last.created_at).await?;
                self.through(*last).await
            }
            #[cfg(feature = "retention-rules")]
            Deletion::ByRules { all_before, rules: counts, .. } => {
                let RetentionPlan::Rules(rules) = plan else { return Ok(()) };
                self.report.rules = vec![0; counts.len()];
                if let Some(all_before) = all_before {
                    self.before(*all_before).await?;
                    self.report.rules.clone_from(counts);
                }
                self.by_rules(rules, preview, *all_before).await
            }
        };
        deleted?;
        #[cfg(not(feature = "retention-rules"))]
        let _ = plan;
        #[cfg(feature = "seal")]
        let copies_before = match self.sealed {
            Some(_) => all_before(&preview.deletion),
            None => None,
        };
        #[cfg(not(feature = "seal"))]
        let copies_before = None;
        #[cfg(feature = "seal")]
        self.delete_part().await?;
        if copies_before.is_some() || !matches!(preview.deletion, Deletion::Nothing | Deletion::Before(_)) {
            let removal = self.parts.removal()?;
            retry(|| removal.finish(copies_before)).await?;
        }
        Ok(())
    }

    /// Deletes all that is older than a moment.
    async fn before(&mut self, cutoff: Timestamp) -> Result<(), Halt> {
        #[cfg(feature = "seal")]
        if self.sealed.is_some() {
            return self.listed(PageQuery::new(Filter::new().until(cutoff), CHUNK_EVENTS)).await;
        }
        let admin = self.parts.admin()?;
        loop {
            self.still_unsealed().await?;
            let begun = Instant::now();
            let chunk = retry(|| admin.purge(cutoff, CHUNK_EVENTS)).await?;
            self.count(chunk.deleted);
            if !chunk.has_more {
                return Ok(());
            }
            self.pause_after(begun).await?;
        }
    }

    /// Ends an unsigned deletion once the log has a checkpoint: what it deleted afterwards would be missing for ever.
    async fn still_unsealed(&self) -> Result<(), Halt> {
        let Some(sealing) = self.parts.sealing() else { return Ok(()) };
        match retry(|| sealing.newest_checkpoint()).await? {
            None => Ok(()),
            Some(_) => Err(Halt::Sealed(self.parts.failed(
                "somebody has begun to seal the log: run it again for the rest, with the retention key (`--retention-key`)",
            ))),
        }
    }

    /// Returns true if nothing of this purge is signed.
    pub(super) fn is_unsigned(&self) -> bool {
        #[cfg(feature = "seal")]
        {
            self.sealed.is_none()
        }
        #[cfg(not(feature = "seal"))]
        {
            true
        }
    }

    /// Deletes the events of one moment from this position on.
    async fn through(&mut self, last: Cursor) -> Result<(), Halt> {
        self.listed(ties_through(last)).await
    }

    /// Deletes the events of a listing, page after page.
    async fn listed(&mut self, first: PageQuery) -> Result<(), Halt> {
        let removal = self.parts.removal()?;
        let mut next = Some(first);
        while let Some(query) = next.take() {
            let positions = retry(|| removal.positions(&query)).await?;
            if let Some(last) = positions.last().filter(|_| positions.len() == query.limit) {
                next = Some(query.clone().after(*last));
            }
            self.remove(positions).await?;
        }
        Ok(())
    }

    /// Deletes events by their positions; of a sealed log, once their part is full.
    async fn remove(&mut self, positions: Vec<Cursor>) -> Result<(), Halt> {
        #[cfg(feature = "seal")]
        if let Some(sealed) = &mut self.sealed {
            return match sealed.add(positions) {
                true => self.delete_part().await,
                false if self.stop.is_ready() => Err(Halt::Interrupted),
                false => Ok(()),
            };
        }
        self.still_unsealed().await?;
        let begun = Instant::now();
        let removal = self.parts.removal()?;
        let deleted = retry(|| removal.remove(&positions)).await?;
        self.count(deleted);
        self.pause_after(begun).await
    }

    /// Signs the part of a sealed log that was listed, and deletes its events.
    #[cfg(feature = "seal")]
    async fn delete_part(&mut self) -> Result<(), Halt> {
        let removal = self.parts.removal()?;
        let Some(sealed) = &mut self.sealed else { return Ok(()) };
        let positions = sealed.sign_part().await?;
        self.report.unsealed = sealed.unsealed();
        let mut left = positions.len();
        for chunk in positions.chunks(CHUNK_EVENTS) {
            let begun = Instant::now();
            let deleted = retry(|| removal.remove(chunk)).await?;
            left -= chunk.len();
            if left == 0
                && let Some(sealed) = &mut self.sealed
            {
                sealed.note_deleted();
            }
            self.count(deleted);
            self.pause_after(begun).await?;
        }
        Ok(())
    }

    #[cfg(feature = "retention-rules")]
    async fn by_rules(
        &mut self,
        rules: &super::rules::RetentionRules,
        preview: &PurgePreview,
        since: Option<Timestamp>,
    ) -> Result<(), Halt> {
        use super::plan::before;
        use super::rule_evaluation::{RuleCutoffs, RuleWalk};

        let (reader, removal) = (self.parts.reader()?, self.parts.removal()?);
        let floor = preview.floor.map(|floor| before(floor, preview.as_of));
        let cutoffs = RuleCutoffs::new(rules, preview.as_of, floor);
        let mut walk = RuleWalk::new(&cutoffs, reader, removal, since);
        while let Some(page) = walk.next().await? {
            if page.selected.is_empty() {
                if self.stop.is_ready() {
                    return Err(Halt::Interrupted);
                }
                continue;
            }
            let positions: Vec<Cursor> = page.selected.iter().map(|(position, _)| *position).collect();
            for (_, rule) in page.selected {
                self.report.rules.get_mut(rule).into_iter().for_each(|count| *count += 1);
            }
            self.remove(positions).await?;
        }
        Ok(())
    }

    fn count(&mut self, deleted: u64) {
        self.report.deleted += deleted;
        (self.progress)(self.report.deleted);
    }

    async fn pause_after(&mut self, begun: Instant) -> Result<(), Halt> {
        if self.stop.pause_after(begun.elapsed()).await { Err(Halt::Interrupted) } else { Ok(()) }
    }
}

/// Returns the moment before which a deletion deletes everything.
#[cfg(feature = "seal")]
fn all_before(deletion: &Deletion) -> Option<Timestamp> {
    match deletion {
        Deletion::Nothing => None,
        Deletion::Before(cutoff) => Some(*cutoff),
        Deletion::Through(last) => Some(last.created_at),
        #[cfg(feature = "retention-rules")]
        Deletion::ByRules { all_before, .. } => *all_before,
    }
}
