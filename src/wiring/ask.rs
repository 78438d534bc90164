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
use super::coverage::Around;
use super::routes::Route;
use super::template::{inside, path_like};
use crate::middleware::roll_call::{self, Present};

/// No handler is for this method.
const METHOD: &str = "TOWER-AUDIT-WIRING";

/// The template of what no route matches.
const FALLBACK: &str = "/{*fallback}";

/// How long a middleware may keep the question which path a layer sees.
const PATIENCE: Duration = Duration::from_secs(1);

/// What covers each of the methods of a route.
pub(super) async fn coverages(app: &Router, route: &Route) -> Vec<(Option<Method>, Coverage)> {
    let template = route.path.as_deref().unwrap_or(FALLBACK);
    // Deeper than any route, so that only what takes all the rest could match it.
    let nowhere = path_like("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}", None);
    let path = if route.path.is_some() { path_like(template, None) } else { nowhere.clone() };
    // What is around the fallback is around the whole app: nothing is nested further out.
    let outermost = roll_call::present(|| hand_over(app, &Method::GET, &nowhere));
    let mut seen = None;
    let mut coverages = Vec::new();
    for method in route.methods.iter().map(Some).chain(route.answers_any.then_some(None)) {
        let judged_by = method.map_or_else(those_that_change, |method| vec![method.clone()]);
        let layers = roll_call::present(|| hand_over(app, &judged_by[0], &path));
        let coverage = |seen: &[(Present, String)]| {
            let around = layers.iter().map(|layer| {
                let is_outermost = outermost.iter().any(|other| other.is(layer));
                let sees = if is_outermost { vec![template.to_owned()] } else { sees(template, layer, seen) };
                Around { policy: layer.policy(), sees }
            });
            Coverage::of(&around.collect::<Vec<_>>(), &judged_by)
        };
        let mut found = coverage(&[]);
        if let Coverage::Unclear(_) = found {
            if seen.is_none() {
                seen = Some(sightings(app, &path).await);
            }
            found = coverage(seen.as_deref().unwrap_or_default());
        }
        coverages.push((method.cloned(), found));
    }
    coverages
}

/// The template as the layer sees it: whatever it may be, if that was not found out.
fn sees(template: &str, layer: &Present, seen: &[(Present, String)]) -> Vec<String> {
    let paths: Vec<_> = seen.iter().filter(|(other, _)| other.is(layer)).map(|(_, path)| path).collect();
    if paths.is_empty() {
        return inside(template);
    }
    let template_of = |path: &String| {
        let mut possible = inside(template).into_iter();
        // A path that is none of these was rewritten on the way.
        possible.find(|template| path_like(template, None) == *path).unwrap_or_else(|| path.clone())
    };
    paths.into_iter().map(template_of).collect()
}

/// A method that is none of the usual stands first, for whatever else there is.
fn those_that_change() -> Vec<Method> {
    vec![own_method(), Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT]
}

fn own_method() -> Method {
    Method::from_bytes(METHOD.as_bytes()).expect("letters and hyphens are a method")
}

/// Hands a request to the app. Nothing of it is called before the future is polled.
fn hand_over(app: &Router, method: &Method, path: &str) -> Option<RouteFuture<std::convert::Infallible>> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).ok()?;
    Some(app.clone().call(request))
}

/// Which paths the layers around a route see: a request is sent through what is outside of the innermost.
async fn sightings(app: &Router, path: &str) -> Vec<(Present, String)> {
    let (future, sightings) = roll_call::stand_ins(|| hand_over(app, &own_method(), path));
    let Some(future) = future else { return Vec::new() };
    let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
    let complete = poll_fn(|cx| {
        let has_ended = future.as_mut().poll(cx).is_ready();
        if has_ended || sightings.are_complete() { Poll::Ready(()) } else { Poll::Pending }
    });
    // Whatever a middleware does to it, what was seen was seen.
    let _ = tokio::time::timeout(PATIENCE, complete).await;
    sightings.seen()
}
