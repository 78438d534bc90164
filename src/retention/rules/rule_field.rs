//! Fields of an event by the names that a rule has for them, and their values as text.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::Value;

use super::RulesError;
use crate::event::{AuditEvent, excerpt};

/// A field of an event that a rule matches: one of this crate's own, or a column of privacyIDEA's audit table.
///
/// ```
/// use tower_audit::retention::RuleField;
/// use tower_audit::{AuditEvent, EventType};
///
/// let mut event = AuditEvent::new(EventType::AUTH);
/// event.resource.method = Some("POST".into());
/// event.resource.route = Some("/token/init".into());
/// event.details.insert("serial".into(), "OATH0001".into());
/// let value = |name: &str| Ok::<_, tower_audit::retention::RulesError>(name.parse::<RuleField>()?.value_of(&event));
/// assert_eq!(value("action")?, "POST /token/init");
/// assert_eq!(value("serial")?, "OATH0001");
/// assert_eq!(value("user")?, "None");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleField(Source);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A field of the format, by its path.
    Own(&'static str),
    /// `METHOD ROUTE`, or the event type of an event that is no request.
    Action,
    /// The time as Python prints it.
    Date,
    /// `1` below status 400, else `0`.
    Success,
    /// The targets, `order/7,file/etc/hosts`.
    Targets,
    /// A member of `details`.
    Detail(String),
}

/// The names of the fields: of the format, of the filters, and of privacyIDEA's columns that have a counterpart.
const NAMES: &[(&str, Source)] = &[
    ("event_id", Source::Own("event_id")),
    ("id", Source::Own("event_id")),
    ("number", Source::Own("event_id")),
    ("event_type", Source::Own("event_type")),
    ("created_at", Source::Own("created_at")),
    ("date", Source::Date),
    ("phase", Source::Own("phase")),
    ("action", Source::Action),
    ("success", Source::Success),
    ("outcome", Source::Own("outcome")),
    ("actor.user_email", Source::Own("actor.user_email")),
    ("user_email", Source::Own("actor.user_email")),
    ("user", Source::Own("actor.user_email")),
    ("administrator", Source::Own("actor.user_email")),
    ("actor.acting_for", Source::Own("actor.acting_for")),
    ("acting_for", Source::Own("actor.acting_for")),
    ("targets", Source::Targets),
    ("actor.api_key_hash", Source::Own("actor.api_key_hash")),
    ("api_key_hash", Source::Own("actor.api_key_hash")),
    ("actor.remote_addr", Source::Own("actor.remote_addr")),
    ("remote_addr", Source::Own("actor.remote_addr")),
    ("client", Source::Own("actor.remote_addr")),
    ("resource.route", Source::Own("resource.route")),
    ("route", Source::Own("resource.route")),
    ("resource.method", Source::Own("resource.method")),
    ("method", Source::Own("resource.method")),
    ("request.request_id", Source::Own("request.request_id")),
    ("request_id", Source::Own("request.request_id")),
    ("request.started_event_id", Source::Own("request.started_event_id")),
    ("request.request_uri", Source::Own("request.request_uri")),
    ("request_uri", Source::Own("request.request_uri")),
    ("request.user_agent", Source::Own("request.user_agent")),
    ("user_agent", Source::Own("request.user_agent")),
    ("request.forwarded", Source::Own("request.forwarded")),
    ("forwarded", Source::Own("request.forwarded")),
    ("request.trace_id", Source::Own("request.trace_id")),
    ("trace_id", Source::Own("request.trace_id")),
    ("request.duration_us", Source::Own("request.duration_us")),
    ("duration_us", Source::Own("request.duration_us")),
    ("classification.domain", Source::Own("classification.domain")),
    ("domain", Source::Own("classification.domain")),
    ("classification.action", Source::Own("classification.action")),
    ("classification.error", Source::Own("classification.error")),
    ("error", Source::Own("classification.error")),
];

/// The columns of privacyIDEA without a counterpart: an app keeps such facts in `details`, under the name of the column.
const DETAIL_COLUMNS: &[&str] = &[
    "action_detail",
    "authentication",
    "clearance_level",
    "container_serial",
    "container_type",
    "duration",
    "info",
    "log_level",
    "loglevel",
    "policies",
    "privacyidea_server",
    "realm",
    "resolver",
    "serial",
    "startdate",
    "thread_id",
    "token_type",
    "user_agent_version",
];

impl RuleField {
    /// Returns the field's value as text. A missing value is `None`, as Python prints it; a value of `details` that is no
    /// text is JSON.
    pub fn value_of<'a>(&self, event: &'a AuditEvent) -> Cow<'a, str> {
        self.value(event).unwrap_or(Cow::Borrowed("None"))
    }

    fn value<'a>(&self, event: &'a AuditEvent) -> Option<Cow<'a, str>> {
        match &self.0 {
            Source::Own(path) => own(event, path),
            Source::Action => Some(action(event)),
            Source::Date => Some(python_date(event).into()),
            Source::Success => event.outcome.map(|outcome| if outcome < 400 { "1" } else { "0" }.into()),
            Source::Targets => targets(event).map(Cow::Owned),
            Source::Detail(name) => match event.details.get(name)? {
                Value::Null => None,
                Value::String(text) => Some(text.as_str().into()),
                other => Some(other.to_string().into()),
            },
        }
    }
}

impl FromStr for RuleField {
    type Err = RulesError;

    /// Reads the name of a field: `user_email`, `actor.user_email`, `details.NAME`, or a column of privacyIDEA.
    fn from_str(name: &str) -> Result<Self, RulesError> {
        if let Some((_, source)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(source.clone()));
        }
        match name.strip_prefix("details.") {
            Some(member) if !member.is_empty() => Ok(Self(Source::Detail(member.to_owned()))),
            _ if DETAIL_COLUMNS.contains(&name) => Ok(Self(Source::Detail(name.to_owned()))),
            _ => Err(RulesError::new(format!(
                "unknown key `{}`: expected `rotate`, a field such as `action`, `user`, `event_type` or `details.NAME`, or \
                 a column of privacyIDEA",
                excerpt(name)
            ))),
        }
    }
}

fn own<'a>(event: &'a AuditEvent, path: &str) -> Option<Cow<'a, str>> {
    let text = |text: &'a Option<crate::event::CompactText>| text.as_deref().map(Cow::Borrowed);
    match path {
        "event_id" => Some(event.event_id.to_string().into()),
        "event_type" => Some(event.event_type.as_str().into()),
        "created_at" => Some(event.created_at.to_string().into()),
        "phase" => Some(event.phase.as_str().into()),
        "outcome" => event.outcome.map(|outcome| outcome.to_string().into()),
        "actor.user_email" => text(&event.actor.user_email),
        "actor.acting_for" => text(&event.actor.acting_for),
        "actor.api_key_hash" => text(&event.actor.api_key_hash),
        "actor.remote_addr" => text(&event.actor.remote_addr),
        "resource.route" => text(&event.resource.route),
        "resource.method" => text(&event.resource.method),
        "request.request_id" => text(&event.request.request_id),
        "request.started_event_id" => event.request.started_event_id.map(|id| id.to_string().into()),
        "request.request_uri" => text(&event.request.request_uri),
        "request.user_agent" => text(&event.request.user_agent),
        "request.forwarded" => text(&event.request.forwarded),
        "request.trace_id" => text(&event.request.trace_id),
        "request.duration_us" => event.request.duration_us.map(|micros| micros.to_string().into()),
        "classification.domain" => text(&event.classification.domain),
        "classification.action" => text(&event.classification.action),
        _ => event.classification.error.as_ref().map(|error| error.as_str().into()),
    }
}

fn action(event: &AuditEvent) -> Cow<'_, str> {
    match (event.resource.method.as_deref(), event.resource.route.as_deref()) {
        (Some(method), Some(route)) => format!("{method} {route}").into(),
        (Some(one), None) | (None, Some(one)) => one.into(),
        (None, None) => event.event_type.as_str().into(),
    }
}

fn targets(event: &AuditEvent) -> Option<String> {
    let targets: Vec<String> = event.targets.iter().map(ToString::to_string).collect();
    if targets.is_empty() { None } else { Some(targets.join(",")) }
}

/// Returns the time as `str(datetime)` does: `2026-05-25 12:00:00.123456`, without the fraction if it is zero.
fn python_date(event: &AuditEvent) -> String {
    let text = event.created_at.to_string();
    let text = text.trim_end_matches('Z').replacen('T', " ", 1);
    text.strip_suffix(".000000").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType, Target};
    use serde_json::json;

    #[test]
    fn each_name_has_its_value() {
        let mut event = AuditEvent::new(EventType::ADMIN_ACTION);
        event.created_at = "2026-05-25T12:00:00.123456Z".parse().unwrap();
        event.actor = Actor::user("alice");
        event.actor.remote_addr = Some("192.0.2.7".into());
        event.resource.method = Some("GET".into());
        event.outcome = Some(404);
        event.targets.extend([Target::new("order", 7), Target::new("file", "etc/hosts")]);
        event.request.duration_us = Some(12);
        event.details.insert("n".into(), json!({"a": [1, true]}));
        event.details.insert("nothing".into(), json!(null));
        for (name, value) in [
            ("user", "alice"),
            ("administrator", "alice"),
            ("actor.user_email", "alice"),
            ("client", "192.0.2.7"),
            ("targets", "order/7,file/etc/hosts"),
            ("acting_for", "None"),
            ("action", "GET"),
            ("route", "None"),
            ("success", "0"),
            ("outcome", "404"),
            ("date", "2026-05-25 12:00:00.123456"),
            ("created_at", "2026-05-25T12:00:00.123456Z"),
            ("duration_us", "12"),
            ("details.n", r#"{"a":[1,true]}"#),
            ("details.nothing", "None"),
            ("realm", "None"),
            ("phase", "completed"),
            ("error", "None"),
        ] {
            assert_eq!(name.parse::<RuleField>().unwrap().value_of(&event), value, "{name}");
        }
        event.resource.method = None;
        event.outcome = None;
        event.created_at = "2026-05-25T12:00:00Z".parse().unwrap();
        for (name, value) in [("action", "admin_action"), ("success", "None"), ("date", "2026-05-25 12:00:00")] {
            assert_eq!(name.parse::<RuleField>().unwrap().value_of(&event), value, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        for name in ["", "User", "details", "details.", "tokens", "user ", "rotate"] {
            let error = name.parse::<RuleField>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains("expected"), "{error}");
        }
    }
}
