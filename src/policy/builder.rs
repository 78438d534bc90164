//! A builder for policies.

use std::fmt;
use std::ops::Range;

use ipnet::IpNet;

use super::audit_policy::Parts;
use super::base_path::BasePath;
use super::error::Location;
use super::secret_names::SecretNames;
use super::{
    ApiKeySource, AuditPolicy, CaptureConfig, MatchingRules, PolicyError, ProxyHeader, QueryString, RequestPath, Rule,
};
use crate::event::excerpt;
use crate::event::{EventType, EventTypeFilter};

/// Makes an [`AuditPolicy`]: rules are asked in the order in which they were added.
///
/// ```
/// use tower_audit::policy::presets;
/// use tower_audit::{AuditPolicy, EventType, Rule};
///
/// let policy = AuditPolicy::builder()
///     .rule(presets::login(["/login"]))
///     .rule(Rule::new(EventType::new("order.placed")?).methods(["POST"]).paths(["/orders"]).write_ahead(true))
///     .declare(["user.invited"])
///     .exclude(["user.all"])
///     .build()?;
/// assert!(!policy.allows(&EventType::new("user.invited")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PolicyBuilder {
    rules: Vec<Rule>,
    /// The indices of rules that are off, instead of an error, while a setting of theirs is missing.
    optional_rules: Vec<Range<usize>>,
    base_path: Option<String>,
    max_results: Option<u64>,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
    declared_types: Vec<String>,
    trusted_proxies: Vec<IpNet>,
    proxy_header: ProxyHeader,
    query_string: QueryString,
    path: RequestPath,
    api_key: ApiKeySource,
    no_default_target: bool,
    redact: Vec<String>,
    pepper: Option<Secret>,
}

#[derive(Clone)]
struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PolicyBuilder {
    /// Adds a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules.
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Adds rules that are off, instead of an error, while a setting of theirs is missing.
    pub(super) fn optional_rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        let start = self.rules.len();
        self.rules.extend(rules);
        self.optional_rules.push(start..self.rules.len());
        self
    }

    /// The prefix under which the app is mounted. Rules and events know nothing of it.
    pub fn base_path(mut self, prefix: impl Into<String>) -> Self {
        self.base_path = Some(prefix.into());
        self
    }

    /// A query with more results than these is oversize.
    pub fn max_results(mut self, max_results: u64) -> Self {
        self.max_results = Some(max_results);
        self
    }

    /// Records only these types: names, `resource.all`, or `all`. Called again, it adds to the list.
    pub fn include(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.include.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Never records these types; wins over [`include`](Self::include). Called again, it adds to the list.
    pub fn exclude(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.exclude.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// Makes types known that no rule has, but handlers name, so that the filter may speak of them.
    pub fn declare(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.declared_types.extend(names.into_iter().map(Into::into));
        self
    }

    /// Names the networks whose proxies are believed, and the header in which they name the client. Without them
    /// `actor.remote_addr` is the address at the other end of the connection.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = IpNet>, header: ProxyHeader) -> Self {
        self.trusted_proxies = proxies.into_iter().collect();
        self.proxy_header = header;
        self
    }

    /// Sets the part of the query string that `request.request_uri` has: none by default.
    pub fn query_string(mut self, query: QueryString) -> Self {
        self.query_string = query;
        self
    }

    /// Sets the part of the path that `request.request_uri` has: by default all but parameters that are credentials.
    pub fn request_path(mut self, path: RequestPath) -> Self {
        self.path = path;
        self
    }

    /// Sets the headers of which a digest is kept in `actor.api_key_hash`: by default `x-api-key`, else a bearer token
    /// that is no JWT.
    pub fn api_key(mut self, source: ApiKeySource) -> Self {
        self.api_key = source;
        self
    }

    /// Sets whether an event whose rule and handler name no target has the one of its route: true by default. See
    /// [`Rule::target`].
    pub fn default_target(mut self, default_target: bool) -> Self {
        self.no_default_target = !default_target;
        self
    }

    /// Hides the values that have one of these names: parameters of a query string, parameters of a path, keys of
    /// `details`. Letter case and punctuation do not count: `patient-id` is `patientId`, too. Called again, it adds to the
    /// list.
    pub fn redact(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.redact.extend(names.into_iter().map(Into::into));
        self
    }

    /// The secret with which API keys are hashed. It is in no file and in no `Debug`.
    pub fn pepper(mut self, pepper: impl Into<Vec<u8>>) -> Self {
        self.pepper = Some(Secret(pepper.into()));
        self
    }

    /// The policy of one rule for a single route, whatever its path.
    ///
    /// # Errors
    /// If the rule is not a valid one, or would never hold.
    pub(crate) fn for_route(rule: Rule) -> Result<AuditPolicy, PolicyError> {
        if rule.is_oversize() {
            let place = Location::rule(0, rule.event_type().as_str(), "max_results");
            let problem = "is missing, and a rule has no place for it: expected a layer with a policy of its own, \
                        `AuditLayer::new(&log, AuditPolicy::builder().rule(rule).max_results(1000).build()?)`";
            return Err(PolicyError::new(place, problem));
        }
        let rule = if rule.has_paths() { rule } else { rule.paths(["/{*rest}"]) };
        Self::default().rule(rule).build()
    }

    /// The policy.
    ///
    /// # Errors
    /// If anything in it cannot be, or would silently have no effect; the text names the rule, the value and what
    /// would be right.
    pub fn build(self) -> Result<AuditPolicy, PolicyError> {
        let wrong = |key: &str, problem: String| PolicyError::new(Location::key(key), problem);

        if self.rules.len() > MatchingRules::MAX_RULES {
            let problem =
                format!("there are {} rules: expected {} at most", self.rules.len(), MatchingRules::MAX_RULES);
            return Err(wrong("rules", problem));
        }
        let mount = self
            .base_path
            .as_deref()
            .map(BasePath::parse)
            .transpose()
            .map_err(|problem| wrong("base_path", problem))?;
        if self.max_results.is_some() && !self.rules.iter().any(Rule::is_oversize) {
            let problem = "has no effect without a rule of the type `oversize_query`: add it, or the preset";
            return Err(wrong("max_results", problem.to_owned()));
        }

        let is_optional = |index: &usize| self.optional_rules.iter().any(|indices| indices.contains(index));
        let oversize = self.rules.iter().enumerate().filter(|(_, rule)| rule.is_oversize()).map(|(index, _)| index);
        if self.max_results.is_none()
            && let Some(index) = oversize.into_iter().find(|index| !is_optional(index))
        {
            let problem = "has no effect without `max_results`, the number of results beyond which a query is oversize: set \
                        it, or leave the rule out";
            return Err(PolicyError::new(Location::rule(index, EventType::OVERSIZE_QUERY.as_str(), "type"), problem));
        }

        let declared = self.declared_types.iter().enumerate().map(|(item, name)| {
            EventType::new(name)
                .map_err(|error| PolicyError::new(Location::key("declare").item(item), error.to_string()))
        });
        let declared = declared.collect::<Result<Vec<_>, _>>()?;
        let mut known: Vec<&EventType> = EventType::of_requests().iter().collect();
        for event_type in self.rules.iter().map(Rule::event_type).chain(&declared) {
            if !known.contains(&event_type) {
                known.push(event_type);
            }
        }
        let filter =
            EventTypeFilter::new(self.include.as_deref(), self.exclude.as_deref(), &known).map_err(|error| {
                let place = error.entry.map_or_else(
                    || Location::key("filter"),
                    |(list, item)| Location::key(&format!("filter.{list}")).item(item),
                );
                PolicyError::new(place, error.problem)
            })?;

        let names = SecretNames::new(&self.redact).map_err(|(item, name)| {
            let problem = format!("{:?} is no name: expected letters or digits", excerpt(name));
            PolicyError::new(Location::key("capture.redact").item(item), problem)
        })?;
        AuditPolicy::new(Parts {
            rules: self.rules,
            base_path: mount.unwrap_or_default(),
            max_results: self.max_results,
            event_types: filter,
            capture_config: CaptureConfig {
                pepper: self.pepper.map(|pepper| pepper.0),
                trusted_proxies: self.trusted_proxies,
                proxy_header: self.proxy_header,
                query_string: self.query_string,
                path: self.path,
                api_key: self.api_key,
                no_default_target: self.no_default_target,
                secret_names: names,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::presets;

    #[test]
    fn faults_name_key_and_value() {
        let new = PolicyBuilder::default;
        for (builder, text) in [
            (new().rules(vec![presets::auth(); 65]), "key `rules`: there are 65 rules: expected 64 at most"),
            (new().base_path("cgi"), "key `base_path`: \"cgi\" is no path pattern: it must start with `/`"),
            (new().max_results(1), "key `max_results`: has no effect without a rule"),
            (
                new().preset_ivre().rule(presets::oversize_query()),
                "rule 5 (`oversize_query`): key `type`: has no effect without",
            ),
            (new().declare(["a.b", "A.b"]), "key `declare`: \"A.b\" is no event_type: expected"),
            (new().include(["a.b"]), "key `filter.include`: \"a.b\" is no known event type: expected"),
            (new().include([""; 0]).exclude([""; 0]), "key `filter`: neither"),
            (new().redact(["a", "-"]), "key `capture.redact`: \"-\" is no name"),
            (new().pepper(""), "key `pepper`: the pepper is empty"),
        ] {
            let found = builder.build().expect_err(text).to_string();
            assert!(found.starts_with(text), "{found}\n{text}");
        }
        assert!(new().rules(vec![presets::auth(); 64]).build().is_ok());
    }

    #[test]
    fn the_pepper_is_not_shown() {
        let builder = PolicyBuilder::default().pepper("hunter2");
        assert!(format!("{builder:?}").contains("***"));
        let policy = builder.clone().build().expect("a policy");
        let shown = format!("{builder:?} {policy:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
        assert_eq!(policy.capture_config().pepper(), Some(&b"hunter2"[..]));
    }
}
