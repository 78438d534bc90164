//! The policy: rules, filter, capture settings.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::Method;

use super::base_path::BasePath;
use super::error::Location;
use super::method_set::{MethodClass, RulesByMethod};
use super::path_pattern::PathPattern;
use super::path_variants::{self, PathVariant, UnorderedSegments};
use super::rule::RequestMatcher;
use super::{
    CaptureConfig, Decision, FailMode, MatchingRules, PolicyBuilder, PolicyError, RequestOutcome, RequestPath, Rule,
};
use crate::event::{EventType, EventTypeFilter, excerpt};

/// An ordered list of rules that selects the requests to audit. Cheap to clone.
///
/// ```
/// use http::Method;
/// use tower_audit::AuditPolicy;
/// use tower_audit::policy::presets;
///
/// assert!(AuditPolicy::mutations().explain(&Method::POST, "/orders").is_audited());
///
/// let policy = AuditPolicy::builder().rule(presets::login(["/login"])).preset_mutations().base_path("/shop").build()?;
/// println!("{}", policy.explain(&Method::POST, "/shop/login"));
/// # Ok::<(), tower_audit::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct AuditPolicy(Arc<PolicyInner>);

#[derive(Debug)]
struct PolicyInner {
    parts: Parts,
    /// The request sides of the rules that are active, and their indices.
    request_matchers: Vec<(usize, RequestMatcher)>,
    /// The rules with each method.
    rules_by_method: RulesByMethod,
    /// The rules that are active: allowed by the filter, and not an oversize rule without a maximum.
    active: MatchingRules,
    /// Those of them that have a request side.
    with_matcher: MatchingRules,
    /// Those that ask for data of the request.
    capturing: MatchingRules,
    /// The number of segments of the longest pattern, base path included.
    max_segments: usize,
    /// True if a pattern has a hidden parameter.
    patterns_hide: bool,
}

/// The parts of a policy.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) rules: Vec<Rule>,
    pub(super) base_path: BasePath,
    pub(super) max_results: Option<u64>,
    pub(super) event_types: EventTypeFilter,
    pub(super) capture_config: CaptureConfig,
}

impl AuditPolicy {
    /// A policy without rules, to be built.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    pub(super) fn new(parts: Parts) -> Result<Self, PolicyError> {
        if parts.capture_config.pepper.as_ref().is_some_and(Vec::is_empty) {
            let problem = "the pepper is empty: expected secret bytes, or no pepper";
            return Err(PolicyError::new(Location::key("pepper"), problem));
        }
        let (mut active, mut named, mut capturing) = (0, 0, 0);
        let mut request_sides = Vec::new();
        for (index, rule) in parts.rules.iter().enumerate() {
            let request_side = rule.compile(index)?;
            let hidden = |name: &&str| {
                parts.capture_config.request_path() != RequestPath::AsSent && parts.capture_config.is_credential(name)
            };
            if let Some(name) = rule.target_template().and_then(|template| template.parameters().find(hidden)) {
                let what = format!(
                    "`{{{}}}` is hidden in paths, because it has the name of a credential or of `capture.redact`: expected a \
                     parameter that is shown",
                    excerpt(name)
                );
                return Err(PolicyError::new(Location::rule(index, rule.event_type().as_str(), "target"), what));
            }
            if !parts.event_types.allows(rule.event_type()) || (rule.is_oversize() && parts.max_results.is_none()) {
                continue;
            }
            active |= 1 << index;
            capturing |= u64::from(rule.capture().is_some()) << index;
            if let Some(request_side) = request_side {
                named |= 1 << index;
                request_sides.push((index, request_side));
            }
        }
        let lengths = request_sides.iter().flat_map(|(_, side)| side.patterns.iter().map(PathPattern::len));
        let segment_limit = parts.base_path.len() + lengths.max().unwrap_or(0);
        let (active, named) = (MatchingRules(active), MatchingRules(named));
        let opened_by = RulesByMethod::of(request_sides.iter().map(|(index, side)| (*index, &side.methods)));
        let mut patterns = request_sides.iter().flat_map(|(_, side)| &side.patterns);
        let patterns_hide = patterns.any(|pattern| parts.capture_config.hides_parameters_of(pattern.text()));
        Ok(Self(Arc::new(PolicyInner {
            parts,
            request_matchers: request_sides,
            rules_by_method: opened_by,
            active,
            with_matcher: named,
            capturing: MatchingRules(capturing),
            max_segments: segment_limit,
            patterns_hide,
        })))
    }

    /// The active rules whose methods and paths match. Rules that name neither are not among them; they are asked when
    /// the request has ended.
    ///
    /// Allocates nothing for a path of up to 256 bytes, unless a pattern has more than 16 segments. Public for benches and fuzz targets;
    /// [`explain`](Self::explain) is for people.
    #[doc(hidden)]
    pub fn matching_rules(&self, method: &Method, path: &str) -> MatchingRules {
        let class = MethodClass::of(method);
        let open = self.0.rules_by_method.get(class).unwrap_or_else(|| self.rules_for_other_method(class));
        if open == 0 {
            return MatchingRules::NONE;
        }
        if path_variants::is_plain(path) { self.match_plain_path(open, path) } else { self.match_variants(open, path) }
    }

    /// Returns true if an active rule names methods or paths.
    pub(crate) fn names_requests(&self) -> bool {
        !self.0.with_matcher.is_empty()
    }

    /// Returns the active rules as one line of text.
    pub(crate) fn active_rules(&self) -> String {
        let rules: Vec<String> = self.0.active.iter().map(|index| self.rule(index).to_string()).collect();
        rules.join("; ")
    }

    /// Returns true if a rule depends on the result count of responses.
    pub(crate) fn inspects_responses(&self) -> bool {
        self.0.active.iter().any(|index| self.rule(index).is_oversize())
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
    pub(crate) fn rule(&self, index: usize) -> &Rule {
        &self.0.parts.rules[index]
    }

    /// The first of these rules that is written ahead.
    pub(crate) fn first_write_ahead(&self, candidates: MatchingRules) -> Option<usize> {
        candidates.iter().find(|&index| self.rule(index).is_write_ahead())
    }

    /// Returns true if one of these rules fails the request when its event cannot be written.
    pub(crate) fn is_fail_closed(&self, candidates: MatchingRules) -> bool {
        candidates.iter().any(|index| self.rule(index).fail_mode != FailMode::Open)
    }

    /// Returns true if one of these rules asks for data of the request beyond the usual.
    #[inline]
    pub(crate) fn captures(&self, candidates: MatchingRules) -> bool {
        candidates.0 & self.0.capturing.0 != 0
    }

    /// Decides how a request with this outcome is recorded, or returns `None`.
    ///
    /// 1. A type that the handler named is recorded, unless the filter excludes it. How is said by the first candidate,
    ///    else by the first rule of that type.
    /// 2. Else the first rule decides that is a candidate, or names no request, and whose `when` holds.
    /// 3. Else, if one of the candidates was written ahead, that one decides: what was started is completed.
    pub(crate) fn decide(&self, candidates: MatchingRules, ended: &RequestOutcome<'_>) -> Option<Decision> {
        let rules = self.rules();
        if let Some(declared) = ended.declared_type.filter(|declared| self.allows(declared)) {
            let of_type = || rules.iter().position(|rule| rule.event_type() == declared);
            let rule = candidates.first().or_else(of_type);
            let fail_mode = rule.map_or(FailMode::Closed, |index| self.rule(index).fail_mode);
            return Some(Decision { rule, event_type: declared.clone(), fail_mode });
        }
        let holds = |index: &usize| self.rule_applies(*index, candidates, ended);
        let index = self.0.active.iter().find(holds).or_else(|| self.first_write_ahead(candidates))?;
        let rule = self.rule(index);
        Some(Decision { rule: Some(index), event_type: rule.event_type().clone(), fail_mode: rule.fail_mode })
    }

    /// Returns a matched route template without the base path.
    pub(crate) fn strip_base_path<'p>(&self, route: &'p str) -> &'p str {
        self.0.parts.base_path.strip(route)
    }

    /// Returns the pattern of this rule that matches the path: its route, where there is no router. None if only a pattern
    /// with a `{*rest}` matches: it is the template of several routes.
    #[doc(hidden)]
    pub fn route_pattern(&self, index: usize, path: &str) -> Option<&str> {
        self.pattern(index, path, |pattern| !pattern.is_catch_all()).map(PathPattern::text)
    }

    /// Returns the first pattern of this rule that matches the path.
    pub(super) fn matching_pattern(&self, index: usize, path: &str) -> Option<&str> {
        self.pattern(index, path, |_| true).map(PathPattern::text)
    }

    /// Returns true if the rule has paths, and this is one of its methods.
    pub(super) fn has_method(&self, index: usize, method: &Method) -> bool {
        let mut matchers = self.0.request_matchers.iter();
        matchers.any(|(at, matcher)| *at == index && matcher.methods.contains(MethodClass::of(method)))
    }

    /// Returns the first pattern of this rule that is one of `these` and matches the path.
    fn pattern(&self, index: usize, path: &str, these: impl Fn(&PathPattern) -> bool) -> Option<&PathPattern> {
        let (_, matcher) = self.0.request_matchers.iter().find(|(at, _)| *at == index)?;
        let patterns = matcher.patterns.iter().filter(|pattern| these(pattern));
        if path_variants::is_plain(path) {
            let matching = |path| patterns.clone().find(|pattern| pattern.matches_plain(path));
            let below_base = self.strip_base_path(path);
            return matching(below_base).or_else(|| matching(path).filter(|_| below_base.len() != path.len()));
        }
        let mut first = None;
        self.each_form(path, |form| {
            first = patterns.clone().find(|pattern| form.matches(pattern));
            first.is_some()
        });
        first
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
        let capture = self.capture_config();
        let mount = self.0.parts.base_path.prefix_of(path);
        let redact = |shown: &mut Cow<'p, str>, template: &str, is_below_mount: bool| {
            let below_mount = (is_below_mount && !mount.is_empty()).then(|| format!("{mount}{template}"));
            if let Cow::Owned(redacted) = capture.redact_path(shown, below_mount.as_deref().unwrap_or(template)) {
                *shown = Cow::Owned(redacted);
            }
        };
        // Each look at a pattern costs; few have anything to hide.
        let of_rule = || {
            let hides = |pattern: &PathPattern| capture.hides_parameters_of(pattern.text());
            self.0.patterns_hide.then(|| self.pattern(rule?, path, hides)).flatten().map(PathPattern::text)
        };
        let mut shown = Cow::Borrowed(path);
        match capture.request_path() {
            RequestPath::AsSent => {}
            RequestPath::Template => match (said, matched) {
                (Some(said), _) => redact(&mut shown, said, true),
                (None, Some(matched)) => redact(&mut shown, matched, false),
                (None, None) => redact(&mut shown, self.route_pattern(rule?, path)?, true),
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

    /// Returns the policy with a pepper for hashing API keys. For policies read from a file, which holds no secrets.
    ///
    /// ```
    /// let policy = tower_audit::AuditPolicy::mutations().with_pepper(*b"from a safe place")?;
    /// assert!(policy.capture_config().has_pepper());
    /// # Ok::<(), tower_audit::PolicyError>(())
    /// ```
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn with_pepper(self, pepper: impl Into<Vec<u8>>) -> Result<Self, PolicyError> {
        let mut parts = self.0.parts.clone();
        parts.capture_config.pepper = Some(pepper.into());
        Self::new(parts)
    }

    /// Returns the capture settings.
    pub fn capture_config(&self) -> &CaptureConfig {
        &self.0.parts.capture_config
    }

    /// Returns true if the filter admits events of this type.
    pub fn allows(&self, event_type: &EventType) -> bool {
        self.0.parts.event_types.allows(event_type)
    }

    fn rule_applies(&self, index: usize, candidates: MatchingRules, ended: &RequestOutcome<'_>) -> bool {
        let rule = self.rule(index);
        let declared = ended.declared_type == Some(rule.event_type());
        let is_oversize = || ended.result_count.zip(self.max_results()).is_some_and(|(count, max)| count > max);
        (candidates.contains(index) || !self.0.with_matcher.contains(index))
            && (!rule.is_oversize() || is_oversize())
            && rule.record_when().matches(ended, declared)
    }

    /// The rules that a method opens which has no bit of its own.
    fn rules_for_other_method(&self, class: MethodClass<'_>) -> u64 {
        let bits = self.0.request_matchers.iter().map(|(index, side)| u64::from(side.methods.contains(class)) << index);
        bits.fold(0, |open, bit| open | bit)
    }

    /// Returns the `open` rules that match a path with one variant.
    fn match_plain_path(&self, open: u64, path: &str) -> MatchingRules {
        let below_base = self.strip_base_path(path);
        // The base path may be a segment of the app's own, behind a proxy that strips it: both readings count.
        let is_below_base = below_base.len() != path.len();
        let mut matching = 0;
        for (index, matcher) in &self.0.request_matchers {
            let matches = |pattern: &PathPattern| {
                pattern.matches_plain(below_base) || (is_below_base && pattern.matches_plain(path))
            };
            if MatchingRules(open).contains(*index) && matcher.patterns.iter().any(matches) {
                matching |= 1 << index;
            }
        }
        MatchingRules(matching)
    }

    /// Returns the `open` rules that match any variant of a path.
    fn match_variants(&self, open: u64, path: &str) -> MatchingRules {
        let mut matching = 0;
        self.each_form(path, |form| {
            for (index, matcher) in &self.0.request_matchers {
                let is_left = MatchingRules(open & !matching).contains(*index);
                if is_left && matcher.patterns.iter().any(|pattern| form.matches(pattern)) {
                    matching |= 1 << index;
                }
            }
            matching == open
        });
        MatchingRules(matching)
    }

    /// Calls `visit` with each form of the path, with and without the base path, until it returns true.
    fn each_form(&self, path: &str, mut visit: impl FnMut(PathForm<'_, '_>) -> bool) {
        match UnorderedSegments::of(path) {
            Some(segments) => drop(visit(PathForm::Unordered(&segments))),
            None => path_variants::each_variant(path, self.0.max_segments, |variant| {
                let below_base = self.0.parts.base_path.strip_variant(&variant);
                below_base.is_some_and(|variant| visit(PathForm::Variant(variant))) || visit(PathForm::Variant(variant))
            }),
        }
    }
}

/// A path in a form that a pattern can be compared with.
enum PathForm<'r, 'p> {
    Variant(PathVariant<'r, 'p>),
    Unordered(&'r UnorderedSegments),
}

impl PathForm<'_, '_> {
    fn matches(&self, pattern: &PathPattern) -> bool {
        match self {
            Self::Variant(variant) => pattern.matches(variant),
            Self::Unordered(segments) => pattern.may_match(segments),
        }
    }
}

impl fmt::Debug for AuditPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { rules, base_path: mount, max_results, event_types: filter, capture_config: capture } =
            &self.0.parts;
        f.debug_struct("AuditPolicy")
            .field("rules", rules)
            .field("base_path", mount)
            .field("max_results", max_results)
            .field("filter", filter)
            .field("capture", capture)
            .finish()
    }
}

#[cfg(test)]
mod tests;
