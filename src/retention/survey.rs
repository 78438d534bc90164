//! The survey of a plan: counts the events that it selects, and finds the bounds of the deletion.

use std::time::Duration;

use super::pacing::retry;
use super::plan::{RetentionPlan, WATERMARKS, before};
use super::purge_error::PurgeError;
use super::purge_preview::{Deletion, PurgePreview};
use crate::event::{AuditEvent, EventId, EventType, Phase, Timestamp};
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::{AuditStore, EventExtent, Parts, Reader, Removal, StoreError, StoreErrorKind};

/// The parts of a store, each required where it is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequiredParts<'a> {
    parts: Parts<'a>,
    store: &'static str,
}

impl<'a> RequiredParts<'a> {
    pub(super) fn of(store: &'a dyn AuditStore) -> Self {
        Self { parts: store.parts(), store: store.capabilities().name }
    }

    pub(super) fn reader(self) -> Result<&'a dyn Reader, StoreError> {
        self.parts.reader.ok_or_else(|| self.missing("counting the events to delete"))
    }

    pub(super) fn removal(self) -> Result<&'a dyn Removal, StoreError> {
        self.parts.removal.ok_or_else(|| self.missing("deleting single events"))
    }

    pub(super) fn admin(self) -> Result<&'a dyn crate::store::StoreAdmin, StoreError> {
        self.parts.admin.ok_or_else(|| self.missing("purging"))
    }

    pub(super) fn sealing(self) -> Option<&'a dyn crate::store::Sealing> {
        self.parts.sealing
    }

    pub(super) fn failed(self, hint: &str) -> StoreError {
        StoreError::new(StoreErrorKind::Permanent, self.store, "purge").with_hint(hint)
    }

    fn missing(self, doing: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Unsupported, self.store, doing)
    }
}

/// Returns the origin of the log as its newest checkpoint says it; none if the log is not sealed.
pub(super) async fn newest_origin(store: &dyn AuditStore) -> Result<Option<String>, StoreError> {
    let Some(sealing) = store.parts().sealing else { return Ok(None) };
    let newest = retry(|| sealing.newest_checkpoint()).await?;
    Ok(newest.map(|newest| newest.note.lines().next().unwrap_or_default().to_owned()))
}

/// Counts the events that a plan selects.
pub(super) async fn survey(
    parts: RequiredParts<'_>,
    plan: &RetentionPlan,
    now: Timestamp,
    floor: Option<Duration>,
) -> Result<PurgePreview, PurgeError> {
    let floor_cutoff = floor.map(|floor| before(floor, now));
    let mut preview = PurgePreview {
        range: None,
        rules: Vec::new(),
        kept_by_floor: 0,
        open: 0,
        is_counted: true,
        as_of: now,
        floor,
        deletion: Deletion::Nothing,
    };
    if let (Some(cutoff), Some(floor), Some(floor_cutoff)) = (plan.cutoff(now), floor, floor_cutoff)
        && cutoff > floor_cutoff
    {
        return Err(PurgeError::BelowFloor { floor, cutoff });
    }
    parts.admin().map_err(PurgeError::NotPlanned)?;
    match plan {
        RetentionPlan::Before(_) | RetentionPlan::OlderThan { .. } => {
            let cutoff = plan.cutoff(now).unwrap_or(Timestamp::MIN);
            preview.deletion = Deletion::Before(cutoff);
            let counted = async { EventExtent::of(parts.reader()?, &Filter::new().until(cutoff)).await };
            match counted.await {
                Ok(range) => preview.range = range,
                // An account may have the right to delete old events, and none to count them.
                Err(error) if matches!(error.kind(), StoreErrorKind::Denied | StoreErrorKind::Unsupported) => {
                    preview.is_counted = false;
                }
                Err(error) => return Err(PurgeError::NotPlanned(error)),
            }
        }
        RetentionPlan::Watermarks { high, low } => {
            survey_watermarks(parts, *high, *low, floor_cutoff, &mut preview).await.map_err(PurgeError::NotPlanned)?;
        }
        #[cfg(feature = "retention-rules")]
        RetentionPlan::Rules(rules) => {
            survey_rules(parts, rules, floor_cutoff, &mut preview).await.map_err(PurgeError::NotPlanned)?;
        }
    }
    Ok(preview)
}

async fn survey_watermarks(
    parts: RequiredParts<'_>,
    high: u64,
    low: u64,
    floor: Option<Timestamp>,
    preview: &mut PurgePreview,
) -> Result<(), StoreError> {
    let (reader, removal) = (parts.reader()?, parts.removal()?);
    let everything = Filter::default();
    let all = retry(|| reader.count(&everything)).await?;
    if all <= low || (all <= high && !is_unfinished(reader).await?) {
        return Ok(());
    }
    let newest_to_go = PageQuery::new(everything, 1).skip(low);
    let Some(last) = retry(|| removal.positions(&newest_to_go)).await?.first().copied() else { return Ok(()) };
    if let Some(floor) = floor.filter(|floor| last.created_at >= *floor) {
        let young = Filter::new().since(floor);
        preview.kept_by_floor = retry(|| reader.count(&young)).await?.saturating_sub(low);
        preview.deletion = Deletion::Before(floor);
        preview.range = EventExtent::of(reader, &Filter::new().until(floor)).await?;
        return Ok(());
    }
    let older = EventExtent::of(reader, &Filter::new().until(last.created_at)).await?;
    let mut ties = 0;
    let mut next = Some(ties_through(last));
    while let Some(query) = next.take() {
        let page = retry(|| removal.positions(&query)).await?;
        ties += page.len() as u64;
        next = page.last().filter(|_| page.len() == query.limit).map(|last| query.after(*last));
    }
    preview.deletion = Deletion::Through(last);
    preview.range = Some(EventExtent {
        events: older.map_or(0, |older| older.events) + ties,
        first: older.map_or(last.created_at, |older| older.first),
        last: last.created_at,
    });
    Ok(())
}

/// Returns a query for the events of this position's moment, from this position on.
pub(super) fn ties_through(last: Cursor) -> PageQuery {
    let at = last.created_at;
    let filter = Filter::new().since(at).until(Timestamp::from_micros(at.as_micros() + 1));
    let above = last.event_id.as_u128().checked_add(1);
    let after = above.map(|id| Cursor { created_at: at, event_id: EventId::from_u128(id) });
    PageQuery::new(filter, super::pacing::CHUNK_EVENTS).after(after)
}

/// Returns true if the newest purge by watermarks did not come to its end.
///
/// Anyone who may append can forge its event. All that does is to lower the high watermark to the low one, once.
async fn is_unfinished(reader: &dyn Reader) -> Result<bool, StoreError> {
    let purges = PageQuery::new(Filter::new().event_type(EventType::AUDIT_PURGE.as_str()), RECENT_PURGES);
    let newest = match retry(|| reader.query(&purges)).await {
        Ok(newest) => newest,
        // An account that may only purge cannot know.
        Err(error) if error.kind() == StoreErrorKind::Denied => return Ok(false),
        Err(error) => return Err(error),
    };
    let text =
        |event: &AuditEvent, name: &str| event.details.get(name).and_then(|value| value.as_str().map(str::to_owned));
    // `started` has the plan, and `completed`; `unknown`, by which a recovery ends `started`, has none.
    let newest = newest.iter().find(|event| text(event, "plan").as_deref() == Some(WATERMARKS));
    Ok(newest.is_some_and(|event| event.phase != Phase::Completed || text(event, "ended").as_deref() != Some("done")))
}

/// The number of purges among which the last one of watermarks is looked for.
const RECENT_PURGES: usize = 100;

#[cfg(feature = "retention-rules")]
async fn survey_rules(
    parts: RequiredParts<'_>,
    rules: &super::rules::RetentionRules,
    floor: Option<Timestamp>,
    preview: &mut PurgePreview,
) -> Result<(), StoreError> {
    use super::rule_evaluation::{RuleCutoffs, RuleWalk};

    let cutoffs = RuleCutoffs::new(rules, preview.as_of, floor);
    let all_before = cutoffs.all_before();
    let mut walk = RuleWalk::new(&cutoffs, parts.reader()?, parts.removal()?, None);
    let mut counts = vec![0; rules.rules().len()];
    let mut counts_before = counts.clone();
    let (mut first, mut last) = (None, None);
    while let Some(page) = walk.next().await? {
        preview.kept_by_floor += page.kept_by_floor;
        preview.open += page.open;
        for (position, rule) in page.selected {
            let at = position.created_at;
            let is_old = all_before.is_some_and(|all_before| at < all_before);
            for counts in [&mut counts, &mut counts_before].into_iter().take(1 + usize::from(is_old)) {
                counts.get_mut(rule).into_iter().for_each(|count| *count += 1);
            }
            last = last.or(Some(at));
            first = Some(at);
        }
    }
    let events: u64 = counts.iter().sum();
    preview.range = first.zip(last).map(|(first, last)| EventExtent { events, first, last });
    preview.rules = counts;
    preview.deletion = Deletion::ByRules { until: cutoffs.until(), all_before, rules: counts_before };
    Ok(())
}
