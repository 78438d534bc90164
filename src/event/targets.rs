//! The objects that an event was about.

use std::fmt;
use std::ops::Deref;

use serde::de::SeqAccess;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Target;
use super::limits::MAX_TARGETS;

/// The objects that an event was about, in the order in which they were named: at most [16](MAX_TARGETS), none twice.
/// Allocates nothing while it is empty.
///
/// ```
/// use tower_audit::event::{Target, Targets};
///
/// let mut targets: Targets = (1..=20).map(|id| Target::new("order", id)).collect();
/// assert_eq!((targets.len(), targets.omitted()), (16, 4));
/// targets.insert(Target::new("order", 1));
/// assert_eq!((targets.len(), targets.omitted()), (16, 4));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    list: Vec<Target>,
    omitted: u64,
}

impl Targets {
    /// No targets.
    pub const fn new() -> Self {
        Self { list: Vec::new(), omitted: 0 }
    }

    /// Adds a target. The same object again only adds the label that the first had not. A target beyond the limit is
    /// [counted](Self::omitted), and not kept.
    pub fn insert(&mut self, target: Target) {
        if let Some(known) = self.list.iter_mut().find(|known| known.is_same(&target)) {
            if known.label.is_none() {
                known.label = target.label;
            }
        } else if self.list.len() < MAX_TARGETS {
            if self.list.is_empty() {
                // Nearly always there is one; `push` would make room for four.
                self.list.reserve_exact(1);
            }
            self.list.push(target);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Adds the targets of another list, and the number that it has omitted.
    pub fn append(&mut self, more: Self) {
        self.add_omitted(more.omitted);
        if self.list.is_empty() {
            self.list = more.list;
        } else {
            self.extend(more);
        }
    }

    /// Returns the number of targets that were named beyond the limit, each as often as it was named.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Returns true if this object is among the targets.
    pub fn contains_object(&self, target_type: &str, id: &str) -> bool {
        self.list.iter().any(|target| target.id == id && target.target_type == target_type)
    }

    /// Adds the number of omitted targets of an event that is read.
    pub(super) fn add_omitted(&mut self, more: u64) {
        self.omitted = self.omitted.saturating_add(more);
    }

    /// Makes every target fit its limits. Of those that become equal, one is kept.
    pub(super) fn truncate_to_limits(&mut self) {
        // No two of these are equal: `insert` alone adds one.
        if self.list.iter().all(Target::fits) {
            return;
        }
        let mut fitting = Self { list: Vec::with_capacity(self.list.len()), omitted: self.omitted };
        for mut target in std::mem::take(&mut self.list) {
            target.truncate_to_limits();
            fitting.insert(target);
        }
        *self = fitting;
    }
}

impl Deref for Targets {
    type Target = [Target];

    fn deref(&self) -> &[Target] {
        &self.list
    }
}

impl<'t> IntoIterator for &'t Targets {
    type Item = &'t Target;
    type IntoIter = std::slice::Iter<'t, Target>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl IntoIterator for Targets {
    type Item = Target;
    type IntoIter = std::vec::IntoIter<Target>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Extend<Target> for Targets {
    fn extend<I: IntoIterator<Item = Target>>(&mut self, targets: I) {
        targets.into_iter().for_each(|target| self.insert(target));
    }
}

impl FromIterator<Target> for Targets {
    fn from_iter<I: IntoIterator<Item = Target>>(targets: I) -> Self {
        let mut all = Self::new();
        all.extend(targets);
        all
    }
}

/// As an array. An event has the number of omitted ones beside it.
impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.list)
    }
}

/// Reads an array of any length; memory is needed for the first targets alone.
impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Targets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of targets")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Targets, A::Error> {
                let mut targets = Targets::new();
                while let Some(target) = items.next_element()? {
                    targets.insert(target);
                }
                Ok(targets)
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::limits::MAX_EVENT_BYTES;
    use crate::event::{AuditEvent, EventType};
    use serde_json::json;

    #[test]
    fn the_same_object_is_one_target() {
        let mut targets = Targets::new();
        for target in [
            Target::new("order", 7),
            Target::new("order", "7").with_label("first"),
            Target::new("ORDER", 7).with_label("second"),
            Target::new("item", 7),
        ] {
            targets.insert(target);
        }
        assert_eq!(targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["order/7", "item/7"]);
        assert_eq!(targets[0].label.as_deref(), Some("first"));
        assert!(targets.contains_object("item", "7") && !targets.contains_object("item", "8"));
    }

    #[test]
    fn thousands_of_targets_are_counted() {
        let many: Vec<_> = (0..5000).map(|n| json!({"type": "order", "id": n.to_string()})).collect();
        let mut event = serde_json::to_value(AuditEvent::new(EventType::UPLOAD)).unwrap();
        event["targets"] = json!(many);
        event["targets_omitted"] = json!(7);
        let mut event: AuditEvent = serde_json::from_value(event).unwrap();
        assert_eq!((event.targets.len(), event.targets.omitted()), (MAX_TARGETS, 5000 - 16 + 7));
        event.truncate_to_limits();
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!((&json["targets"][0]["id"], &json["targets_omitted"]), (&json!("0"), &json!(4991)));
        assert_eq!(serde_json::from_value::<AuditEvent>(json).unwrap(), event);
    }

    #[test]
    fn the_largest_targets_fit_the_event() {
        let worst = "\u{1}".repeat(1 << 14);
        let mut event = AuditEvent::new(EventType::UPLOAD);
        for n in 0..MAX_TARGETS {
            let mut target = Target::new("x".repeat(64), format!("{n:03}{}", "\u{1}".repeat(253)));
            target.label = Some("\u{1}".repeat(256).into());
            target.extra.insert(worst.clone(), json!(worst));
            event.targets.insert(target);
        }
        event.truncate_to_limits();
        assert_eq!((event.targets.len(), event.targets.omitted()), (MAX_TARGETS, 0));
        let once = event.clone();
        event.truncate_to_limits();
        assert_eq!(event, once);
        assert!(serde_json::to_string(&event).unwrap().len() <= MAX_EVENT_BYTES);
    }

    #[test]
    fn fields_that_were_set_directly_are_made_to_fit_and_stay_unique() {
        let mut event = AuditEvent::new(EventType::UPLOAD);
        for (target_type, id) in [("Order", "7"), ("order", "7"), ("order", "\0"), ("order", "\u{fffd}"), ("order", "")]
        {
            let mut target = Target::new("order", id);
            (target.target_type, target.id) = (target_type.into(), id.into());
            event.targets.insert(target);
        }
        assert_eq!(event.targets.len(), 5);
        event.truncate_to_limits();
        assert_eq!(event.targets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["order/7", "order/\u{fffd}"]);
    }

    #[test]
    fn what_is_no_list_of_targets_is_no_event() {
        let event = |targets: &str| {
            format!(
                r#"{{"event_id":"0199a700000070008000000000000001","event_type":"upload","created_at":"2026-05-25T12:00:00.000000Z",{targets}}}"#
            )
        };
        let is_read = |targets: &str| serde_json::from_str::<AuditEvent>(&event(targets)).is_ok();
        assert!(is_read(r#""targets":[]"#) && is_read(r#""targets":null,"targets_omitted":null"#));
        for bad in [
            r#""targets":"order/7""#,
            r#""targets":{"type":"order","id":"7"}"#,
            r#""targets":[null]"#,
            r#""targets":["order/7"]"#,
            r#""targets":[],"targets":[]"#,
            r#""targets_omitted":-1"#,
            r#""targets_omitted":"1""#,
        ] {
            assert!(!is_read(bad), "{bad}");
        }
    }
}
