//! The changes of an event: a row for each, with the value before and after.

use super::safe_html::SafeText;
use crate::event::AuditEvent;
use crate::export::{RecordedChange, RecordedChanges, to_json};

/// The changes that an event recorded.
#[derive(Debug)]
pub(super) struct ChangeRows<'a> {
    pub(super) rows: Vec<ChangeRow<'a>>,
    /// The number of changes that the event had no room for.
    pub(super) omitted: u64,
}

#[derive(Debug)]
pub(super) struct ChangeRow<'a> {
    path: &'a str,
    pub(super) kind: &'static str,
    pub(super) sign: &'static str,
    pub(super) from: Option<ValueText>,
    pub(super) to: Option<ValueText>,
}

/// A value as JSON in one line.
#[derive(Debug)]
pub(super) struct ValueText(String);

impl<'a> ChangeRows<'a> {
    pub(super) fn of(event: &'a AuditEvent) -> Self {
        let RecordedChanges { changes, omitted } = RecordedChanges::of(event);
        Self { rows: changes.into_iter().map(ChangeRow::of).collect(), omitted }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.omitted == 0
    }
}

impl<'a> ChangeRow<'a> {
    fn of(change: RecordedChange<'a>) -> Self {
        let (kind, sign) = match (change.from, change.to) {
            (None, _) => ("added", "+"),
            (_, None) => ("removed", "−"),
            _ => ("changed", "~"),
        };
        // Details are valid JSON.
        let text = |value| ValueText(to_json(value).unwrap_or_default());
        Self { path: change.path, kind, sign, from: change.from.map(text), to: change.to.map(text) }
    }

    pub(super) fn path(&self) -> SafeText<'_> {
        SafeText::line(if self.path.is_empty() { "(the whole)" } else { self.path })
    }
}

impl ValueText {
    pub(super) fn shown(&self) -> SafeText<'_> {
        SafeText::beginning(&self.0)
    }
}
