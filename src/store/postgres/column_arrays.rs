//! The values of a batch: an array for each column, or, of a single event, a value for each.

use std::borrow::Cow;

use uuid::Uuid;

use super::event_columns::{TEXT_COLUMNS, TargetColumns, text};
use super::json_text::JsonText;
use super::session::PgQuery;
use super::timestamptz::Timestamptz;
use crate::event::{AuditEvent, Details, Phase};

/// A batch, ready to be bound. Its rows are in the order of their ids: two writers that append the same events then
/// never wait for each other in a circle.
#[derive(Debug)]
pub(super) struct ColumnArrays<'a> {
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    created_at: Vec<Timestamptz>,
    phase: Vec<&'static str>,
    texts: [Vec<Option<Cow<'a, str>>>; TEXT_COLUMNS.len()],
    target_type: Vec<Option<&'a str>>,
    target_id: Vec<Option<&'a str>>,
    more_targets: Vec<Option<String>>,
    outcome: Vec<Option<i32>>,
    details: Vec<JsonText<'a, Details>>,
    event: Vec<JsonText<'a, AuditEvent>>,
    /// The `started` events that events of the batch end.
    ended_ids: Vec<Uuid>,
    /// True if the batch has `started` events.
    pub(super) any_started: bool,
}

impl<'a> ColumnArrays<'a> {
    pub(super) fn of(events: &'a [AuditEvent]) -> Self {
        if events.is_sorted_by_key(|event| event.event_id) {
            return Self::collect(events.iter());
        }
        let mut sorted: Vec<&AuditEvent> = events.iter().collect();
        // Of events with one id, the first stays the first.
        sorted.sort_by_key(|event| event.event_id);
        Self::collect(sorted.into_iter())
    }

    fn with_capacity(events: usize) -> Self {
        Self {
            event_id: Vec::with_capacity(events),
            event_type: Vec::with_capacity(events),
            created_at: Vec::with_capacity(events),
            phase: Vec::with_capacity(events),
            texts: std::array::from_fn(|_| Vec::with_capacity(events)),
            target_type: Vec::with_capacity(events),
            target_id: Vec::with_capacity(events),
            more_targets: Vec::with_capacity(events),
            outcome: Vec::with_capacity(events),
            details: Vec::with_capacity(events),
            event: Vec::with_capacity(events),
            ended_ids: Vec::new(),
            any_started: false,
        }
    }

    fn collect(events: impl ExactSizeIterator<Item = &'a AuditEvent>) -> Self {
        let mut batch = Self::with_capacity(events.len());
        for event in events {
            batch.event_id.push(event.event_id.into());
            batch.event_type.push(event.event_type.as_str());
            batch.created_at.push(Timestamptz(event.created_at));
            batch.phase.push(event.phase.as_str());
            for (texts, (_, field)) in batch.texts.iter_mut().zip(TEXT_COLUMNS) {
                texts.push(text(event, field));
            }
            let targets = TargetColumns::of(event);
            batch.target_type.push(targets.target_type);
            batch.target_id.push(targets.target_id);
            batch.more_targets.push(targets.more);
            batch.outcome.push(event.outcome.map(i32::from));
            batch.details.push(JsonText(&event.details));
            batch.event.push(JsonText(event));
            if event.phase == Phase::Started {
                batch.any_started = true;
            } else {
                batch.ended_ids.extend(event.request.started_event_id.map(Uuid::from));
            }
        }
        batch
    }

    /// Binds the columns, in the order of [`columns`](super::event_columns::columns), and what the batch ends and who opens.
    pub(super) fn bind_with_effects<'q>(mut self, query: PgQuery<'q>, writer: Option<i64>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let ended = std::mem::take(&mut self.ended_ids);
        self.bind_columns(query).bind(ended).bind(writer)
    }

    /// Binds the columns, in the order of [`columns`](super::event_columns::columns).
    pub(super) fn bind_columns<'q>(self, query: PgQuery<'q>) -> PgQuery<'q>
    where
        'a: 'q,
    {
        let query = query.bind(self.event_id).bind(self.event_type).bind(self.created_at).bind(self.phase);
        self.texts
            .into_iter()
            .fold(query, PgQuery::bind)
            .bind(self.target_type)
            .bind(self.target_id)
            .bind(self.more_targets)
            .bind(self.outcome)
            .bind(self.details)
            .bind(self.event)
    }
}

/// Returns true if the event changes the table of open events: it starts a request, or ends one.
pub(super) fn changes_started(event: &AuditEvent) -> bool {
    event.phase == Phase::Started || event.request.started_event_id.is_some()
}

/// Binds the values of a single event, in the order of [`columns`](super::event_columns::columns).
pub(super) fn bind_one<'q>(query: PgQuery<'q>, event: &'q AuditEvent) -> PgQuery<'q> {
    let query = query
        .bind(Uuid::from(event.event_id))
        .bind(event.event_type.as_str())
        .bind(Timestamptz(event.created_at))
        .bind(event.phase.as_str());
    let TargetColumns { target_type, target_id, more } = TargetColumns::of(event);
    TEXT_COLUMNS
        .into_iter()
        .fold(query, |query, (_, field)| query.bind(text(event, field)))
        .bind(target_type)
        .bind(target_id)
        .bind(more)
        .bind(event.outcome.map(i32::from))
        .bind(JsonText(&event.details))
        .bind(JsonText(event))
}
