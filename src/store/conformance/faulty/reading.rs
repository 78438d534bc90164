//! Reads that go wrong: a listing in memory, with what the fault changes about it.

use super::{Fault, FaultyStore};
use crate::event::{AuditEvent, EventId};
use crate::query::{Cursor, Filter, Query};
use crate::store::{Reader, StoreError, StoreErrorKind, StoreFuture};

impl Reader for FaultyStore {
    fn query<'a>(&'a self, query: &'a Query) -> StoreFuture<'a, Vec<AuditEvent>> {
        Box::pin(async move {
            let Some(fault) = self.fault() else { return self.inner_reader()?.query(query).await };
            if self.breaks(fault, &query.filter) {
                return self.refusal("query");
            }
            if fault == Fault::RefusesGreatSkips && i64::try_from(query.skip).is_err() {
                return self.refusal("query");
            }
            let listing = self.listing(fault).await?;
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
            let listing = self.listing(fault).await?;
            let passing = listing.iter().filter(|event| passes(fault, filter, event)).count() as u64;
            Ok(match fault {
                Fault::CountOffByOne => passing + 1,
                Fault::CountIgnoresFilter => listing.len() as u64,
                _ => passing,
            })
        })
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
}

impl FaultyStore {
    pub(super) fn inner_reader(&self) -> Result<&dyn Reader, StoreError> {
        self.inner.reader().ok_or_else(|| self.error(StoreErrorKind::Unsupported, "reading"))
    }

    /// Every event, in the order of a listing, as the fault lets them be seen.
    pub(super) async fn listing(&self, fault: Fault) -> Result<Vec<AuditEvent>, StoreError> {
        let mut all = self.inner_reader()?.query(&Query::new(Filter::default(), usize::MAX)).await?;
        let state = self.shared.state();
        if fault != Fault::TidyForgetsIds {
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
                [&filter.user_email, &filter.route, &filter.remote_addr].into_iter().flatten().any(|t| t.contains('\''))
            }
            _ => false,
        }
    }
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
        Fault::SinceExclusive if filter.since == Some(event.created_at) => return false,
        Fault::UntilInclusive if filter.until == Some(event.created_at) => filter.until = None,
        Fault::IgnoresPhase => filter.phase = None,
        Fault::ZeroMatchesNull if filter.outcome == Some(0) && event.outcome.is_none() => filter.outcome = None,
        Fault::MatchesTypePrefix => {
            let wanted = filter.event_type.take();
            if wanted.is_some_and(|wanted| !event.event_type.as_str().starts_with(wanted.as_str())) {
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
                if wanted.as_deref().is_some_and(|wanted| is_like(fault, wanted, found.as_deref())) {
                    *wanted = None;
                }
            }
        }
        Fault::MatchesAnyCondition => {
            let none = Filter::default();
            let user = Filter { user_email: filter.user_email.take(), ..none.clone() };
            let route = Filter { route: filter.route.take(), ..none.clone() };
            let asked: Vec<_> = [user, route, filter].into_iter().filter(|part| *part != none).collect();
            return asked.is_empty() || asked.iter().any(|part| part.matches(event));
        }
        _ => {}
    }
    filter.matches(event)
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
