//! The target of a request, taken from its path.
//!
//! A rule names it by parameters of the path, or leaves it to the route: the last parameter that is a whole segment behind
//! a literal one. The type is that segment as it is written.
//!
//! | template | path | target |
//! |---|---|---|
//! | `/orders/{id}` | `/orders/7` | `orders/7` |
//! | `/orders/{order}/items/{item}/note` | `/orders/7/items/2/note` | `items/2` |
//! | `/users/{id}/reset/{token}` | `/users/7/reset/8b1c` | `users/7`: a credential is none |
//! | `/{tenant}/{id}`, `/files/{*path}`, `/a/{x}.{y}` | | none |

use super::path_parameters::Fitted;
use super::rule_target::{RuleTarget, TargetTemplate};
use super::{AuditPolicy, RequestPath};
use crate::event::Target;

/// The path of a request, and the templates that name its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutedPath<'a> {
    /// As it was sent.
    pub(crate) path: &'a str,
    /// As it is recorded; none if it is not.
    pub(crate) recorded: Option<&'a str>,
    /// The template that a handler named, without the base path.
    pub(crate) named: Option<&'a str>,
    /// The template that the router matched, with the base path.
    pub(crate) matched: Option<&'a str>,
    /// The pattern of the rule that is the route where there is neither.
    pub(crate) pattern: Option<&'a str>,
}

impl AuditPolicy {
    /// Returns the target of a request under this rule of the policy. `settings`: the policy whose capture settings and base
    /// path apply.
    pub(crate) fn path_target(
        &self,
        settings: &AuditPolicy,
        rule: Option<usize>,
        request: RoutedPath<'_>,
    ) -> Option<Target> {
        match rule.map_or(&RuleTarget::OfRoute, |index| self.rule(index).rule_target()) {
            RuleTarget::Off => None,
            RuleTarget::OfRoute if !settings.capture_config().default_target() => None,
            RuleTarget::OfRoute => {
                let (template, has_base_path) = match (request.named, request.matched) {
                    (None, Some(matched)) => (matched, true),
                    (Some(named), _) => (named, false),
                    (None, None) => (request.pattern?, false),
                };
                if !template.contains('{') {
                    // No parameter: nothing to split.
                    return None;
                }
                settings.target_of_route(&request.fitted(settings, template, has_base_path)?)
            }
            RuleTarget::Named(template) => {
                let own_pattern = || rule.and_then(|index| self.matching_pattern(index, request.path));
                let of_request = [(request.named, false), (request.matched, true)].into_iter();
                let templates = of_request.chain(std::iter::once_with(|| (own_pattern(), false)));
                let fits = |(template, has_base_path)| request.fitted(settings, template?, has_base_path);
                settings.target_of_template(template, || templates.clone().filter_map(fits))
            }
        }
    }

    /// The last parameter behind a literal segment that the recorded path shows.
    fn target_of_route(&self, fitted: &Fitted<'_>) -> Option<Target> {
        let mut parameters = fitted.parameters_behind_literals();
        let (literal, parameter) = parameters
            .find(|(_, parameter)| parameter.is_recorded && !self.capture_config().is_credential(parameter.name))?;
        Some(Target::new(literal, parameter.value()))
    }

    /// The template with the values of the first of these that has a parameter of the name. One that is hidden as a credential
    /// has none.
    fn target_of_template<'a, I: Iterator<Item = Fitted<'a>>>(
        &self,
        template: &TargetTemplate,
        fitted: impl Fn() -> I,
    ) -> Option<Target> {
        let capture = self.capture_config();
        // Where every parameter is hidden, the rule has still asked for this one.
        let is_shown = |is_recorded| is_recorded || capture.request_path() == RequestPath::Template;
        template.resolve(|name| {
            let value_in = |fitted: Fitted<'_>| {
                let parameter = fitted.parameter(name)?;
                let is_shown = is_shown(parameter.is_recorded) && !capture.is_credential(name);
                Some(is_shown.then(|| parameter.value()))
            };
            fitted().find_map(value_in)?
        })
    }
}

impl<'a> RoutedPath<'a> {
    /// Lays a template against the path.
    fn fitted(&self, settings: &AuditPolicy, template: &'a str, has_base_path: bool) -> Option<Fitted<'a>> {
        let below = |path| if has_base_path { path } else { settings.strip_base_path(path) };
        Fitted::of(template, below(self.path), self.recorded.map(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::policy::{PolicyBuilder, Rule};
    use proptest::prelude::*;

    fn rule() -> Rule {
        Rule::new(EventType::HTTP_MUTATION).paths(["/{*path}"])
    }

    fn policy(rule: Rule, set: impl Fn(PolicyBuilder) -> PolicyBuilder) -> AuditPolicy {
        set(AuditPolicy::builder().rule(rule)).build().expect("a policy")
    }

    /// The target, with the router's template.
    fn matched(policy: &AuditPolicy, template: &str, path: &str) -> Option<String> {
        let recorded = policy.redact_path(path, None, Some(template), Some(0));
        let request =
            RoutedPath { path, recorded: recorded.as_deref(), named: None, matched: Some(template), pattern: None };
        policy.path_target(policy, Some(0), request).map(|target| target.to_string())
    }

    #[test]
    fn the_last_parameter_behind_a_literal_is_the_target() {
        let policy = policy(rule(), |builder| builder);
        for (template, path, target) in [
            ("/orders/{id}", "/orders/7", Some("orders/7")),
            ("/orders/{id}/", "/orders/7/", Some("orders/7")),
            ("/orders/{id}/cancel", "/orders/7/cancel", Some("orders/7")),
            ("/orders/{order}/items/{item}/note", "/orders/7/items/2/note", Some("items/2")),
            ("/orders/{id}/{version}", "/orders/7/2", Some("orders/7")),
            ("/api/v1/Users/{name}", "/api/v1/Users/a%20b%2fc", Some("users/a b/c")),
            ("/orders/{id}", "/orders/%ff", Some("orders/\u{fffd}")),
            ("/orders/{id}", "//orders//7", Some("orders/7")),
            ("/users/{id}/reset/{token}", "/users/7/reset/S3cr3t", Some("users/7")),
            ("/reset/{token}", "/reset/S3cr3t", None),
            ("/{tenant}/{id}", "/a/7", None),
            ("/{id}", "/7", None),
            ("/files/{*path}", "/files/a/b", None),
            ("/a/{x}.{y}", "/a/1.2", None),
            ("/a/{x}.txt", "/a/1.txt", None),
            ("/orders", "/orders", None),
            // By a detour, where the parameter is, nobody knows.
            ("/orders/{id}", "/orders/./7", None),
            ("/orders/{id}", "/x/orders/7", None),
            ("/orders/{id}", "", None),
        ] {
            assert_eq!(matched(&policy, template, path).as_deref(), target, "{template} {path}");
        }
    }

    #[test]
    fn the_default_can_be_switched_off() {
        let (template, path) = ("/orders/{id}", "/orders/7");
        assert_eq!(matched(&policy(rule().without_target(), |builder| builder), template, path), None);
        let off = |builder: PolicyBuilder| builder.default_target(false);
        assert_eq!(matched(&policy(rule(), off), template, path), None);
        let named = policy(rule().target("order", "{id}"), off);
        assert_eq!(matched(&named, template, path).as_deref(), Some("order/7"));
    }

    #[test]
    fn a_rule_names_its_target() {
        for (target_type, id, template, path, target) in [
            ("order", "{id}", "/orders/{id}", "/orders/7", Some("order/7")),
            ("order", "{id}", "/orders/{id}/items/{item}", "/orders/7/items/2", Some("order/7")),
            ("item", "{id}/{item}", "/orders/{id}/items/{item}", "/orders/7/items/2", Some("item/7/2")),
            ("file", "{path}", "/files/{*path}", "/files/a/b%20c", Some("file/a/b c")),
            ("settings", "all", "/settings", "/settings", Some("settings/all")),
            ("order", "{id}", "/orders/{nr}", "/orders/7", None),
            ("order", "{id}", "/orders", "/orders", None),
        ] {
            let policy = policy(rule().target(target_type, id), |builder| builder);
            assert_eq!(matched(&policy, template, path).as_deref(), target, "{template} {id}");
        }
    }

    #[test]
    fn what_the_path_hides_is_no_target() {
        let hide = |builder: PolicyBuilder| builder.redact(["patient"]);
        let (template, path) = ("/patients/{patient}", "/patients/7");
        assert_eq!(matched(&policy(rule(), hide), template, path), None);
        // Only the router's template says that the rule's parameter is hidden.
        let of_rule = Rule::new(EventType::HTTP_MUTATION).paths(["/patients/{id}"]);
        assert_eq!(matched(&policy(of_rule.clone().target("patient", "{id}"), hide), template, path), None);
        assert_eq!(
            matched(&policy(of_rule.target("patient", "{id}"), |builder| builder), template, path).as_deref(),
            Some("patient/7")
        );
        for part in [RequestPath::Template, RequestPath::AsSent] {
            let policy = policy(rule(), |builder| builder.request_path(part));
            assert_eq!(matched(&policy, "/reset/{token}", "/reset/S3cr3t"), None);
            assert_eq!(matched(&policy, "/orders/{id}", "/orders/7").is_some(), part == RequestPath::AsSent);
        }
        let named = policy(rule().target("order", "{id}"), |builder| builder.request_path(RequestPath::Template));
        assert_eq!(matched(&named, "/orders/{id}", "/orders/7").as_deref(), Some("order/7"));
    }

    #[test]
    fn without_a_router_the_template_is_the_handlers_or_the_rules() {
        let policy =
            policy(Rule::new(EventType::HTTP_MUTATION).paths(["/orders/{id}"]), |builder| builder.base_path("/cgi"));
        let target = |named, path| {
            let pattern = policy.route_pattern(0, path);
            let request = RoutedPath { path, recorded: Some(path), named, matched: None, pattern };
            policy.path_target(&policy, Some(0), request).map(|target| target.to_string())
        };
        for path in ["/cgi/orders/7", "/orders/7"] {
            assert_eq!(target(None, path).as_deref(), Some("orders/7"));
            assert_eq!(target(Some("/bestellungen/{id}"), path), None);
        }
        assert_eq!(target(Some("/users/{id}"), "/cgi/users/8").as_deref(), Some("users/8"));
        assert_eq!(matched(&policy, "/cgi/orders/{id}", "/cgi/orders/7").as_deref(), Some("orders/7"));
    }

    #[test]
    fn a_template_that_cannot_be_is_an_error() {
        let fault = |rule: Rule| AuditPolicy::builder().rule(rule).build().expect_err("a fault").to_string();
        let of_path = || Rule::new(EventType::HTTP_MUTATION).paths(["/orders/{id}", "/orders"]);
        for (rule, text) in [
            (rule().target("Order", "{id}"), "\"Order\" is no type of a target"),
            (rule().target("order", "{id"), "\"{id\" is no id of a target"),
            (of_path().target("order", "{nr}"), "`{nr}` is no parameter of the rule's paths"),
            (rule().target("reset", "{token}"), "`{token}` is hidden in paths"),
        ] {
            let found = fault(rule);
            assert!(found.starts_with("rule 1 (`http.mutation`): key `target`: ") && found.contains(text), "{found}");
        }
        assert!(AuditPolicy::builder().rule(of_path().target("order", "{id}")).build().is_ok());
    }

    proptest! {
        /// A parameter that looks like a credential is in no target, whatever the template.
        #[test]
        fn no_target_shows_what_is_hidden(
            before in proptest::collection::vec("[ab]|\\{id\\}|\\{token\\}|\\{\\{x\\}\\}", 0..4),
            after in proptest::collection::vec("[ab]|\\{id\\}|\\{token\\}", 0..2),
        ) {
            let template = format!("/{}", [before, vec!["{token}".to_owned()], after].concat().join("/"));
            let path = template.replace("{token}", "S3cr3t").replace("{id}", "7").replace("{{x}}", "{x}");
            let policy = policy(rule(), |builder| builder);
            let target = matched(&policy, &template, &path);
            prop_assert!(!target.as_ref().is_some_and(|target| target.contains("S3cr3t")), "{:?}", target);
        }
    }
}
