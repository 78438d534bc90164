//! A walk through the events of a log, newest first, that asks the rules about each.

use std::collections::HashSet;

use super::pacing::{CHUNK_EVENTS, retry};
use super::plan::before;
use super::rules::RetentionRules;
use crate::event::{AuditEvent, EventId, Phase, Timestamp};
use crate::query::{Cursor, Filter, PageQuery};
use crate::store::{Reader, Removal, StoreError};

/// The moments before which each rule deletes.
#[derive(Debug)]
pub(super) struct RuleCutoffs<'a> {
    rules: &'a RetentionRules,
    cutoffs: Vec<Timestamp>,
    /// No event from this moment on is deleted.
    floor: Timestamp,
}

impl<'a> RuleCutoffs<'a> {
    pub(super) fn new(rules: &'a RetentionRules, now: Timestamp, floor: Option<Timestamp>) -> Self {
        let cutoffs = rules.rules().iter().map(|rule| before(rule.age(), now)).collect();
        Self { rules, cutoffs, floor: floor.unwrap_or(Timestamp::MAX) }
    }

    /// Returns the moment from which on no rule deletes, whatever the floor is.
    pub(super) fn until(&self) -> Timestamp {
        self.cutoffs.iter().max().copied().unwrap_or(Timestamp::MIN)
    }

    /// Returns the moment before which every event is deleted, whatever it holds: if one of the rules matches everything,
    /// the earliest cutoff of those up to it.
    pub(super) fn all_before(&self) -> Option<Timestamp> {
        let last = self.rules.rules().iter().position(|rule| rule.matches_everything())?;
        let earliest = self.cutoffs.iter().take(last + 1).min()?;
        Some((*earliest).min(self.floor))
    }

    /// Returns the rule that deletes the event.
    fn verdict(&self, event: &AuditEvent) -> Verdict {
        match self.rules.first_match(event) {
            Some(rule) if self.cutoffs.get(rule).is_some_and(|cutoff| event.created_at < *cutoff) => {
                if event.created_at < self.floor { Verdict::Delete(rule) } else { Verdict::KeptByFloor }
            }
            _ => Verdict::Keep,
        }
    }
}

enum Verdict {
    Keep,
    KeptByFloor,
    Delete(usize),
}

/// The events of one page that the rules select.
#[derive(Debug, Default)]
pub(super) struct RuledPage {
    /// The events to delete, newest first, each with its rule.
    pub(super) selected: Vec<(Cursor, usize)>,
    pub(super) kept_by_floor: u64,
    /// The number of `started` events that stay because nothing has ended them.
    pub(super) open: u64,
}

/// Reads page after page. Memory is bounded by one page.
pub(super) struct RuleWalk<'a> {
    cutoffs: &'a RuleCutoffs<'a>,
    reader: &'a dyn Reader,
    removal: &'a dyn Removal,
    /// The next page; none after the last.
    next: Option<PageQuery>,
    /// Open events from before this moment are selected as well.
    all_before: Timestamp,
}

impl<'a> RuleWalk<'a> {
    pub(super) fn new(
        cutoffs: &'a RuleCutoffs<'a>,
        reader: &'a dyn Reader,
        removal: &'a dyn Removal,
        since: Option<Timestamp>,
    ) -> Self {
        let filter = Filter::new().since(since).until(cutoffs.until());
        let all_before = cutoffs.all_before().unwrap_or(Timestamp::MIN);
        Self { cutoffs, reader, removal, next: Some(PageQuery::new(filter, CHUNK_EVENTS)), all_before }
    }

    /// Returns the next page, if there is one.
    pub(super) async fn next(&mut self) -> Result<Option<RuledPage>, StoreError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        let events = retry(|| self.reader.query(&query)).await?;
        if let Some(last) = events.last().filter(|_| events.len() == query.limit) {
            self.next = Some(query.after(Cursor::of(last)));
        }
        let mut page = RuledPage::default();
        let mut started = Vec::new();
        for event in &events {
            match self.cutoffs.verdict(event) {
                Verdict::Keep => {}
                Verdict::KeptByFloor => page.kept_by_floor += 1,
                Verdict::Delete(rule) => {
                    page.selected.push((Cursor::of(event), rule));
                    if event.phase == Phase::Started && event.created_at >= self.all_before {
                        started.push(event.event_id);
                    }
                }
            }
        }
        if !started.is_empty() {
            let open: HashSet<EventId> = retry(|| self.removal.still_open(&started)).await?.into_iter().collect();
            page.selected.retain(|(position, _)| !open.contains(&position.event_id));
            page.open = open.len() as u64;
        }
        Ok(Some(page))
    }
}
