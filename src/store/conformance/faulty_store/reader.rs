//! Reads that go wrong: a listing in memory, with what the fault changes about it.

use std::collections::HashSet;

use super::super::fault::Fault;
use super::FaultyStore;
use crate::event::{AuditEvent, CompactText, EventId, Phase};
use crate::query::{Buckets, Condition, Cursor, Field, Filter, OutcomePattern, PageQuery, TextPattern, ValueCount};
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for FaultyStore {
    fn query<'a>(&'a self, query: &'a PageQuery) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.query(query).await };
            if self.breaks(fault, &query.filter) {
                return self.refusal("query");
            }
            if fault == Fault::RefusesGreatSkips && i64::try_from(query.skip).is_err() {
                return self.refusal("query");
            }
            let listing = self.shown(fault, &query.filter).await?;
            let skip = query.skip.saturating_add(u64::from(fault == Fault::SkipOffByOne && query.skip > 0));
            let limit = match fault {
                Fault::LimitOffByOne => query.limit.saturating_add(1),
                Fault::ZeroIsNoLimit if query.limit == 0 => usize::MAX,
                _ => query.limit,
            };
            if fault == Fault::CursorNeedsItsEvent
                && query.after.is_some_and(|after| !listing.iter().any(|event| Cursor::of(event) == after))
            {
                return Ok(Vec::new());
            }
            Ok(listing
                .into_iter()
                .filter(|event| query.after.is_none_or(|after| comes_after(fault, event, after)))
                .filter(|event| passes(fault, &query.filter, event))
                .skip(usize::try_from(skip).unwrap_or(usize::MAX))
                .take(limit)
                .collect())
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.count(filter).await };
            if self.breaks(fault, filter) {
                return self.refusal("count");
            }
            let listing = self.shown(fault, filter).await?;
            let passing = listing.iter().filter(|event| passes(fault, filter, event)).count() as u64;
            Ok(match fault {
                Fault::CountOffByOne => passing + 1,
                Fault::CountIgnoresFilter => listing.len() as u64,
                _ => passing,
            })
        })
    }

    fn top_values<'a>(&'a self, filter: &'a Filter, by: Field, at_most: usize) -> StoreFuture<'a, Vec<ValueCount>> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.top_values(filter, by, at_most).await };
            let everything = Filter::default();
            let filter = if fault == Fault::TopValuesIgnoreFilter { &everything } else { filter };
            let listing = self.shown(fault, filter).await?;
            let mut counts: Vec<ValueCount> = Vec::new();
            for event in listing.iter().filter(|event| passes(fault, filter, event)) {
                let value = by.value_of(event);
                match counts.iter_mut().find(|known| known.value == value) {
                    Some(known) => known.count += 1,
                    None => counts.push(ValueCount { value, count: 1 }),
                }
            }
            match fault {
                Fault::TopValuesForgetMissing => counts.retain(|known| known.value.is_some()),
                Fault::TopValuesIgnoreLimit => return Ok(most_first(counts, usize::MAX)),
                Fault::TopValuesOrderedByValue => {
                    counts.sort_by(|a, b| a.value.cmp(&b.value));
                    counts.truncate(at_most);
                    return Ok(counts);
                }
                _ => {}
            }
            Ok(most_first(counts, at_most))
        })
    }

    fn histogram<'a>(&'a self, filter: &'a Filter, buckets: &'a Buckets) -> StoreFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.histogram(filter, buckets).await };
            let everything = Filter::default();
            let filter = if fault == Fault::HistogramIgnoresFilter { &everything } else { filter };
            let mut counts = vec![0; buckets.len()];
            for event in self.shown(fault, filter).await?.iter().filter(|event| passes(fault, filter, event)) {
                // Off by a microsecond, which only an event at the very edge shows.
                let late = i64::from(fault == Fault::BucketsIncludeTheirEnd);
                let moment = crate::Timestamp::from_micros_clamped(event.created_at.as_micros() - late);
                if let Some(count) = buckets.index_of(moment).and_then(|bucket| counts.get_mut(bucket)) {
                    *count += 1;
                }
            }
            Ok(counts)
        })
    }

    fn unindexed(&self, filter: &Filter) -> Vec<&'static str> {
        self.inner_reader().map(|reader| reader.unindexed(filter)).unwrap_or_default()
    }

    fn check_access(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.inner_reader()?.check_access().await })
    }

    fn get(&self, id: EventId) -> StoreFuture<'_, Option<AuditEvent>> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.get(id).await };
            let listing = self.listing(fault).await?;
            let found = listing.iter().find(|event| event.event_id == id).cloned();
            match fault {
                Fault::FindsNothing => Ok(None),
                Fault::FindsAnother => Ok(found.and(listing.into_iter().find(|event| event.event_id != id))),
                Fault::FailsToMiss if found.is_none() => self.refusal("get"),
                Fault::PurgeLeavesIds => Ok(found.or_else(|| self.shared.state().purged.get(&id).cloned())),
                _ => Ok(found),
            }
        })
    }

    fn get_of<'a>(&'a self, id: EventId, user_email: &'a str) -> StoreFuture<'a, Option<AuditEvent>> {
        Box::pin(async move {
            match self.fault() {
                None => self.inner_reader()?.get_of(id, user_email).await,
                Some(Fault::GetsOfAnybody) => self.get(id).await,
                Some(Fault::GetsOfNobody) => Ok(None),
                Some(_) => {
                    let found = self.get(id).await?;
                    Ok(found.filter(|event| event.actor.user_email.as_deref() == Some(user_email)))
                }
            }
        })
    }
}

impl FaultyStore {
    pub(super) fn inner_reader(&self) -> Result<&dyn Reader, StoreError> {
        self.inner.parts().reader.ok_or_else(|| self.error(StoreErrorKind::Unsupported, "reading"))
    }

    /// Every event, in the order of a listing, without those that the filter folds.
    async fn shown(&self, fault: Fault, filter: &Filter) -> Result<Vec<AuditEvent>, StoreError> {
        let mut all = self.listing(fault).await?;
        match fault {
            _ if !filter.folded => {}
            Fault::IgnoresFolding => {}
            Fault::FoldsOpenEvents => all.retain(|event| event.phase != Phase::Started),
            _ => {
                let folded = PageQuery::new(Filter::new().folded(true), usize::MAX);
                let shown: HashSet<EventId> =
                    self.inner_reader()?.query(&folded).await?.iter().map(|event| event.event_id).collect();
                all.retain(|event| event.phase != Phase::Started || shown.contains(&event.event_id));
            }
        }
        Ok(all)
    }

    /// Every event, in the order of a listing, as the fault lets them be seen.
    pub(super) async fn listing(&self, fault: Fault) -> Result<Vec<AuditEvent>, StoreError> {
        let mut all = self.inner_reader()?.query(&PageQuery::new(Filter::default(), usize::MAX)).await?;
        let state = self.shared.state();
        if fault != Fault::MaintenanceForgetsIds {
            all.retain(|event| !state.lost.contains(&event.event_id));
        }
        if fault == Fault::SeesOnlyItsOwn {
            all.retain(|event| state.arrived.get(&event.event_id).is_none_or(|(_, by)| *by == self.handle));
        }
        for event in &mut all {
            if let Some(other) = state.replaced.get(&event.event_id) {
                event.clone_from(other);
            }
        }
        all.extend(state.repeated.iter().cloned());
        match fault {
            Fault::OldestFirst => all.sort_by_key(AuditEvent::sort_key),
            Fault::TiesReversed => all.sort_by_key(|event| (std::cmp::Reverse(event.created_at), event.event_id)),
            Fault::OrdersByArrival => {
                let arrival = |event: &AuditEvent| state.arrived.get(&event.event_id).map(|(place, _)| *place);
                all.sort_by_key(|event| std::cmp::Reverse(arrival(event)));
            }
            _ => all.sort_by_key(|event| std::cmp::Reverse(event.sort_key())),
        }
        Ok(all)
    }

    fn breaks(&self, fault: Fault, filter: &Filter) -> bool {
        match fault {
            Fault::RefusesEmptySpans => filter.since.zip(filter.until).is_some_and(|(since, until)| since > until),
            Fault::BreaksOnQuotes => {
                let conditions = [&filter.user_email, &filter.route, &filter.remote_addr];
                conditions.into_iter().filter_map(only_text).any(|text| text.contains('\''))
            }
            _ => false,
        }
    }
}

fn most_first(mut counts: Vec<ValueCount>, at_most: usize) -> Vec<ValueCount> {
    ValueCount::sort_and_truncate(&mut counts, at_most);
    counts
}

fn comes_after(fault: Fault, event: &AuditEvent, after: Cursor) -> bool {
    match fault {
        Fault::CursorInclusive => Cursor::of(event) <= after,
        Fault::CursorSkipsTies => event.created_at < after.created_at,
        Fault::OldestFirst => Cursor::of(event) > after,
        _ => Cursor::of(event) < after,
    }
}

fn passes(fault: Fault, filter: &Filter, event: &AuditEvent) -> bool {
    let mut filter = filter.clone();
    match fault {
        Fault::LooksAtTheFirstTarget => {
            let mut event = event.clone();
            event.targets = event.targets.into_iter().take(1).collect();
            return filter.matches(&event);
        }
        Fault::ComparesTextDetailsOnly => {
            let mut event = event.clone();
            event.details.retain(|_, value| value.is_string());
            return filter.matches(&event);
        }
        Fault::SinceExclusive if filter.since == Some(event.created_at) => return false,
        Fault::UntilInclusive if filter.until == Some(event.created_at) => filter.until = None,
        Fault::IgnoresPhase => filter.phase = Condition::default(),
        Fault::ZeroMatchesNull if filter.outcome == 0.into() && event.outcome.is_none() => {
            filter.outcome = Condition::default();
        }
        Fault::TakesClassesForStatuses => {
            let one = |status: &OutcomePattern| match *status {
                OutcomePattern::Class(hundreds) => OutcomePattern::Exact(u16::from(hundreds) * 100),
                other => other,
            };
            filter.outcome = each(&filter.outcome, one);
        }
        Fault::ForgetsTheSecondValue => {
            filter.user_email = Condition::any_of(filter.user_email.included().first().cloned());
        }
        Fault::NegationNeedsSomething => {
            let missing = |condition: &Condition<_>, found: &Option<CompactText>| {
                !condition.excluded().is_empty() && condition.excluded() != [TextPattern::any()] && found.is_none()
            };
            if missing(&filter.user_email, &event.actor.user_email) || missing(&filter.route, &event.resource.route) {
                return false;
            }
        }
        Fault::StarsNeedSomething => {
            let found = event.resource.route.as_deref().unwrap_or_default();
            let shortest = |pattern: &TextPattern| pattern.as_exact().is_none() && pattern.literals().concat() == found;
            if filter.route.included().iter().any(shortest) {
                return false;
            }
        }
        Fault::StarsOverlap
        | Fault::MatchesLikeBesideStars
        | Fault::FoldsCaseBesideStars
        | Fault::ExcludedOnlyWithoutIncluded => {
            let (actor, resource) = (&event.actor, &event.resource);
            for (condition, found) in [
                (&mut filter.user_email, &actor.user_email),
                (&mut filter.route, &resource.route),
                (&mut filter.remote_addr, &actor.remote_addr),
            ] {
                if !is_as_wanted(fault, &std::mem::take(condition), found.as_deref()) {
                    return false;
                }
            }
        }
        Fault::MatchesTypePrefix => {
            let wanted = std::mem::take(&mut filter.event_type);
            if only_text(&wanted).is_some_and(|wanted| !event.event_type.as_str().starts_with(wanted)) {
                return false;
            }
        }
        Fault::FoldsCase | Fault::MatchesLike | Fault::EmptyMatchesNull => {
            let (actor, resource) = (&event.actor, &event.resource);
            for (wanted, found) in [
                (&mut filter.user_email, &actor.user_email),
                (&mut filter.route, &resource.route),
                (&mut filter.remote_addr, &actor.remote_addr),
            ] {
                if only_text(wanted).is_some_and(|wanted| is_like(fault, wanted, found.as_deref())) {
                    *wanted = Condition::default();
                }
            }
        }
        Fault::MatchesAnyCondition => {
            let none = Filter::default();
            let user = Filter { user_email: std::mem::take(&mut filter.user_email), ..none.clone() };
            let route = Filter { route: std::mem::take(&mut filter.route), ..none.clone() };
            let asked: Vec<_> = [user, route, filter].into_iter().filter(|part| *part != none).collect();
            return asked.is_empty() || asked.iter().any(|part| part.matches(event));
        }
        _ => {}
    }
    filter.matches(event)
}

/// The text that is asked for, where it is one text exactly.
fn only_text(condition: &Condition<TextPattern>) -> Option<&str> {
    match (condition.included(), condition.excluded()) {
        ([only], []) => only.as_exact(),
        _ => None,
    }
}

fn each<T>(condition: &Condition<T>, one: impl Fn(&T) -> T) -> Condition<T> {
    if condition.included().is_empty() {
        Condition::none_of(condition.excluded().iter().map(one))
    } else {
        Condition::any_of(condition.included().iter().map(one))
    }
}

fn is_as_wanted(fault: Fault, condition: &Condition<TextPattern>, found: Option<&str>) -> bool {
    let is = |pattern: &TextPattern| found.is_some_and(|found| looks_like(fault, pattern, found));
    let (wanted, unwanted) = (condition.included(), condition.excluded());
    let is_wanted = wanted.is_empty() || wanted.iter().any(is);
    is_wanted && (!unwanted.iter().any(is) || (fault == Fault::ExcludedOnlyWithoutIncluded && !wanted.is_empty()))
}

fn looks_like(fault: Fault, pattern: &TextPattern, found: &str) -> bool {
    match (fault, pattern.literals()) {
        (Fault::StarsOverlap, [first, middle @ .., last]) => {
            found.starts_with(first) && found.ends_with(last) && middle.iter().all(|literal| found.contains(literal))
        }
        (Fault::MatchesLikeBesideStars, literals @ [_, _, ..]) => like(literals.join("%").as_bytes(), found.as_bytes()),
        (Fault::FoldsCaseBesideStars, [_, _, ..]) => {
            let folded = pattern.to_string().to_lowercase().parse::<TextPattern>();
            folded.is_ok_and(|folded| folded.matches(&found.to_lowercase()))
        }
        _ => pattern.matches(found),
    }
}

fn is_like(fault: Fault, wanted: &str, found: Option<&str>) -> bool {
    let Some(found) = found else { return fault == Fault::EmptyMatchesNull && wanted.is_empty() };
    match fault {
        Fault::FoldsCase => wanted.to_lowercase() == found.to_lowercase(),
        Fault::MatchesLike => like(wanted.as_bytes(), found.as_bytes()),
        _ => false,
    }
}

/// SQL's `LIKE`, on bytes.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'%', rest)), None) => like(rest, text),
        (Some((b'%', rest)), Some((_, tail))) => like(rest, text) || like(pattern, tail),
        (Some((wanted, rest)), Some((found, tail))) => (*wanted == b'_' || wanted == found) && like(rest, tail),
        _ => false,
    }
}
