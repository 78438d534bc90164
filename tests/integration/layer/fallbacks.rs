//! Requests that no route of axum's router matches: the rules name them all the same, and the event has no raw path as its
//! route.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_audit::policy::presets;
use tower_audit::{AuditLayer, AuditPolicy, EventType, Phase, Rule};

use crate::layer::support::{memory_log, of_phase};

async fn refuse() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Fallbacks of a router, of a nested one, of a route for other methods, and of a service in place of a router.
fn app(layer: AuditLayer) -> Router {
    let nested = Router::new().route("/x", get(refuse)).fallback(refuse);
    let bare = Router::new().route("/x", get(refuse));
    Router::new()
        .nest("/nested/{tenant}", nested)
        .nest("/bare", bare)
        .nest_service(
            "/service",
            tower::service_fn(|_request: Request<Body>| async {
                Ok(axum::response::IntoResponse::into_response(refuse().await))
            }),
        )
        .route("/own/{id}", get(refuse).fallback(refuse))
        .route("/read-only/{id}", get(refuse))
        .route("/auth/admin/known/{id}", post(refuse))
        .fallback(refuse)
        .layer(layer)
}

async fn routes(policy: AuditPolicy, method: Method, path: &str) -> Vec<Option<String>> {
    let (log, store) = memory_log().await;
    let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a valid request");
    app(AuditLayer::new(&log, policy)).oneshot(request).await.expect("infallible");
    log.close().await.expect("everything is written");
    let ends = of_phase(&store, Phase::Completed);
    for event in &ends {
        assert_eq!(event.request.request_uri.as_deref(), Some(path));
    }
    ends.into_iter().map(|event| event.resource.route.map(|route| route.to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_route_has_none_in_its_event() {
    for (path, expected) in [
        ("/nothing/s3cret", None),
        ("/nested/acme/s3cret", None),
        ("/bare/s3cret", None),
        ("/service/s3cret", None),
        ("/own/s3cret", Some("/own/{id}")),
        ("/read-only/s3cret", Some("/read-only/{id}")),
    ] {
        let routes = routes(AuditPolicy::mutations(), Method::POST, path).await;
        assert_eq!(routes, [expected.map(str::to_owned)], "{path}");
    }
}

/// A rule names the request by its path. The pattern is the route, unless it takes any path behind a prefix.
#[tokio::test(start_paused = true)]
async fn a_rule_names_what_no_route_matches() {
    for (path, expected) in [
        ("/auth/admin/s3cret", Some(None)),
        ("/auth/admin/known/7", Some(Some("/auth/admin/known/{id}"))),
        ("/nested/acme/things/7", Some(Some("/nested/{tenant}/things/{id}"))),
        ("/nothing/auth/admin/s3cret", None),
    ] {
        let things = Rule::new(EventType::UPLOAD).unsafe_methods().paths(["/nested/{tenant}/things/{id}"]);
        let policy = AuditPolicy::builder().rule(things).rule(presets::ivre::admin_action()).build();
        let routes = routes(policy.expect("a valid policy"), Method::DELETE, path).await;
        let expected: Vec<_> = expected.map(|route| route.map(str::to_owned)).into_iter().collect();
        assert_eq!(routes, expected, "{path}");
    }
}
