//! The text of a message, with placeholders.

use std::fmt;

use serde_json::{Value, json};

use super::error::config;
use super::escape::{push_json, push_token};
use crate::event::{AuditEvent, EventField, FIELDS, excerpt};
use crate::export::{Encoding, EventSource, Profile};
use crate::store::StoreError;

/// The text of a message, with placeholders such as `{actor.user_email}`.
///
/// | placeholder | value |
/// |---|---|
/// | `{event_type}`, `{actor.user_email}`, … | a field by its path: every one of [`FIELDS`] |
/// | `{details}`, `{details.KEY}`, `{details.KEY.KEY}` | the details or a part of them: an object or a list as compact JSON |
/// | `{event}` | the whole event as compact JSON |
/// | `{cef}`, `{ecs}`, … | the event in a [`Profile`](crate::export::Profile), with the blanks that it has |
/// | `{userid}`, `{type}`, `{createdBy}`, `{streamIds}`, `{content}` | those of Pryv, see `docs/stores/syslog.md` |
/// | `{{`, `}}` | a brace |
///
/// A missing value is empty. A value has no blank, no quote and no control character in the message: they are written as
/// `\u{20}`, in JSON as `\u0020`.
///
/// ```
/// use tower_audit::store::syslog::Template;
/// use tower_audit::{Actor, AuditEvent, EventType};
///
/// let template = Template::new("{event_type} by {actor.user_email} from {actor.remote_addr}")?;
/// let mut event = AuditEvent::new(EventType::UPLOAD);
/// event.actor = Actor::user("eve from 192.0.2.1");
/// assert_eq!(template.render(&event), "upload by eve\\u{20}from\\u{20}192.0.2.1 from ");
///
/// let error = Template::new("{user}").unwrap_err().to_string();
/// assert!(error.contains("`{user}`") && error.contains("{actor.user_email}"));
/// # Ok::<(), tower_audit::store::StoreError>(())
/// ```
#[derive(Clone)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

#[derive(Debug, Clone)]
enum Placeholder {
    Field(&'static EventField),
    /// A part of the details: the keys that lead to it.
    Details(Vec<String>),
    Event,
    Profile(Encoding),
    StreamIds,
    Content,
}

/// Pryv's names of fields.
const PRYV: [(&str, &str); 3] =
    [("userid", "actor.user_email"), ("type", "event_type"), ("createdBy", "actor.api_key_hash")];

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// If it is empty, has a control character, an unknown placeholder or a single brace; the error lists the placeholders.
    pub fn new(source: &str) -> Result<Self, StoreError> {
        if source.is_empty() {
            return Err(config(format!("the template is empty: expected one such as {DEFAULT:?}")));
        }
        if let Some(control) = source.chars().find(|c| crate::export::is_unsafe_to_display(*c)) {
            return Err(config(format!("the template has the character {control:?}: take it out")));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(more) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = more;
                continue;
            }
            let Some((name, more)) = rest.split_once('}').filter(|_| brace == "{") else {
                return Err(config(format!(
                    "the template {:?} has a single `{brace}`: double it, or close the placeholder",
                    excerpt(source)
                )));
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Placeholder(placeholder(name)?));
            rest = more;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { source: source.to_owned(), pieces })
    }

    /// A text that is the event in a profile, and nothing else.
    pub fn profile(profile: Profile) -> Self {
        let pieces = vec![Piece::Placeholder(Placeholder::of_profile(profile))];
        Self { source: format!("{{{profile}}}"), pieces }
    }

    /// Returns the text for an event.
    pub fn render(&self, event: &AuditEvent) -> String {
        let mut out = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Placeholder(placeholder) => placeholder.render(event, &mut out),
            }
        }
        out
    }
}

/// The text of an event of any type: what a client can choose is at the end, where a text that is too long is cut.
const DEFAULT: &str = "{event_type} {phase} outcome={outcome} from={actor.remote_addr} error={classification.error} \
                       id={event_id} user={actor.user_email} method={resource.method} route={resource.route} \
                       action={classification.action}";

/// The template for events of any type.
impl Default for Template {
    fn default() -> Self {
        Self::new(DEFAULT).unwrap_or(Self { source: String::new(), pieces: Vec::new() })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

fn placeholder(name: &str) -> Result<Placeholder, StoreError> {
    let path = PRYV.into_iter().find(|(pryv, _)| *pryv == name).map_or(name, |(_, path)| path);
    if let Some(field) = FIELDS.iter().find(|field| field.path() == path) {
        return Ok(Placeholder::Field(field));
    }
    if let Ok(profile) = name.parse() {
        return Ok(Placeholder::of_profile(profile));
    }
    match name {
        "details" => Ok(Placeholder::Details(Vec::new())),
        "event" => Ok(Placeholder::Event),
        "streamIds" => Ok(Placeholder::StreamIds),
        "content" => Ok(Placeholder::Content),
        _ => match name.strip_prefix("details.") {
            Some(path) if path.split('.').all(|key| !key.is_empty()) => {
                Ok(Placeholder::Details(path.split('.').map(str::to_owned).collect()))
            }
            _ => {
                let fields: Vec<_> = FIELDS.iter().map(|field| format!("{{{}}}", field.path())).collect();
                Err(config(format!(
                    "`{{{}}}` is no placeholder: expected {}, {{details}}, {{details.KEY}}, {{event}}, one of \
                     a profile ({}), or one of Pryv's: {{userid}}, {{type}}, {{createdBy}}, {{streamIds}}, {{content}}; a brace is doubled",
                    excerpt(name),
                    fields.join(", "),
                    Profile::ALL.iter().map(|profile| format!("{{{profile}}}")).collect::<Vec<_>>().join(", ")
                )))
            }
        },
    }
}

impl Placeholder {
    /// The whole event is left out beside the fields of the profile: a message has a limit.
    fn of_profile(profile: Profile) -> Self {
        let mut encoding = Encoding::new(profile, EventSource::default());
        encoding.settings.with_original = false;
        Self::Profile(encoding)
    }

    fn render(&self, event: &AuditEvent, out: &mut String) {
        match self {
            Self::Field(field) => push_token(out, &field.value_of(event).unwrap_or_default()),
            Self::Details(path) => match path.split_first() {
                None => push_json(out, &event.details),
                Some((first, rest)) => {
                    let part = rest.iter().try_fold(event.details.get(first), |value, key| match value {
                        Some(Value::Object(entries)) => Some(entries.get(key)),
                        Some(Value::Array(items)) => Some(key.parse::<usize>().ok().and_then(|at| items.get(at))),
                        _ => None,
                    });
                    match part.flatten() {
                        None | Some(Value::Null) => {}
                        Some(Value::String(text)) => push_token(out, text),
                        Some(value) => push_json(out, value),
                    }
                }
            },
            Self::Event => push_json(out, event),
            // An event can be encoded, and the text is safe to display.
            Self::Profile(encoding) => out.push_str(&encoding.to_text(event).unwrap_or_default()),
            Self::StreamIds => push_json(out, &stream_ids(event)),
            Self::Content => push_json(out, &content(event)),
        }
    }
}

/// Returns the name of the action: the app's own, or the type.
fn action(event: &AuditEvent) -> &str {
    event.classification.action.as_deref().unwrap_or(event.event_type.as_str())
}

/// Returns Pryv's streams of an event: the access that was used, and the action.
fn stream_ids(event: &AuditEvent) -> Vec<String> {
    let access = event.actor.api_key_hash.as_ref().map(|key| format!("access-{key}"));
    access.into_iter().chain([format!("action-{}", action(event))]).collect()
}

/// Returns Pryv's content of an event: source, action, and what is known beyond.
fn content(event: &AuditEvent) -> Value {
    let mut content = json!({ "source": { "name": "http", "ip": event.actor.remote_addr }, "action": action(event) });
    if let Value::Object(entries) = &mut content {
        if let Some(outcome) = event.outcome {
            entries.insert("outcome".into(), outcome.into());
        }
        if let Some(error) = &event.classification.error {
            entries.insert("error".into(), error.as_str().into());
        }
        if !event.details.is_empty() {
            entries.insert("details".into(), Value::Object(event.details.clone()));
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventType};

    fn event() -> AuditEvent {
        let mut event = AuditEvent::new(EventType::new("events.get").unwrap());
        event.actor = Actor::user("ck6j759f000011ps2octzo1ds");
        event.actor.remote_addr = Some("192.0.2.7".into());
        event.actor.api_key_hash = Some("9f86".into());
        event.outcome = Some(200);
        event.details.insert("limit".into(), 1.into());
        event.details.insert("names".into(), json!(["a b", { "x": false }]));
        event
    }

    fn rendered(template: &str, event: &AuditEvent) -> String {
        Template::new(template).unwrap().render(event)
    }

    #[test]
    fn the_template_of_pryv_works_as_it_is() {
        let text = rendered("{userid} {type} createdBy:{createdBy} {streamIds} {content}", &event());
        assert_eq!(
            text,
            "ck6j759f000011ps2octzo1ds events.get createdBy:9f86 [\"access-9f86\",\"action-events.get\"] \
             {\"action\":\"events.get\",\"details\":{\"limit\":1,\"names\":[\"a\\u0020b\",{\"x\":false}]},\
             \"outcome\":200,\"source\":{\"ip\":\"192.0.2.7\",\"name\":\"http\"}}"
        );
    }

    #[test]
    fn every_field_is_a_placeholder_by_its_path() {
        for field in FIELDS {
            let text = rendered(&format!("<{{{}}}>", field.path()), &event());
            let mut expected = String::new();
            push_token(&mut expected, &field.value_of(&event()).unwrap_or_default());
            if !matches!(field.path(), "event_id" | "created_at") {
                assert_eq!(text, format!("<{expected}>"));
            }
        }
    }

    #[test]
    fn missing_values_are_empty_and_falsy_ones_are_not() {
        for (template, text) in [
            ("{details.none}|{details.limit.deeper}|{details.names.7}|{actor.acting_for}", "|||"),
            (
                "{details.limit} {details.names.0} {details.names.1} {details.names.1.x}",
                "1 a\\u{20}b {\"x\":false} false",
            ),
            ("{{x}} {{{outcome}}}", "{x} {200}"),
        ] {
            assert_eq!(rendered(template, &event()), text, "{template}");
        }
    }

    #[test]
    fn a_value_is_not_a_template() {
        let mut event = event();
        event.actor.user_email = Some("{type} $& {{".into());
        assert_eq!(rendered("{userid}", &event), "{type}\\u{20}$&\\u{20}{{");
    }

    #[test]
    fn wrong_templates_are_named() {
        for (template, named) in [
            ("", "empty"),
            ("{user}", "`{user}`"),
            ("{}", "`{}`"),
            ("{details.}", "`{details.}`"),
            ("{ userid }", "`{ userid }`"),
            ("a } b", "single `}`"),
            ("{userid", "single `{`"),
            ("a\nb", "'\\n'"),
        ] {
            let error = Template::new(template).unwrap_err().to_string();
            assert!(error.contains(named), "{template:?}: {error}");
        }
        assert!(!Template::default().pieces.is_empty());
    }
}
