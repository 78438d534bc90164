//! A rule: which requests are recorded, when, and how.

use std::fmt;

use super::method_set::{MethodSet, Methods};
use super::path_pattern::PathPattern;
use super::rule_capture::{BodyCapture, RuleCapture};
use super::rule_target::{RuleTarget, TargetTemplate};
use super::{FailMode, PolicyError, RecordWhen};
use crate::event::{CompactText, EventType, excerpt};

/// A rule: selects requests and outcomes, and sets how they are recorded.
///
/// Made by [`new`](Self::new) or one of the [`presets`](super::presets), and changed by its setters.
/// [`PolicyBuilder::build`](super::PolicyBuilder::build) checks it.
///
/// ```
/// use tower_audit::policy::presets;
/// use tower_audit::{EventType, FailMode, Rule, RecordWhen};
///
/// let own_uploads = presets::ivre::upload().paths(["/import", "/import/{format}"]);
/// let resets = Rule::new(EventType::new("user.reset")?)
///     .methods(["POST"])
///     .paths(["/users/{id}/reset"])
///     .when(RecordWhen::always())
///     .write_ahead(true)
///     .fail_mode(FailMode::Closed);
/// assert!(resets.is_write_ahead() && !own_uploads.is_write_ahead());
/// # Ok::<(), tower_audit::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    event_type: EventType,
    methods: Option<Methods>,
    paths: Option<Vec<String>>,
    /// None: that of its type.
    when: Option<RecordWhen>,
    /// As it was set.
    write_ahead: Option<bool>,
    body_end: bool,
    target: RuleTarget,
    /// Domain and action.
    classification: Option<(CompactText, CompactText)>,
    capture: Option<Box<RuleCapture>>,
    pub(crate) fail_mode: FailMode,
}

/// The methods and patterns of a rule, compiled.
#[derive(Debug)]
pub(super) struct RequestMatcher {
    pub(super) methods: MethodSet,
    pub(super) patterns: Box<[PathPattern]>,
}

impl Rule {
    /// Returns a rule for this type: any method, every outcome, no path yet.
    ///
    /// A rule of the type `oversize_query` also compares the result count with the policy's maximum. Rules of the type
    /// `auth` begin with [`presets::auth`](super::presets::auth).
    pub fn new(event_type: EventType) -> Self {
        Self {
            event_type,
            methods: None,
            paths: None,
            when: None,
            write_ahead: None,
            body_end: false,
            target: RuleTarget::OfRoute,
            classification: None,
            capture: None,
            fail_mode: FailMode::Closed,
        }
    }
}

/// Setters; each replaces what was set before.
impl Rule {
    /// These methods, in whatever letter case they come. `GET` covers `HEAD`, for which routers run the same handler.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.methods = Some(Methods::Listed(methods.into_iter().map(Into::into).collect()));
        self
    }

    /// Every method but `GET`, `HEAD`, `OPTIONS` and `TRACE`, spelled exactly so: a `get` is something else.
    #[must_use]
    pub fn unsafe_methods(mut self) -> Self {
        self.methods = Some(Methods::Unsafe);
        self
    }

    /// Every method.
    #[must_use]
    pub fn any_method(mut self) -> Self {
        self.methods = Some(Methods::Any);
        self
    }

    /// Paths below the mount prefix: literal segments, `{name}` for any one segment, and at the end `{*name}` for any
    /// number of them, none included. `/{*path}` is every path.
    ///
    /// A path matches if any plausible reading of it does: with `.` and `..` in place or resolved; decoded never, once or
    /// several times; split at `/`, or also at a decoded `/` or `\`; with the [base path](super::PolicyBuilder::base_path)
    /// or without. A path that mixes dots with escapes, or has a `\`, matches if the literal segments are in it, in their
    /// order. Empty segments and a `/` at the end never count. Letter case does.
    ///
    /// ```
    /// use http::Method;
    /// use tower_audit::policy::presets;
    ///
    /// let policy = presets::ivre();
    /// for dodge in ["/auth//admin/./u/", "/auth/%61dmin/u", "/x/../auth/admin/u", "/a%2fb/../auth%2fadmin/u", "/auth\\admin/u"] {
    ///     assert!(policy.explain(&Method::PUT, dodge).is_write_ahead(), "{dodge}");
    /// }
    /// ```
    #[must_use]
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.paths = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the outcomes that are recorded.
    #[must_use]
    pub fn when(mut self, when: RecordWhen) -> Self {
        self.when = Some(when);
        self
    }

    /// Makes a `started` event durable before the handler runs.
    ///
    /// A started event is always completed: if no rule's [`when`](Self::when) holds for the outcome, this rule decides.
    #[must_use]
    pub fn write_ahead(mut self, write_ahead: bool) -> Self {
        self.write_ahead = Some(write_ahead);
        self
    }

    /// Writes the `completed` event at the end of the response's body instead of before its head. Implies
    /// [`write_ahead`](Self::write_ahead), which cannot be false with it.
    #[must_use]
    pub fn body_end(mut self, body_end: bool) -> Self {
        self.body_end = body_end;
        self
    }

    /// Sets the target of the events: a type, and an id with parameters of the path in it, `{id}` or `{tenant}/{id}`. The
    /// parameters are those of the route's template, else of the rule's own paths. An event of a path without one of them has no
    /// target. Targets that a handler [names](crate::AuditContext::target) replace it.
    ///
    /// Without this setting it is the last parameter of the route that is a whole segment behind a literal one, with that segment
    /// as its type: `/orders/{id}/cancel` gives `orders/7`. The route is that of [`resource`](crate::Resource), so it may come
    /// from the router, from the handler or from the rule's path. Neither is ever a parameter that
    /// [is hidden in the path](super::RequestPath).
    ///
    /// ```
    /// use http::Method;
    /// use tower_audit::{AuditPolicy, EventType, Rule};
    ///
    /// let cancel = Rule::new(EventType::new("order.cancel")?).methods(["POST"]).paths(["/orders/{id}/cancel"]);
    /// let policy = AuditPolicy::builder().rule(cancel.target("order", "{id}")).build()?;
    /// let explanation = policy.explain(&Method::POST, "/orders/7/cancel");
    /// assert_eq!(explanation.rules()[0].target(), Some("order/7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn target(mut self, target_type: impl Into<CompactText>, id: impl Into<CompactText>) -> Self {
        self.target = RuleTarget::Named(TargetTemplate { target_type: target_type.into(), id: id.into() });
        self
    }

    /// Gives the events no target but those that a handler names.
    #[must_use]
    pub fn without_target(mut self) -> Self {
        self.target = RuleTarget::Off;
        self
    }

    /// Sets the app's domain and action of the events: `security.user`, `update`. A handler's
    /// [`classify`](crate::AuditContext::classify) replaces them.
    #[must_use]
    pub fn classify(mut self, domain: impl Into<CompactText>, action: impl Into<CompactText>) -> Self {
        self.classification = Some((domain.into(), action.into()));
        self
    }

    /// Sets the headers of the request that its event has, in `details.headers`: an allow-list, empty by default. At most 16;
    /// one with the name of a credential is an error when the policy is built.
    ///
    /// Values that look like credentials are masked. If several rules match a request, its event has what any of them asks for.
    #[must_use]
    pub fn capture_headers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.capture_mut().headers = names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect();
        self
    }

    /// Sets the parameters of the query that the event has, in `details.query`, decoded. As for
    /// [`capture_headers`](Self::capture_headers).
    #[must_use]
    pub fn capture_query(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.capture_mut().query = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the part of the request's body that the event has, in `details.request_body`. It needs a
    /// [`CaptureBodyLayer`](crate::middleware::CaptureBodyLayer) within the audit layer.
    #[must_use]
    pub fn capture_body(mut self, capture: BodyCapture) -> Self {
        self.capture_mut().body = Some(capture);
        self
    }

    fn capture_mut(&mut self) -> &mut RuleCapture {
        self.capture.get_or_insert_default()
    }

    /// Sets the treatment of a request whose event cannot be written.
    #[must_use]
    pub fn fail_mode(mut self, fail_mode: FailMode) -> Self {
        self.fail_mode = fail_mode;
        self
    }
}

impl Rule {
    /// The type of the events.
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Returns true if a `started` event precedes the handler, by `write_ahead` or implied by `body_end`.
    pub fn is_write_ahead(&self) -> bool {
        self.write_ahead == Some(true) || self.body_end
    }

    /// Returns true if the `completed` event is written at the end of the body.
    pub fn writes_at_body_end(&self) -> bool {
        self.body_end
    }

    /// The domain and the action of the events.
    pub(crate) fn classification(&self) -> Option<&(CompactText, CompactText)> {
        self.classification.as_ref()
    }

    /// The data of the request that the rule asks for.
    pub(crate) fn capture(&self) -> Option<&RuleCapture> {
        self.capture.as_deref()
    }

    pub(super) fn rule_target(&self) -> &RuleTarget {
        &self.target
    }

    /// The target as the rule names it: `order/{id}`.
    pub(super) fn target_template(&self) -> Option<&TargetTemplate> {
        match &self.target {
            RuleTarget::Named(template) => Some(template),
            RuleTarget::OfRoute | RuleTarget::Off => None,
        }
    }

    /// Returns true if the rule has paths.
    pub(crate) fn has_paths(&self) -> bool {
        self.paths.is_some()
    }

    /// The paths that the rule names.
    #[cfg(feature = "route-coverage")]
    pub(crate) fn path_patterns(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().flatten().map(String::as_str)
    }

    /// Returns the rule without its paths.
    #[cfg(feature = "policy-file")]
    pub(super) fn without_paths(self) -> Self {
        Self { paths: None, ..self }
    }

    pub(super) fn record_when(&self) -> &RecordWhen {
        static ALWAYS: RecordWhen = RecordWhen::ALWAYS;
        static DECLARED: RecordWhen = RecordWhen::DECLARED;
        match &self.when {
            Some(when) => when,
            None if self.is_auth() && self.paths.is_none() => &DECLARED,
            None => &ALWAYS,
        }
    }

    fn is_auth(&self) -> bool {
        self.event_type == EventType::AUTH
    }

    pub(super) fn is_oversize(&self) -> bool {
        self.event_type == EventType::OVERSIZE_QUERY
    }

    /// Compiles the methods and patterns, if the rule has some.
    ///
    /// # Errors
    /// If a setting of the rule is invalid.
    pub(super) fn compile(&self, index: usize) -> Result<Option<RequestMatcher>, PolicyError> {
        let place = |key| super::error::Location::rule(index, self.event_type.as_str(), key);
        let wrong = |key, problem: String| Err(PolicyError::new(place(key), problem));

        if let Some(fault) = self.record_when().problem() {
            return wrong("when", fault);
        }
        if self.is_write_ahead() && self.is_oversize() {
            let key = if self.body_end { "body_end" } else { "write_ahead" };
            return wrong(key, "cannot be true for `oversize_query`: the count is known only after the handler".into());
        }
        if self.body_end && self.write_ahead == Some(false) {
            let problem = "cannot be false where `body_end` is true: what has begun must be durable before a body that may \
                        never end. Leave it out";
            return wrong("write_ahead", problem.into());
        }
        if let Some(fault) = self.target_template().and_then(TargetTemplate::problem) {
            return wrong("target", fault);
        }
        if let Some((domain, action)) = &self.classification {
            for (key, name) in [("domain", domain), ("action", action)] {
                if name.is_empty() {
                    return wrong(key, "is empty: expected a name, such as \"security.user\" or \"update\"".into());
                }
            }
        }
        if let Some((key, fault)) = self.capture().and_then(RuleCapture::problem) {
            return wrong(key, fault);
        }
        let own_methods = if self.is_auth() { &Methods::Unsafe } else { &Methods::Any };
        let methods = match self.methods.as_ref().unwrap_or(own_methods).compile() {
            Ok(methods) => methods,
            Err((None, problem)) => return wrong("methods", problem),
            Err((Some(item), problem)) => return Err(PolicyError::new(place("methods").item(item), problem)),
        };
        let Some(paths) = &self.paths else {
            let response_side = self.methods.is_none() && !self.is_write_ahead();
            if response_side && (self.is_oversize() || self.record_when().is_only_declared()) {
                return Ok(None);
            }
            return wrong(
                "paths",
                "is missing: expected patterns such as \"/users/{id}\", or \"/{*path}\" for all".into(),
            );
        };
        if paths.is_empty() {
            return wrong("paths", "the list is empty: expected at least one, or \"/{*path}\" for all".into());
        }
        let mut patterns = Vec::with_capacity(paths.len());
        for (item, path) in paths.iter().enumerate() {
            patterns.push(
                PathPattern::parse(path).map_err(|problem| PolicyError::new(place("paths").item(item), problem))?,
            );
        }
        let is_anywhere = |name| patterns.iter().any(|pattern| pattern.is_catch_all() || pattern.has_parameter(name));
        if let Some(name) = self.target_template().and_then(|it| it.parameters().find(|name| !is_anywhere(name))) {
            let name = excerpt(name);
            return wrong("target", format!("`{{{name}}}` is no parameter of the rule's paths: expected one of them"));
        }
        Ok(Some(RequestMatcher { methods, patterns: patterns.into() }))
    }
}

/// `upload: POST /scans /view`, `http.mutation: unsafe methods /{*path}, started first`, `auth: if declared`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.event_type)?;
        match (&self.paths, self.is_oversize()) {
            (Some(paths), _) => {
                let default_methods = if self.is_auth() { &Methods::Unsafe } else { &Methods::Any };
                write!(f, " {} {}", self.methods.as_ref().unwrap_or(default_methods), paths.join(" "))?;
            }
            (None, true) => f.write_str(" more results than the maximum")?,
            (None, false) => f.write_str(" if declared")?,
        }
        if self.is_write_ahead() { f.write_str(", started first") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::presets;

    fn fault(rule: Rule) -> String {
        rule.compile(2).expect_err("a fault").to_string()
    }

    #[test]
    fn presets_are_valid() {
        for (rule, has_request_side) in [
            (presets::ivre::upload(), true),
            (presets::ivre::admin_action(), true),
            (presets::oversize_query(), false),
            (presets::auth(), false),
            (presets::auth().paths(["/login"]), true),
            (presets::oversize_query().paths(["/scans"]), true),
        ] {
            assert_eq!(rule.compile(0).expect("valid").is_some(), has_request_side, "{rule:?}");
        }
    }

    #[test]
    fn faults_name_rule_key_and_value() {
        let own = || Rule::new(EventType::new("a.b").expect("a type"));
        for (rule, text) in [
            (own(), "rule 3 (`a.b`): key `paths` is missing: expected"),
            (own().methods(["PUT"]).when(RecordWhen::declared()), "rule 3 (`a.b`): key `paths` is missing: expected"),
            (presets::auth().write_ahead(true), "rule 3 (`auth`): key `paths` is missing: expected"),
            (own().paths([""; 0]), "rule 3 (`a.b`): key `paths`: the list is empty: expected"),
            (presets::ivre::upload().paths(["/a", "b"]), "rule 3 (`upload`): key `paths`: \"b\" is no path pattern"),
            (presets::ivre::upload().methods(["P T"]), "rule 3 (`upload`): key `methods`: \"P T\" is no HTTP method"),
            (presets::ivre::upload().methods([""; 0]), "rule 3 (`upload`): key `methods`: the list is empty: expected"),
            (
                presets::ivre::upload().when(RecordWhen::statuses([7])),
                "rule 3 (`upload`): key `when`: 7 is no HTTP status",
            ),
            (
                presets::oversize_query().write_ahead(true),
                "rule 3 (`oversize_query`): key `write_ahead`: cannot be true",
            ),
            (presets::oversize_query().body_end(true), "rule 3 (`oversize_query`): key `body_end`: cannot be true"),
            (
                presets::ivre::upload().body_end(true).write_ahead(false),
                "rule 3 (`upload`): key `write_ahead`: cannot be false",
            ),
        ] {
            let found = fault(rule);
            assert!(found.starts_with(text), "{found}\n{text}");
        }
    }

    #[test]
    fn body_end_implies_write_ahead() {
        assert!(presets::ivre::upload().body_end(true).is_write_ahead());
        assert!(presets::ivre::upload().body_end(false).write_ahead(true).is_write_ahead());
        assert!(!presets::ivre::upload().is_write_ahead());
    }
}
