//! The routes of an axum router, as its `Debug` output has them.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;

use crate::event::excerpt;

/// A route of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedRoute {
    /// None: what no other route matches.
    pub(super) path: Option<String>,
    pub(super) methods: Vec<Method>,
    /// True if the app answers the other methods itself.
    pub(super) has_any_handler: bool,
}

impl ListedRoute {
    /// A route that the app itself lists.
    pub(super) fn listed(method: &str, path: &str) -> Result<Self, RouteCoverageError> {
        let Ok(method) = Method::from_bytes(method.as_bytes()) else {
            return Err(RouteCoverageError::new(format!(
                "{:?} is no HTTP method: expected a word such as POST",
                excerpt(method)
            )));
        };
        if !path.starts_with('/') {
            return Err(RouteCoverageError::new(format!(
                "{:?} is no template of a route: expected one that starts with /, such as /users/{{id}}",
                excerpt(path)
            )));
        }
        Ok(Self { path: Some(path.to_owned()), methods: vec![method], has_any_handler: false })
    }
}

/// The routes of an app cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCoverageError(String);

impl RouteCoverageError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for RouteCoverageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteCoverageError {}

/// Reads what the `Debug` output of a router has: first its routes, then the fallbacks of the routers that are nested
/// in it, then its own.
///
/// ```text
/// Router { path_router: PathRouter { routes: {RouteId(1): …}, node: SpannedValue { paths: {RouteId(1): "/a"} } },
///   fallback_router: PathRouter { … }, default_fallback: true, catch_all_fallback: Default(ListedRoute) }
/// ```
pub(super) fn read(shown: &str) -> Result<Vec<ListedRoute>, RouteCoverageError> {
    let mut rest = DebugParser(shown);
    rest.expect("Router { path_router: ")?;
    let mut routes = rest.routes()?;
    rest.expect(", fallback_router: ")?;
    // Its own is among them, default or not; and a fallback at the path of a route is never reached.
    let reached = |fallback: &ListedRoute| {
        !matches!(fallback.path.as_deref(), Some("/" | "/{*fallback}"))
            && routes.iter().all(|route| route.path != fallback.path)
    };
    let fallbacks: Vec<_> = rest.routes()?.into_iter().filter(reached).collect();
    routes.extend(fallbacks);
    let has_own = rest.take(", default_fallback: false, ");
    if !has_own {
        rest.expect(", default_fallback: true, ")?;
    }
    rest.expect("catch_all_fallback: ")?;
    routes.sort_by(|a, b| a.path.cmp(&b.path));
    routes.extend(has_own.then(|| ListedRoute { path: None, methods: Vec::new(), has_any_handler: true }));
    Ok(routes)
}

/// The text that is not parsed yet.
struct DebugParser<'t>(&'t str);

const METHODS: [&str; 9] = ["get", "head", "delete", "options", "patch", "post", "put", "trace", "connect"];

impl DebugParser<'_> {
    /// `PathRouter { routes: {…}, node: Node { paths: {…} } }`
    fn routes(&mut self) -> Result<Vec<ListedRoute>, RouteCoverageError> {
        self.expect("PathRouter { routes: {")?;
        let mut endpoints = BTreeMap::new();
        while !self.take("}, node: Node { paths: {") {
            self.take(", ");
            endpoints.insert(self.id()?, self.endpoint()?);
        }
        let mut routes = Vec::new();
        while !self.take("} } }") {
            self.take(", ");
            let id = self.id()?;
            let path = self.text()?;
            let (methods, answers_any) = endpoints.remove(&id).ok_or_else(|| self.wrong())?;
            // axum's own names for parameters that it adds.
            let path = path.replace("{*__private__axum_nest_tail_param}", "{*rest}");
            let path = path.replace("{*__private__axum_fallback}", "{*fallback}");
            routes.push(ListedRoute { path: Some(path), methods, has_any_handler: answers_any });
        }
        if endpoints.is_empty() { Ok(routes) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> RouteCoverageError {
        let near = excerpt(&self.0.chars().take(60).collect::<String>());
        RouteCoverageError::new(format!(
            "this version of axum shows its routes in a way that is not known here (near {near:?}): expected that of \
             0.8; list the routes yourself for RouteCoverage::of_routes"
        ))
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Result<(), RouteCoverageError> {
        if self.take(text) { Ok(()) } else { Err(self.wrong()) }
    }

    /// `RouteId(7): `
    fn id(&mut self) -> Result<u64, RouteCoverageError> {
        self.expect("RouteId(")?;
        let (id, rest) = self.0.split_once("): ").ok_or_else(|| self.wrong())?;
        let id = id.parse().map_err(|_| self.wrong())?;
        self.0 = rest;
        Ok(id)
    }

    /// `Route(Route)` or `MethodRouter(MethodRouter { get: Route, head: None, … })`
    fn endpoint(&mut self) -> Result<(Vec<Method>, bool), RouteCoverageError> {
        if self.take("Route(Route)") {
            return Ok((Vec::new(), true));
        }
        self.expect("MethodRouter(MethodRouter { ")?;
        let mut methods = Vec::new();
        for name in METHODS {
            self.expect(name)?;
            self.expect(": ")?;
            let is_there = ["BoxedHandler", "Route"].into_iter().any(|kind| self.take(kind));
            if is_there {
                // Each is a method.
                methods.extend(Method::from_bytes(name.to_uppercase().as_bytes()));
            } else {
                self.expect("None")?;
            }
            self.expect(", ")?;
        }
        self.expect("fallback: ")?;
        let answers_any = !self.take("Default(Route)");
        if answers_any && !self.take("Service(Route)") {
            self.expect("BoxedHandler")?;
        }
        // Whatever else a version of axum shows of the header of a 405 is of no interest; it has no parenthesis of
        // its own that is not closed.
        self.expect(", allow_header: ")?;
        let (_, rest) = self.0.split_once(" })").ok_or_else(|| self.wrong())?;
        self.0 = rest;
        // A route for GET answers HEAD.
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.insert(1, Method::HEAD);
        }
        Ok((methods, answers_any))
    }

    /// A text in quotes, as `Debug` writes it.
    fn text(&mut self) -> Result<String, RouteCoverageError> {
        let wrong = self.wrong();
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.0.chars();
        loop {
            let c = chars.next().ok_or_else(|| wrong.clone())?;
            text.push(match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('0') => '\0',
                    Some('u') => {
                        let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        code.ok_or_else(|| wrong.clone())?
                    }
                    Some(plain @ ('"' | '\'' | '\\')) => plain,
                    _ => return Err(wrong),
                },
                plain => plain,
            });
        }
        self.0 = chars.as_str();
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{any, any_service, delete, get, post};

    use super::*;

    fn read_of(router: &Router) -> Vec<(Option<String>, Vec<Method>, bool)> {
        let routes = read(&format!("{router:?}")).unwrap_or_else(|error| panic!("{error}: {router:?}"));
        routes.into_iter().map(|route| (route.path, route.methods, route.has_any_handler)).collect()
    }

    #[test]
    fn every_kind_of_route_is_listed() {
        let ok = || async {};
        let service = any_service(tower::service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        }));
        let router: Router = Router::new()
            .route("/b", post(ok).get(ok))
            .route("/a/{id}", delete(ok))
            .route("/any", any(ok))
            .route("/\"\\\u{e9}\u{7f}", get(ok))
            .route("/own", get(ok).fallback(ok))
            .route("/service", service)
            .nest("/nested", Router::new().route("/x", get(ok)).fallback(ok))
            .nest_service("/inner", Router::new())
            .merge(Router::new().route("/merged/{*rest}", get(ok)))
            .fallback(ok);
        let (get, head) = (Method::GET, Method::HEAD);
        let at = |path: &str, methods: &[&Method], answers_any| {
            (Some(path.to_owned()), methods.iter().copied().cloned().collect::<Vec<_>>(), answers_any)
        };
        assert_eq!(
            read_of(&router),
            [
                at("/\"\\\u{e9}\u{7f}", &[&get, &head], false),
                at("/a/{id}", &[&Method::DELETE], false),
                at("/any", &[], true),
                at("/b", &[&get, &head, &Method::POST], false),
                at("/inner", &[], true),
                at("/inner/", &[], true),
                at("/inner/{*rest}", &[], true),
                at("/merged/{*rest}", &[&get, &head], false),
                at("/nested", &[], true),
                at("/nested/x", &[&get, &head], false),
                at("/nested/{*fallback}", &[], true),
                at("/own", &[&get, &head], true),
                at("/service", &[], true),
                (None, vec![], true),
            ]
        );
        assert_eq!(read_of(&Router::new()), []);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let shown = format!("{:?}", Router::<()>::new().route("/a", get(|| async {})));
        assert!(read(&shown).is_ok());
        for (from, to) in [
            ("routes", "endpoints"),
            ("get: BoxedHandler", "get: Chain"),
            ("Node {", "Tree {"),
            ("\"/a\"", "/a"),
            ("RouteId(1): \"", "RouteId(9): \""),
            ("default_fallback: true", "own_fallback: false"),
        ] {
            let other = shown.replacen(from, to, 1);
            assert_ne!(other, shown, "{from}");
            assert!(read(&other).unwrap_err().to_string().contains("not known here (near"), "{from}");
        }
        for end in 0..shown.len() {
            if let Some(shown) = shown.get(..end) {
                let _ = read(shown);
            }
        }
    }
}
