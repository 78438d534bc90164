//! Asking an app which layers are around a route, and what they see.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::future::RouteFuture;
use futures_util::FutureExt as _;
use http::{Method, Request};
use tower_service::Service as _;

use super::Coverage;
use super::coverage::LayerView;
use super::route_template::{example_path, nested_views};
use super::router_debug::ListedRoute;
use crate::middleware::layer_probe::{self, ProbedLayer};

/// No handler is for this method.
const PROBE_METHOD: &str = "TOWER-AUDIT-PROBE";

/// The template of what no route matches.
const FALLBACK: &str = "/{*fallback}";

/// The timeout of the middlewares that a probe passes.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the coverage of each method of a route.
pub(super) async fn probe_route(app: &Router, route: &ListedRoute) -> Vec<(Option<Method>, Coverage)> {
    let template = route.path.as_deref().unwrap_or(FALLBACK);
    // Deeper than any route, so that only what takes all the rest could match it.
    let nowhere = example_path("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}", None);
    let path = if route.path.is_some() { example_path(template, None) } else { nowhere.clone() };
    // The layers around the fallback are around the whole app: nothing is nested further out.
    let outermost = layer_probe::layers_of(|| probe_future(app, &Method::GET, &nowhere));
    let mut seen = None;
    let mut coverages = Vec::new();
    for method in route.methods.iter().map(Some).chain(route.has_any_handler.then_some(None)) {
        let judged_by = method.map_or_else(unsafe_methods, |method| vec![method.clone()]);
        let layers = layer_probe::layers_of(|| probe_future(app, &judged_by[0], &path));
        let coverage = |seen: &[(ProbedLayer, String)]| {
            let around = layers.iter().map(|layer| {
                let is_outermost = outermost.iter().any(|other| other.is(layer));
                let sees =
                    if is_outermost { vec![template.to_owned()] } else { visible_template(template, layer, seen) };
                LayerView { policy: layer.policy(), sees }
            });
            Coverage::of(&around.collect::<Vec<_>>(), &judged_by)
        };
        let mut found = coverage(&[]);
        if let Coverage::Undetermined(_) = found {
            if seen.is_none() {
                seen = Some(observe_paths(app, &path).await);
            }
            found = coverage(seen.as_deref().unwrap_or_default());
        }
        coverages.push((method.cloned(), found));
    }
    coverages
}

/// The template as the layer sees it: whatever it may be, if that was not found out.
fn visible_template(template: &str, layer: &ProbedLayer, seen: &[(ProbedLayer, String)]) -> Vec<String> {
    let paths: Vec<_> = seen.iter().filter(|(other, _)| other.is(layer)).map(|(_, path)| path).collect();
    if paths.is_empty() {
        return nested_views(template);
    }
    let template_of = |path: &String| {
        let mut possible = nested_views(template).into_iter();
        // A path that is none of these was rewritten on the way.
        possible.find(|template| example_path(template, None) == *path).unwrap_or_else(|| path.clone())
    };
    paths.into_iter().map(template_of).collect()
}

/// A method that is none of the usual stands first, for whatever else there is.
fn unsafe_methods() -> Vec<Method> {
    vec![probe_method(), Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT]
}

fn probe_method() -> Method {
    Method::from_bytes(PROBE_METHOD.as_bytes()).expect("letters and hyphens are a method")
}

/// Hands a request to the app. Nothing of it is called before the future is polled.
fn probe_future(app: &Router, method: &Method, path: &str) -> Option<RouteFuture<std::convert::Infallible>> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).ok()?;
    Some(app.clone().call(request))
}

/// Returns the paths that the layers around a route see: sends a probe through the middlewares outside of the innermost.
async fn observe_paths(app: &Router, path: &str) -> Vec<(ProbedLayer, String)> {
    let (future, sightings) = layer_probe::with_stand_ins(|| probe_future(app, &probe_method(), path));
    let Some(future) = future else { return Vec::new() };
    let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
    let complete = poll_fn(|cx| {
        let has_ended = future.as_mut().poll(cx).is_ready();
        if has_ended || sightings.is_complete() { Poll::Ready(()) } else { Poll::Pending }
    });
    // Whatever a middleware does to it, what was seen was seen.
    let _ = tokio::time::timeout(PROBE_TIMEOUT, complete).await;
    sightings.paths()
}
