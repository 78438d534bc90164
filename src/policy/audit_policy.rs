//! The policy: rules, filter, capture settings.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::error::Place;
use super::filter::Filter;
use super::method_set::{MethodClass, OpenedBy};
use super::mount::Mount;
use super::pattern::Pattern;
use super::rule::RequestSide;
use super::{Candidates, Capture, Decision, Ended, FailMode, PolicyBuilder, PolicyError, RequestPath, Rule, path};
use crate::event::EventType;

/// Which requests are audited, and how. Cheap to clone.
///
/// ```
/// use http::{Method, StatusCode};
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::Ended;
///
/// let policy = AuditPolicy::preset();
/// assert!(policy.candidates(&Method::GET, "/scans").is_empty());
///
/// // A denial is recorded too, and was written ahead.
/// let candidates = policy.candidates(&Method::DELETE, "/auth/admin/users/bob");
/// assert_eq!(policy.write_ahead(candidates), Some(1));
/// let ended = Ended { status: Some(StatusCode::FORBIDDEN), ..Ended::default() };
/// assert_eq!(policy.decide(candidates, &ended).unwrap().event_type.as_str(), "admin_action");
/// ```
#[derive(Clone)]
pub struct AuditPolicy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    /// The request sides of the rules that are active, and their indices.
    request_sides: Vec<(usize, RequestSide)>,
    /// Which of them a method leaves open.
    opened_by: OpenedBy,
    /// The rules that are active: allowed by the filter, and not an oversize rule without a maximum.
    active: Candidates,
    /// Those of them that have a request side.
    named: Candidates,
    /// How many segments of a path any rule looks at.
    segment_limit: usize,
    /// Whether a pattern of theirs has a parameter that is hidden.
    patterns_hide: bool,
}

/// What a policy is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) rules: Vec<Rule>,
    pub(super) mount: Mount,
    pub(super) max_results: Option<u64>,
    pub(super) filter: Filter,
    pub(super) capture: Capture,
}

impl AuditPolicy {
    /// The four preset rules: upload, admin_action, oversize_query (off, as there is no maximum), auth.
    pub fn preset() -> Self {
        Self::builder().preset().build().expect("the presets are constant, and valid together")
    }

    /// A policy without rules, to be built.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    pub(super) fn new(parts: Parts) -> Result<Self, PolicyError> {
        if parts.capture.pepper.as_ref().is_some_and(Vec::is_empty) {
            let what = "the pepper is empty: expected secret bytes, or no pepper";
            return Err(PolicyError::new(Place::key("pepper"), what));
        }
        let (mut active, mut named) = (0, 0);
        let mut request_sides = Vec::new();
        for (index, rule) in parts.rules.iter().enumerate() {
            let request_side = rule.compile(index)?;
            if !parts.filter.allows(rule.event_type()) || (rule.is_oversize() && parts.max_results.is_none()) {
                continue;
            }
            active |= 1 << index;
            if let Some(request_side) = request_side {
                named |= 1 << index;
                request_sides.push((index, request_side));
            }
        }
        let lengths = request_sides.iter().flat_map(|(_, side)| side.patterns.iter().map(Pattern::len));
        let segment_limit = parts.mount.len() + lengths.max().unwrap_or(0);
        let (active, named) = (Candidates(active), Candidates(named));
        let opened_by = OpenedBy::of(request_sides.iter().map(|(index, side)| (*index, &side.methods)));
        let mut patterns = request_sides.iter().flat_map(|(_, side)| &side.patterns);
        let patterns_hide = patterns.any(|pattern| parts.capture.hides_parameters_of(pattern.text()));
        Ok(Self(Arc::new(Inner { parts, request_sides, opened_by, active, named, segment_limit, patterns_hide })))
    }

    /// The active rules whose methods and paths match. Rules that name neither are not among them; they are asked when
    /// the request has ended.
    ///
    /// Allocates nothing, whatever the path, unless a pattern has more than 16 segments.
    pub fn candidates(&self, method: &Method, path: &str) -> Candidates {
        let class = MethodClass::of(method);
        let open = self.0.opened_by.get(class).unwrap_or_else(|| self.opened_by_other(class));
        if open == 0 {
            return Candidates::NONE;
        }
        if path::is_plain(path) { self.plain_matches(open, path) } else { self.read_matches(open, path) }
    }

    /// Whether any response may have to be recorded for its result count.
    pub fn watches_responses(&self) -> bool {
        self.0.active.iter().any(|index| self.rule_at(index).is_oversize())
    }

    /// A query with more results than these is oversize.
    pub fn max_results(&self) -> Option<u64> {
        self.0.parts.max_results
    }

    /// The rules in the order in which they are asked, inactive ones included.
    pub fn rules(&self) -> &[Rule] {
        &self.0.parts.rules
    }

    /// The rule at this index.
    ///
    /// # Panics
    /// If there is none. Indices that come from this policy are fine.
    pub fn rule_at(&self, index: usize) -> &Rule {
        &self.0.parts.rules[index]
    }

    /// The first of these rules that is written ahead.
    pub fn write_ahead(&self, candidates: Candidates) -> Option<usize> {
        candidates.iter().find(|&index| self.rule_at(index).is_write_ahead())
    }

    /// Whether one of these rules lets no response leave without its event.
    pub(crate) fn is_fail_closed(&self, candidates: Candidates) -> bool {
        candidates.iter().any(|index| self.rule_at(index).failing() != FailMode::Open)
    }

    /// Whether a request that ended so is recorded, and how.
    ///
    /// 1. A type that the handler named is recorded, unless the filter excludes it. How is said by the first candidate,
    ///    else by the first rule of that type.
    /// 2. Else the first rule decides that is a candidate, or names no request, and whose `when` holds.
    /// 3. Else, if one of the candidates was written ahead, that one decides: what was started is completed.
    pub fn decide(&self, candidates: Candidates, ended: &Ended<'_>) -> Option<Decision> {
        let rules = self.rules();
        if let Some(declared) = ended.declared.filter(|declared| self.allows(declared)) {
            let of_type = || rules.iter().position(|rule| rule.event_type() == declared);
            let rule = candidates.first().or_else(of_type);
            let fail_mode = rule.map_or(FailMode::Closed, |index| self.rule_at(index).failing());
            return Some(Decision { rule, event_type: declared.clone(), fail_mode });
        }
        let holds = |index: &usize| self.holds(*index, candidates, ended);
        let index = self.0.active.iter().find(holds).or_else(|| self.write_ahead(candidates))?;
        let rule = self.rule_at(index);
        Some(Decision { rule: Some(index), event_type: rule.event_type().clone(), fail_mode: rule.failing() })
    }

    /// A matched route template without the mount prefix.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::builder().mount("/cgi").build()?;
    /// assert_eq!(policy.strip_mount("/cgi/users/{id}"), "/users/{id}");
    /// assert_eq!(policy.strip_mount("/cgi"), "/");
    /// assert_eq!(policy.strip_mount("/cgi-bin"), "/cgi-bin");
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    pub fn strip_mount<'p>(&self, route: &'p str) -> &'p str {
        self.0.parts.mount.strip(route)
    }

    /// The pattern of this rule that matches the path: its route, where there is no router. None if only a pattern
    /// with a `{*rest}` does, as that is no template of one route.
    ///
    /// ```
    /// use tower_audit::{AuditPolicy, Rule};
    ///
    /// let policy = AuditPolicy::builder().rule(Rule::upload().paths(["/files/{name}", "/raw/{*path}"])).build()?;
    /// assert_eq!(policy.template(0, "/files/a.txt"), Some("/files/{name}"));
    /// assert_eq!(policy.template(0, "/raw/a/b"), None);
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    pub fn template(&self, index: usize, path: &str) -> Option<&str> {
        self.pattern(index, path, |pattern| !pattern.is_catch_all()).map(Pattern::text)
    }

    /// The first pattern of this rule that is one of `these` and matches the path.
    fn pattern(&self, index: usize, path: &str, these: impl Fn(&Pattern) -> bool) -> Option<&Pattern> {
        let (_, side) = self.0.request_sides.iter().find(|(at, _)| *at == index)?;
        let mut patterns = side.patterns.iter().filter(|pattern| these(pattern));
        let mut found = None;
        if path::is_plain(path) {
            let rest = self.strip_mount(path);
            found = patterns.find(|pattern| pattern.matches_plain(rest));
        } else {
            path::each_reading(path, self.0.segment_limit, |reading| {
                let reading = self.0.parts.mount.strip_reading(reading);
                found = patterns.clone().find(|pattern| pattern.matches(&reading));
                found.is_some()
            });
        }
        found
    }

    /// The path as it may be recorded: none if no template matched it, and the policy asks for nothing else. The template
    /// is the one that was `said`, the one that the router `matched`, and the pattern of this rule.
    pub(crate) fn redact_path<'p>(
        &self,
        path: &'p str,
        said: Option<&str>,
        matched: Option<&str>,
        rule: Option<usize>,
    ) -> Option<Cow<'p, str>> {
        let capture = self.capture();
        let mount = self.0.parts.mount.prefix_of(path);
        let redact = |shown: &mut Cow<'p, str>, template: &str, is_below_mount: bool| {
            let below_mount = (is_below_mount && !mount.is_empty()).then(|| format!("{mount}{template}"));
            if let Cow::Owned(redacted) = capture.redact_path(shown, below_mount.as_deref().unwrap_or(template)) {
                *shown = Cow::Owned(redacted);
            }
        };
        // Each look at a pattern costs; few have anything to hide.
        let of_rule = || {
            let hides = |pattern: &Pattern| capture.hides_parameters_of(pattern.text());
            self.0.patterns_hide.then(|| self.pattern(rule?, path, hides)).flatten().map(Pattern::text)
        };
        let mut shown = Cow::Borrowed(path);
        match capture.request_path() {
            RequestPath::AsSent => {}
            RequestPath::Template => match (said, matched) {
                (Some(said), _) => redact(&mut shown, said, true),
                (None, Some(matched)) => redact(&mut shown, matched, false),
                (None, None) => redact(&mut shown, self.template(rule?, path)?, true),
            },
            RequestPath::Redacted => {
                for (template, is_below_mount) in [(said, true), (matched, false), (of_rule(), true)] {
                    if let Some(template) = template {
                        redact(&mut shown, template, is_below_mount);
                    }
                }
            }
        }
        Some(shown)
    }

    /// The same policy with this secret, with which API keys are hashed: for a policy that was read from a file, where
    /// no secret belongs.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::preset().with_pepper(*b"from a safe place")?;
    /// assert!(policy.capture().pepper().is_some());
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn with_pepper(&self, pepper: impl Into<Vec<u8>>) -> Result<Self, PolicyError> {
        let mut parts = self.0.parts.clone();
        parts.capture.pepper = Some(pepper.into());
        Self::new(parts)
    }

    /// What is taken from a request, and what is hidden.
    pub fn capture(&self) -> &Capture {
        &self.0.parts.capture
    }

    /// Whether the filter lets events of this type be recorded.
    pub fn allows(&self, event_type: &EventType) -> bool {
        self.0.parts.filter.allows(event_type)
    }

    fn holds(&self, index: usize, candidates: Candidates, ended: &Ended<'_>) -> bool {
        let rule = self.rule_at(index);
        let declared = ended.declared == Some(rule.event_type());
        let is_oversize = || ended.result_count.zip(self.max_results()).is_some_and(|(count, max)| count > max);
        (candidates.contains(index) || !self.0.named.contains(index))
            && (!rule.is_oversize() || is_oversize())
            && rule.ends().holds(ended, declared)
    }

    /// The rules that a method opens which has no bit of its own.
    fn opened_by_other(&self, class: MethodClass<'_>) -> u64 {
        let bits = self.0.request_sides.iter().map(|(index, side)| u64::from(side.methods.has(class)) << index);
        bits.fold(0, |open, bit| open | bit)
    }

    /// Which of the `open` rules match a path that has one reading only.
    fn plain_matches(&self, open: u64, path: &str) -> Candidates {
        let path = self.strip_mount(path);
        let mut found = 0;
        for (index, side) in &self.0.request_sides {
            if Candidates(open).contains(*index) && side.patterns.iter().any(|pattern| pattern.matches_plain(path)) {
                found |= 1 << index;
            }
        }
        Candidates(found)
    }

    /// Which of the `open` rules match any reading of a path.
    fn read_matches(&self, open: u64, path: &str) -> Candidates {
        let mut found = 0;
        path::each_reading(path, self.0.segment_limit, |reading| {
            let reading = self.0.parts.mount.strip_reading(reading);
            for (index, side) in &self.0.request_sides {
                let is_left = Candidates(open & !found).contains(*index);
                if is_left && side.patterns.iter().any(|pattern| pattern.matches(&reading)) {
                    found |= 1 << index;
                }
            }
            found == open
        });
        Candidates(found)
    }
}

impl fmt::Debug for AuditPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { rules, mount, max_results, filter, capture } = &self.0.parts;
        f.debug_struct("AuditPolicy")
            .field("rules", rules)
            .field("mount", mount)
            .field("max_results", max_results)
            .field("filter", filter)
            .field("capture", capture)
            .finish()
    }
}

#[cfg(test)]
mod tests;
