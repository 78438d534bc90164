//! Filters over events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr as _;

use serde_json::Value;

use super::condition::{event_type, exact, folded, phase, remote_addr, target, target_type};
use super::{Condition, Field, FilterError, OutcomePattern, TextPattern};
use crate::event::excerpt;
use crate::event::{AuditEvent, Phase, Timestamp};

/// A filter over events: the conjunction of its conditions. Without conditions it passes every event.
///
/// A text given to a setter is compared as it is; `*` stands for anything in a parsed [`TextPattern`] alone.
///
/// ```
/// use tower_audit::{AuditEvent, EventType};
/// use tower_audit::query::{Condition, Filter, OutcomePattern, TextPattern};
///
/// let filter = Filter::new().event_type(EventType::AUTH).since("2026-05-25T00:00:00Z".parse::<tower_audit::Timestamp>()?);
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
///
/// // Requests below a route.
/// let filter = Filter::new().route("/scans*".parse::<TextPattern>()?);
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
///
/// // Denied or failed requests of any user whose name does not begin with `monitor-`.
/// let filter = Filter::new()
///     .outcome(Condition::any_of([OutcomePattern::Class(4), OutcomePattern::Class(5)]))
///     .user_email(Condition::none_of([TextPattern::prefix("monitor-")]));
/// assert!(!filter.matches(&AuditEvent::new(EventType::UPLOAD)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Events of these types.
    pub event_type: Condition<TextPattern>,
    /// Events whose actor has one of these names. Events without a name pass if names are only excluded.
    pub user_email: Condition<TextPattern>,
    /// Events at this time or later.
    pub since: Option<Timestamp>,
    /// Events before this time.
    pub until: Option<Timestamp>,
    /// Events with these statuses.
    pub outcome: Condition<OutcomePattern>,
    /// Events of these route templates.
    pub route: Condition<TextPattern>,
    /// Events of these client addresses. [`set`](Self::set) parses any form of an address. A pattern made otherwise is
    /// compared as it is with the form in events: no port, lower case, IPv4-mapped IPv6 as IPv4.
    pub remote_addr: Condition<TextPattern>,
    /// Events of these phases.
    pub phase: Condition<Phase>,
    /// Events of these methods.
    pub method: Condition<TextPattern>,
    /// Events whose request presented one of these API keys, each as it is in events.
    pub api_key_hash: Condition<TextPattern>,
    /// Events whose actor acted for one of these principals.
    pub acting_for: Condition<TextPattern>,
    /// Events of these domains.
    pub domain: Condition<TextPattern>,
    /// Events of these actions.
    pub action: Condition<TextPattern>,
    /// Events with these error codes.
    pub error: Condition<TextPattern>,
    /// Events with a target of one of these types.
    pub target_type: Condition<TextPattern>,
    /// Events with one of these targets, each as `TYPE/ID`. Excluded targets are none of the event's.
    pub target: Condition<TextPattern>,
    /// Events of these request targets, as the client sent them.
    pub uri: Condition<TextPattern>,
    /// Events of these requests.
    pub request_id: Condition<TextPattern>,
    /// Events of these traces.
    pub trace_id: Condition<TextPattern>,
    /// For each of these keys, events whose detail has one of the values. Text, integers and booleans are compared, by
    /// their text; lists, objects, null and numbers with a fraction match nothing.
    pub details: BTreeMap<String, Condition<TextPattern>>,
    /// Leaves out `started` events whose end is stored: a request is one event. Those that are still open stay.
    pub folded: bool,
}

/// Defines the setters of the conditions on text.
macro_rules! text_setters {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
                self.$name = condition.into();
                self
            }
        )*
    };
}

impl Filter {
    text_setters! {
        /// Sets the condition on the method.
        method
        /// Sets the condition on the digest of the API key.
        api_key_hash
        /// Sets the condition on the principal for whom the actor acted.
        acting_for
        /// Sets the condition on the domain.
        domain
        /// Sets the condition on the action.
        action
        /// Sets the condition on the error code.
        error
        /// Sets the condition on the types of the targets.
        target_type
        /// Sets the condition on the targets, each as `TYPE/ID`.
        ///
        /// ```
        /// use tower_audit::event::Target;
        /// use tower_audit::query::Filter;
        /// # use tower_audit::{AuditEvent, EventType};
        ///
        /// let mut event = AuditEvent::new(EventType::UPLOAD);
        /// event.targets.insert(Target::new("order", 7));
        /// assert!(Filter::new().target(Target::new("order", 7)).matches(&event));
        /// assert!(!Filter::new().target("order/8").matches(&event));
        /// ```
        target
        /// Sets the condition on the request target.
        uri
        /// Sets the condition on the request id.
        request_id
        /// Sets the condition on the trace id.
        trace_id
    }

    /// Sets the condition on a detail.
    ///
    /// ```
    /// use tower_audit::query::Filter;
    /// # use tower_audit::{AuditEvent, EventType};
    ///
    /// let mut event = AuditEvent::new(EventType::UPLOAD);
    /// event.details.insert("plan".into(), "gold".into());
    /// assert!(Filter::new().detail("plan", "gold").matches(&event));
    /// ```
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.details.insert(key.into(), condition.into());
        self
    }

    /// Sets whether `started` events whose end is stored are left out.
    #[must_use]
    pub fn folded(mut self, folded: bool) -> Self {
        self.folded = folded;
        self
    }

    /// Returns the conditions on text, empty ones included.
    pub(crate) fn texts(&self) -> [(Field, &Condition<TextPattern>); 15] {
        [
            (Field::UserEmail, &self.user_email),
            (Field::EventType, &self.event_type),
            (Field::Route, &self.route),
            (Field::RemoteAddr, &self.remote_addr),
            (Field::Method, &self.method),
            (Field::ApiKeyHash, &self.api_key_hash),
            (Field::ActingFor, &self.acting_for),
            (Field::Domain, &self.domain),
            (Field::Action, &self.action),
            (Field::Error, &self.error),
            (Field::TargetType, &self.target_type),
            (Field::Target, &self.target),
            (Field::Uri, &self.uri),
            (Field::RequestId, &self.request_id),
            (Field::TraceId, &self.trace_id),
        ]
    }

    fn text_mut(&mut self, name: &str) -> Option<&mut Condition<TextPattern>> {
        Some(match name {
            "user_email" => &mut self.user_email,
            "event_type" => &mut self.event_type,
            "route" => &mut self.route,
            "remote_addr" => &mut self.remote_addr,
            "method" => &mut self.method,
            "api_key_hash" => &mut self.api_key_hash,
            "acting_for" => &mut self.acting_for,
            "domain" => &mut self.domain,
            "action" => &mut self.action,
            "error" => &mut self.error,
            "target_type" => &mut self.target_type,
            "target" => &mut self.target,
            "uri" => &mut self.uri,
            "request_id" => &mut self.request_id,
            "trace_id" => &mut self.trace_id,
            _ => return None,
        })
    }
}

impl Filter {
    /// A filter without conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the condition on the event type.
    #[must_use]
    pub fn event_type(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.event_type = condition.into();
        self
    }

    /// Sets the condition on the actor's name.
    #[must_use]
    pub fn user_email(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.user_email = condition.into();
        self
    }

    /// Sets the earliest time.
    #[must_use]
    pub fn since(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.since = time.into();
        self
    }

    /// Sets the end, which is not included.
    #[must_use]
    pub fn until(mut self, time: impl Into<Option<Timestamp>>) -> Self {
        self.until = time.into();
        self
    }

    /// Sets the condition on the HTTP status.
    #[must_use]
    pub fn outcome(mut self, condition: impl Into<Condition<OutcomePattern>>) -> Self {
        self.outcome = condition.into();
        self
    }

    /// Sets the condition on the route template.
    #[must_use]
    pub fn route(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.route = condition.into();
        self
    }

    /// Sets the condition on the client's address.
    #[must_use]
    pub fn remote_addr(mut self, condition: impl Into<Condition<TextPattern>>) -> Self {
        self.remote_addr = condition.into();
        self
    }

    /// Sets the condition on the phase.
    #[must_use]
    pub fn phase(mut self, condition: impl Into<Condition<Phase>>) -> Self {
        self.phase = condition.into();
        self
    }

    /// Returns true if the event passes the conditions. Whether it is [folded](Self::folded) into another, an event alone
    /// does not tell.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.matches_values(event)
    }

    /// Returns true if an event with these values passes the conditions.
    pub(crate) fn matches_values(&self, event: &impl FilterValues) -> bool {
        let text = |(field, condition): (Field, &Condition<TextPattern>)| {
            condition.is_empty()
                || condition.matches(|pattern| event.any_text(field, &mut |value| pattern.matches(value)))
        };
        let at = event.created_at();
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.outcome.matches(|status| status.matches(event.outcome()))
            && self.phase.matches(|phase| *phase == event.phase())
            && self.texts().into_iter().all(text)
            && self.details.iter().all(|(key, condition)| {
                condition.is_empty()
                    || condition.matches(|pattern| event.has_detail(key, &mut |value| pattern.matches(value)))
            })
    }

    /// Sets the condition called `name` from its textual form. Relative times count back from `now`.
    ///
    /// A condition other than on time can be set several times: each call adds a value, or after a `!` an excluded value.
    /// Text may contain `*` ([`TextPattern`]), but for `target`, `request_id`, `trace_id` and details, which are compared as
    /// a whole. A status may be a class (`4xx`) or `none`, and a list with commas (`401,403`). A detail is `KEY=VALUE`, by the
    /// name `detail`, or `VALUE` by the name `detail.KEY`. `folded` is `true` or `false`.
    ///
    /// ```
    /// use tower_audit::Timestamp;
    /// use tower_audit::query::Filter;
    ///
    /// let (mut filter, now) = (Filter::new(), Timestamp::now());
    /// filter.set("target", "order/7", now)?;
    /// filter.set("uri", "/orders/*", now)?;
    /// filter.set("detail.plan", "gold", now)?;
    /// assert!(filter.set("target", "order", now).unwrap_err().to_string().contains("TYPE/ID"));
    /// # Ok::<(), tower_audit::query::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// The name is unknown, the value is not valid, or the condition has more than 20 values. The text names both and the
    /// remedy.
    pub fn set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), FilterError> {
        let when = |value| super::parse_time(value, now).map(Some).map_err(|error| FilterError::new(error.to_string()));
        let done = match name {
            "since" => when(value).map(|since| self.since = since),
            "until" => when(value).map(|until| self.until = until),
            // No status has a comma in it.
            "outcome" => value.split(',').try_for_each(|value| self.outcome.add_parsed(value.trim(), str::parse)),
            "phase" => self.phase.add_parsed(value, phase),
            "folded" => folded(value).map(|folded| self.folded = folded),
            "detail" => match value.split_once('=') {
                Some((key, value)) => self.add_detail(key, value),
                None => Err(FilterError::new(format!("{:?} has no =: expected KEY=VALUE", excerpt(value)))),
            },
            _ => match (self.text_mut(name), name.strip_prefix(DETAIL_PREFIX)) {
                (Some(condition), _) => condition.add_parsed(value, parser_of(name)),
                (None, Some(key)) => self.add_detail(key, value),
                (None, None) => {
                    return Err(FilterError::new(format!(
                        "{:?} is not a filter: expected one of {}",
                        excerpt(name),
                        Self::FIELD_NAMES.join(", ")
                    )));
                }
            },
        };
        done.map_err(|error| FilterError::new(format!("{}: {error}", excerpt(name))))
    }

    fn add_detail(&mut self, key: &str, value: &str) -> Result<(), FilterError> {
        if key.is_empty() {
            return Err(FilterError::new("it has no key: expected KEY=VALUE"));
        }
        if self.details.len() >= MAX_DETAIL_KEYS && !self.details.contains_key(key) {
            return Err(FilterError::new(format!("it has more than {MAX_DETAIL_KEYS} keys")));
        }
        self.details.entry(key.to_owned()).or_default().add_parsed(value, exact)
    }

    /// Checks that `since` is before `until`, if both are set.
    ///
    /// # Errors
    /// It is not: no event could pass.
    pub fn check_times(&self) -> Result<(), FilterError> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(FilterError::new(format!("until: {until} is not after since, {since}: no event is in between")))
            }
            _ => Ok(()),
        }
    }

    /// The names that [`set`](Self::set) knows. A detail may also be set by the name `detail.KEY`.
    pub const FIELD_NAMES: [&'static str; 21] = [
        "event_type",
        "user_email",
        "since",
        "until",
        "outcome",
        "route",
        "remote_addr",
        "phase",
        "method",
        "api_key_hash",
        "acting_for",
        "domain",
        "action",
        "error",
        "target_type",
        "target",
        "uri",
        "request_id",
        "trace_id",
        "detail",
        "folded",
    ];
}

/// The beginning of the name of a condition on a detail.
const DETAIL_PREFIX: &str = "detail.";
/// The largest number of details that a filter read from text has conditions on.
const MAX_DETAIL_KEYS: usize = 20;

/// Returns the parser of a value of the condition called `name`.
fn parser_of(name: &str) -> fn(&str) -> Result<TextPattern, FilterError> {
    match name {
        "event_type" => event_type,
        "remote_addr" => remote_addr,
        "target" => target,
        "target_type" => target_type,
        "request_id" | "trace_id" => exact,
        _ => TextPattern::from_str,
    }
}

/// The values of an event that a filter tests. A store may have them without the whole event.
pub(crate) trait FilterValues {
    fn created_at(&self) -> Timestamp;
    fn outcome(&self) -> Option<u16>;
    fn phase(&self) -> Phase;
    /// Returns true if `test` does for one of the values of a field with text.
    fn any_text(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool;
    /// Returns true if the event has the detail as text, an integer or a boolean, and `test` does for its text.
    fn has_detail(&self, key: &str, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

impl FilterValues for AuditEvent {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn outcome(&self) -> Option<u16> {
        self.outcome
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn any_text(&self, field: Field, test: &mut dyn FnMut(&str) -> bool) -> bool {
        field.any_value(self, test)
    }

    fn has_detail(&self, key: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.details.get(key).and_then(detail_text).is_some_and(|text| test(&text))
    }
}

/// Returns the text by which a detail is compared, if it can be.
pub(crate) fn detail_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
