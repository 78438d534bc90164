//! The JSON of an event, written by hand.
//!
//! Every store writes it once for each event. The bytes are those that `serde_json` makes of [`AuditEvent`]'s `Serialize`, for fewer
//! instructions.

use serde_json::Result;

use super::encoding::{WriteJson, write_entry, write_extra, write_text};
use super::{AuditEvent, CompactText, ErrorCode, EventId, EventType, Phase, Target, Targets, Timestamp};

impl WriteJson for AuditEvent {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        to.push(b'{');
        write_entry(to, ",\"event_id\":", &self.event_id)?;
        write_entry(to, ",\"event_type\":", &self.event_type)?;
        write_entry(to, ",\"created_at\":", &self.created_at)?;
        write_entry(to, ",\"phase\":", &self.phase)?;
        write_entry(to, ",\"actor\":", &self.actor)?;
        write_entry(to, ",\"resource\":", &self.resource)?;
        if !self.targets.is_empty() {
            write_entry(to, ",\"targets\":", &self.targets)?;
        }
        if self.targets.omitted() > 0 {
            write_entry(to, ",\"targets_omitted\":", &self.targets.omitted())?;
        }
        write_entry(to, ",\"outcome\":", &self.outcome.map(u64::from))?;
        write_entry(to, ",\"details\":", &self.details)?;
        if !self.request.is_empty() {
            write_entry(to, ",\"request\":", &self.request)?;
        }
        if !self.classification.is_empty() {
            write_entry(to, ",\"classification\":", &self.classification)?;
        }
        write_extra(to, &self.extra, Self::NAMES)?;
        to.push(b'}');
        Ok(())
    }
}

impl WriteJson for CompactText {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        write_text(to, self)
    }
}

impl WriteJson for EventType {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        write_text(to, self.as_str())
    }
}

impl WriteJson for ErrorCode {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        write_text(to, self.as_str())
    }
}

impl WriteJson for Phase {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        write_text(to, self.as_str())
    }
}

impl WriteJson for EventId {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        write_text(to, self.to_hex().as_str())
    }
}

impl WriteJson for Timestamp {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        to.push(b'"');
        to.extend_from_slice(&self.to_text());
        to.push(b'"');
        Ok(())
    }
}

impl WriteJson for Targets {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        to.push(b'[');
        for (n, target) in self.iter().enumerate() {
            if n > 0 {
                to.push(b',');
            }
            target.write_json(to)?;
        }
        to.push(b']');
        Ok(())
    }
}

impl WriteJson for Target {
    fn write_json(&self, to: &mut Vec<u8>) -> Result<()> {
        to.push(b'{');
        write_entry(to, ",\"type\":", &self.target_type)?;
        write_entry(to, ",\"id\":", &self.id)?;
        if let Some(label) = &self.label {
            write_entry(to, ",\"label\":", label)?;
        }
        write_extra(to, &self.extra, Self::NAMES)?;
        to.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Details, FIELDS};
    use proptest::prelude::*;
    use serde_json::Value;

    fn text() -> impl Strategy<Value = String> {
        "[a-z]{0,40}|\\PC{0,40}|[\\x00-\\x7f]{0,40}|[é\"\\\\\\x1f\\x20\\x7f]{0,20}"
    }

    fn details() -> impl Strategy<Value = Details> {
        let value = prop_oneof![
            text().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            Just(Value::Null),
            prop::collection::vec(text(), 0..3).prop_map(Value::from),
        ];
        // Names of the format's own among them.
        let name =
            prop_oneof![text(), prop::sample::select(AuditEvent::NAMES).prop_map(str::to_owned), Just("id".to_owned())];
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((name, value), 1..4)]
            .prop_map(|entries| entries.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_serde(
            texts in prop::collection::vec(prop::option::of(text()), FIELDS.len()),
            maps in prop::collection::vec(details(), 7),
            targets in prop::collection::vec((text(), text(), prop::option::of(text())), 0..20),
            (outcome, duration, started) in (any::<Option<u16>>(), any::<Option<u64>>(), any::<Option<u128>>()),
            phase in prop::sample::select(&[Phase::Started, Phase::Completed, Phase::Unknown][..]),
        ) {
            let mut event = AuditEvent::new(EventType::UPLOAD);
            for (field, text) in FIELDS.iter().zip(&texts) {
                if let Some(text) = text {
                    field.set_text(&mut event, text);
                }
            }
            (event.outcome, event.request.duration_us, event.phase) = (outcome, duration, phase);
            event.request.started_event_id = started.map(EventId::from_u128);
            event.event_type = texts[0].as_ref().map_or(EventType::AUTH, |text| serde_json::from_value(text.as_str().into()).unwrap());
            event.classification.error = texts[1].as_ref().map(|text| serde_json::from_value(text.as_str().into()).unwrap());
            let objects = [
                &mut event.details,
                &mut event.extra,
                &mut event.actor.extra,
                &mut event.resource.extra,
                &mut event.request.extra,
                &mut event.classification.extra,
            ];
            for (object, map) in objects.into_iter().zip(&maps) {
                object.clone_from(map);
            }
            for (target_type, id, label) in targets {
                let mut target = Target::new("order", 7);
                (target.target_type, target.id) = (target_type.into(), id.into());
                target.label = label.map(Into::into);
                target.extra.clone_from(&maps[6]);
                event.targets.insert(target);
            }
            let mut written = Vec::new();
            event.write_json(&mut written).unwrap();
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&event).unwrap());
        }
    }
}
