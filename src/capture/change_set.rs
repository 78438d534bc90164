//! The differences between an object before and after an action.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::event::{Details, truncate};
use crate::policy::{HIDDEN, looks_like_credential};

/// The differences between an object before and after an action, to be recorded in `details.changes`.
///
/// Each [`Change`] has the path of a value as a JSON pointer (RFC 6901), and the value before and after. Objects are compared
/// member by member. Arrays are compared without the elements that are equal at the beginning and at the end of both; the rest
/// element by element. If there is nothing on one side (`()`, `None`), every member of the other one is added or removed.
///
/// The value of a member whose name looks like a credential is `***`, at any depth; `docs/capture.md` has the names, which are
/// those of parameters in a path. The policy's own names ([`PolicyBuilder::redact`](crate::policy::PolicyBuilder::redact)) are
/// hidden when the event is made.
///
/// # Limits
/// At most [64](Self::MAX_CHANGES) changes and [8 KiB](Self::MAX_BYTES) of JSON; `details.changes_omitted` counts the others. A value
/// with more than [1 KiB](Self::MAX_VALUE_BYTES) of JSON is cut visibly.
///
/// ```
/// use tower_audit::ChangeSet;
///
/// #[derive(serde::Serialize)]
/// struct Order {
///     status: &'static str,
///     amount: u32,
///     api_token: &'static str,
/// }
///
/// let before = Order { status: "open", amount: 3, api_token: "a" };
/// let after = Order { status: "shipped", amount: 3, api_token: "b" };
/// let changes = ChangeSet::between(&before, &after)?;
/// assert_eq!(
///     serde_json::to_value(changes.into_details())?,
///     serde_json::json!({"changes": [
///         {"path": "/api_token", "op": "replace", "from": "***", "to": "***"},
///         {"path": "/status", "op": "replace", "from": "open", "to": "shipped"},
///     ]})
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangeSet {
    changes: Vec<Change>,
    bytes: usize,
    omitted: u64,
}

/// One difference: a value that was added, removed or replaced.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The path of the value as a JSON pointer (RFC 6901): `/items/0/sku`; empty for the whole.
    pub path: String,
    /// The value before; none if it was added.
    pub from: Option<Value>,
    /// The value after; none if it was removed.
    pub to: Option<Value>,
}

impl ChangeSet {
    /// The maximum number of changes.
    pub const MAX_CHANGES: usize = 64;
    /// The maximum size of all changes, in bytes of JSON.
    pub const MAX_BYTES: usize = 8 * 1024;
    /// The maximum size of one value, in bytes of JSON.
    pub const MAX_VALUE_BYTES: usize = 1024;
    /// A cut value and a path, as bytes of text, each of which may take six in JSON: one change always has room.
    const CUT_BYTES: usize = 256;
    /// Deeper values are compared as wholes.
    const MAX_DEPTH: usize = 32;

    /// Compares two values.
    ///
    /// # Errors
    /// If one of them is no JSON, such as a map whose keys are lists.
    pub fn between(before: &impl Serialize, after: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::between_json(serde_json::to_value(before)?, serde_json::to_value(after)?))
    }

    /// Compares two values of JSON.
    pub fn between_json(before: Value, after: Value) -> Self {
        let (before, after) = match (before, after) {
            (Value::Null, Value::Object(after)) if !after.is_empty() => (Value::Object(Map::new()), after.into()),
            (Value::Object(before), Value::Null) if !before.is_empty() => (before.into(), Value::Object(Map::new())),
            other => other,
        };
        let mut changes = Self::default();
        changes.compare(&mut String::new(), 0, Some(&before), Some(&after));
        changes
    }

    /// The changes, in the order of their paths.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the number of changes beyond the [limits](Self#limits).
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Returns true if both values are equal.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.omitted == 0
    }

    /// Returns the entries of an event's details: `changes`, and `changes_omitted` if there are more.
    ///
    /// [`AuditContext::diff`](crate::AuditContext::diff) adds them to the event of a request; this is for events that are no
    /// request.
    pub fn into_details(self) -> Details {
        let mut details = Details::new();
        self.add_to(&mut details);
        details
    }

    /// Adds the changes to those that the details have. The limits are those of all of them.
    pub(super) fn add_to(self, details: &mut Details) {
        let mut all = Self { omitted: self.omitted, ..Self::default() };
        let known = match details.get_mut(CHANGES) {
            Some(Value::Array(known)) => std::mem::take(known),
            _ => Vec::new(),
        };
        all.omitted = all.omitted.saturating_add(details.get(OMITTED).and_then(Value::as_u64).unwrap_or_default());
        let mut list = Vec::with_capacity(known.len() + self.changes.len());
        for change in known.into_iter().chain(self.changes.iter().map(Change::to_json)) {
            if all.has_room(json_len(&change), list.len()) {
                list.push(change);
            }
        }
        details.insert(CHANGES.to_owned(), Value::Array(list));
        if all.omitted > 0 {
            details.insert(OMITTED.to_owned(), all.omitted.into());
        }
    }

    /// Counts a change of this size. Returns true if it fits.
    fn has_room(&mut self, bytes: usize, number: usize) -> bool {
        // A comma or a bracket.
        let total = self.bytes.saturating_add(bytes + 1);
        let fits = number < Self::MAX_CHANGES && total < Self::MAX_BYTES;
        if fits {
            self.bytes = total;
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
        fits
    }

    fn compare(&mut self, path: &mut String, depth: usize, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) if depth < Self::MAX_DEPTH => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let (before, after) = (before.get(name), after.get(name));
                    if looks_like_credential(name) {
                        let hidden = |value: Option<&Value>| value.map(|_| Value::from(HIDDEN));
                        if before != after {
                            self.within(path, name, |this, path| this.push(path, hidden(before), hidden(after)));
                        }
                    } else {
                        self.within(path, name, |this, path| this.compare(path, depth + 1, before, after));
                    }
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) if depth < Self::MAX_DEPTH => {
                let same = before.iter().zip(after).take_while(|(before, after)| before == after).count();
                let (before, after) = (&before[same..], &after[same..]);
                let tails = before.iter().rev().zip(after.iter().rev());
                let same_at_end = tails.take_while(|(before, after)| before == after).count();
                let (before, after) = (&before[..before.len() - same_at_end], &after[..after.len() - same_at_end]);
                for number in 0..before.len().max(after.len()) {
                    let name = (same + number).to_string();
                    self.within(path, &name, |this, path| {
                        this.compare(path, depth + 1, before.get(number), after.get(number));
                    });
                }
            }
            _ => self.push(path, before.map(shown), after.map(shown)),
        }
    }

    fn within(&mut self, path: &mut String, name: &str, go: impl FnOnce(&mut Self, &mut String)) {
        let len = path.len();
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        go(self, path);
        path.truncate(len);
    }

    fn push(&mut self, path: &str, from: Option<Value>, to: Option<Value>) {
        let change = Change { path: truncate(path, Self::CUT_BYTES).into_owned(), from, to };
        let bytes = json_len(&change.to_json());
        if self.has_room(bytes, self.changes.len()) {
            self.changes.push(change);
        }
    }
}

/// The entries of the details.
const CHANGES: &str = "changes";
const OMITTED: &str = "changes_omitted";

impl Change {
    /// The operation by its name in JSON Patch (RFC 6902).
    pub fn op(&self) -> &'static str {
        match (&self.from, &self.to) {
            (None, _) => "add",
            (_, None) => "remove",
            _ => "replace",
        }
    }

    fn to_json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("path".to_owned(), json!(self.path));
        entry.insert("op".to_owned(), self.op().into());
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                entry.insert(name.to_owned(), value.clone());
            }
        }
        Value::Object(entry)
    }
}

/// `/status: "open" → "shipped"`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.escape_debug())?;
        match (&self.from, &self.to) {
            (from, Some(to)) => {
                if let Some(from) = from {
                    write!(f, "{from} ")?;
                }
                write!(f, "→ {to}")
            }
            (from, None) => write!(f, "{} →", from.as_ref().unwrap_or(&Value::Null)),
        }
    }
}

/// The value without credentials and within its limit.
fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let limit = if json_len(value) > ChangeSet::MAX_VALUE_BYTES { ChangeSet::CUT_BYTES } else { usize::MAX };
            truncate(text, limit).into()
        }
        Value::Array(_) | Value::Object(_) => {
            let value = without_credentials(value, 0);
            if json_len(&value) <= ChangeSet::MAX_VALUE_BYTES {
                value
            } else {
                truncate(&value.to_string(), ChangeSet::CUT_BYTES).into()
            }
        }
        plain => plain.clone(),
    }
}

fn without_credentials(value: &Value, depth: usize) -> Value {
    let entry = |(name, value): (&String, &Value)| {
        let shown = if looks_like_credential(name) { HIDDEN.into() } else { without_credentials(value, depth + 1) };
        (name.clone(), shown)
    };
    match value {
        // Deeper values are cut in the event as well.
        Value::Array(_) | Value::Object(_) if depth >= ChangeSet::MAX_DEPTH => "…".into(),
        Value::Array(items) => items.iter().map(|item| without_credentials(item, depth + 1)).collect(),
        Value::Object(entries) => Value::Object(entries.iter().map(entry).collect()),
        plain => plain.clone(),
    }
}

fn json_len(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::limits::MAX_DETAILS_BYTES;
    use crate::event::{AuditEvent, EventType};
    use proptest::prelude::*;

    fn lines(before: Value, after: Value) -> Vec<String> {
        ChangeSet::between_json(before, after).changes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_change_has_its_path_and_values() {
        let before = json!({"status": "open", "note": "x", "items": [{"sku": "a", "n": 1}], "same": [1, {"b": 2}]});
        let after =
            json!({"status": "shipped", "items": [{"sku": "a", "n": 2}, "b"], "same": [1, {"b": 2}], "a/b~": null});
        assert_eq!(
            lines(before, after),
            [
                "/a~1b~0: → null",
                "/items/0/n: 1 → 2",
                "/items/1: → \"b\"",
                "/note: \"x\" →",
                "/status: \"open\" → \"shipped\"",
            ]
        );
        assert_eq!(lines(json!([1, 2, 3, 4]), json!([1, 9, 2, 3, 4])), ["/1: → 9"]);
        assert_eq!(lines(json!([1, 2, 3]), json!([1, 3])), ["/1: 2 →"]);
        assert_eq!(lines(json!({"a": 1}), json!([1])), [": {\"a\":1} → [1]"]);
        assert_eq!(lines(json!(1), json!(1)), [""; 0]);
    }

    #[test]
    fn what_is_new_or_gone_is_told_by_its_members() {
        assert_eq!(lines(json!(null), json!({"a": 1, "b": [2]})), ["/a: → 1", "/b: → [2]"]);
        assert_eq!(lines(json!({"a": 1, "token": 2}), json!(null)), ["/a: 1 →", "/token: \"***\" →"]);
    }

    #[test]
    fn credentials_are_hidden_at_any_depth() {
        let with = |secret: &str| {
            let inner = json!({"apiKey": secret, "client_secret": {"x": secret}, "list": [{"Password": secret}]});
            json!({"password": secret, "deep": inner, "token_id": 1, "state": secret.len()})
        };
        let changes = ChangeSet::between_json(with("S3cr3t"), with("S3cr3t-too"));
        let added = ChangeSet::between_json(json!([]), json!([with("S3cr3t")]));
        for changes in [changes.clone(), added] {
            let json = Value::Object(changes.into_details()).to_string();
            assert!(!json.contains("S3cr3t") && json.contains(HIDDEN), "{json}");
        }
        // Hidden, and yet seen to have changed; names of things stay.
        let paths: Vec<_> = changes.changes().iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["/deep/apiKey", "/deep/client_secret", "/deep/list/0/Password", "/password", "/state"]);
    }

    #[test]
    fn huge_objects_are_bounded_and_counted() {
        let many =
            |value: &str| -> Value { (0..5000).map(|n| (format!("k{n}"), json!(value))).collect::<Map<_, _>>().into() };
        let changes = ChangeSet::between_json(many("a"), many("b"));
        assert_eq!((changes.changes().len(), changes.omitted()), (ChangeSet::MAX_CHANGES, 5000 - 64));
        let long = "\u{1}".repeat(1 << 20);
        let changes =
            ChangeSet::between_json(json!({"a": "", long.clone(): 1}), json!({"a": long, "b": [long.clone()]}));
        let json = Value::Object(changes.clone().into_details()).to_string();
        assert!(json.contains("[cut: ") && json.len() <= ChangeSet::MAX_BYTES + 64, "{}", json.len());
        assert_eq!((changes.changes().len(), changes.omitted()), (3, 0));
    }

    #[test]
    fn several_sets_share_the_limits() {
        let mut details = Details::new();
        let many =
            |value: u64| -> Value { (0..40).map(|n| (format!("k{n}"), value.into())).collect::<Map<_, _>>().into() };
        for _ in 0..3 {
            ChangeSet::between_json(many(1), many(2)).add_to(&mut details);
        }
        assert_eq!((details[CHANGES].as_array().map(Vec::len), &details[OMITTED]), (Some(64), &json!(120 - 64)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[ab/~]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[ab/~]{0,2}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Each change leads, by its path, to the value before and to the value after; and equal values have none.
        #[test]
        fn paths_lead_to_the_values(before in any_json(), after in any_json()) {
            let changes = ChangeSet::between_json(before.clone(), after.clone());
            prop_assert_eq!(changes.is_empty(), before == after);
            for change in changes.changes() {
                if let Some(from) = &change.from {
                    prop_assert_eq!(before.pointer(&change.path), Some(from));
                }
                if let Some(to) = &change.to {
                    prop_assert_eq!(after.pointer(&change.path), Some(to));
                }
            }
        }

        /// The changes survive the bounds of an event whole.
        #[test]
        fn an_event_has_room_for_them(values in proptest::collection::vec("\\PC{0,300}|[\\x01-\\x1f]{0,400}", 0..80)) {
            let object: Map<_, _> = values.iter().enumerate().map(|(n, text)| (format!("k{n}"), json!(text))).collect();
            let changes = ChangeSet::between_json(Value::Null, Value::Object(object));
            let mut event = AuditEvent::new(EventType::UPLOAD);
            event.details = changes.into_details();
            let given = event.details.clone();
            event.truncate_to_limits();
            prop_assert_eq!(&event.details, &given);
            prop_assert!(Value::Object(given).to_string().len() < MAX_DETAILS_BYTES);
        }
    }
}
