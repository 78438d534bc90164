//! The changes of an object that an event has recorded.

use serde_json::Value;

use crate::event::AuditEvent;

/// The changes in the details of an event, as [`AuditContext::diff`](crate::AuditContext::diff) records them.
///
/// `details.changes` of another shape is an app's own, and has none.
///
/// ```
/// use tower_audit::export::RecordedChanges;
/// use tower_audit::{AuditEvent, ChangeSet, EventType};
///
/// let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
/// let (before, after) = (serde_json::json!({"status": "open"}), serde_json::json!({"status": "shipped"}));
/// event.details = ChangeSet::between(&before, &after)?.into_details();
/// let recorded = RecordedChanges::of(&event);
/// assert_eq!(recorded.changes[0].path, "/status");
/// assert_eq!(recorded.changes[0].to, Some(&"shipped".into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RecordedChanges<'e> {
    /// The changes, in the order in which they were recorded.
    pub changes: Vec<RecordedChange<'e>>,
    /// The number of changes that the event had no room for.
    pub omitted: u64,
}

/// A value that was added, removed or replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RecordedChange<'e> {
    /// The path of the value as a JSON pointer (RFC 6901); empty for the whole object.
    pub path: &'e str,
    /// The value before; none if it was added.
    pub from: Option<&'e Value>,
    /// The value after; none if it was removed.
    pub to: Option<&'e Value>,
}

impl<'e> RecordedChanges<'e> {
    /// Reads the changes of an event.
    pub fn of(event: &'e AuditEvent) -> Self {
        let Some(Value::Array(list)) = event.details.get("changes") else { return Self::default() };
        let read = |entry: &'e Value| {
            let (path, from, to) = (entry.get("path")?.as_str()?, entry.get("from"), entry.get("to"));
            (from.is_some() || to.is_some()).then_some(RecordedChange { path, from, to })
        };
        // An entry that reads otherwise: the list is an app's own.
        let Some(changes) = list.iter().map(read).collect::<Option<Vec<_>>>() else { return Self::default() };
        let omitted = event.details.get("changes_omitted").and_then(Value::as_u64).unwrap_or(0);
        Self { changes, omitted }
    }

    /// Returns true if the event has no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.omitted == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use serde_json::json;

    fn event(changes: Value) -> AuditEvent {
        let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
        event.details.insert("changes".into(), changes);
        event
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let mut event = event(json!([
            {"path": "/a", "op": "add", "to": null},
            {"path": "/b/0", "op": "remove", "from": [1]},
            {"path": "", "op": "replace", "from": 1, "to": 2},
        ]));
        event.details.insert("changes_omitted".into(), 3.into());
        let read = RecordedChanges::of(&event);
        let lines: Vec<_> = read.changes.iter().map(|it| (it.path, it.from.cloned(), it.to.cloned())).collect();
        assert_eq!(
            lines,
            [("/a", None, Some(Value::Null)), ("/b/0", Some(json!([1])), None), ("", Some(1.into()), Some(2.into())),]
        );
        assert_eq!((read.omitted, read.is_empty()), (3, false));
    }

    #[test]
    fn a_list_of_another_shape_is_an_apps_own() {
        for own in [
            json!({"status": "open"}),
            json!(["status"]),
            json!([{"path": "/a", "to": 1}, {"path": 7, "to": 1}]),
            json!([{"path": "/a"}]),
            json!([{"to": 1}]),
            json!("x"),
        ] {
            assert!(RecordedChanges::of(&event(own.clone())).is_empty(), "{own}");
        }
        assert!(RecordedChanges::of(&AuditEvent::new(EventType::AUTH)).is_empty());
    }
}
