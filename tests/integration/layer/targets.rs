//! The targets of an event, and the principal for whom its actor acts.

use axum::extract::Request as AxumRequest;
use axum::middleware::Next;
use axum::{Router, middleware, routing};
use http::{Method, Request, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::store::MemoryStore;
use tower_audit::{Actor, AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType, Phase, Rule, Target};

use crate::layer::support::{answering, memory_log, of_phase, request};

fn targets(event: &AuditEvent) -> Vec<String> {
    event.targets.iter().map(ToString::to_string).collect()
}

async fn send(app: Router, method: Method, path: &str) {
    let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).expect("valid");
    app.oneshot(request).await.expect("infallible");
}

/// The targets of the `started` and of the `completed` event of a request to an app with these routes.
async fn of_request(routes: Router, policy: AuditPolicy, path: &str) -> [Vec<String>; 2] {
    let (log, store) = memory_log().await;
    send(routes.layer(AuditLayer::new(&log, policy)), Method::DELETE, path).await;
    let only = |phase| match &of_phase(&store, phase)[..] {
        [event] => targets(event),
        events => panic!("{events:?}"),
    };
    [only(Phase::Started), only(Phase::Completed)]
}

fn nested() -> Router {
    let orders = Router::new().route("/orders/{id}", routing::delete(|| async {}));
    Router::new().nest("/api", Router::new().nest("/v1", orders))
}

#[tokio::test(start_paused = true)]
async fn the_route_of_nested_routers_gives_the_target() {
    let found = of_request(nested(), AuditPolicy::mutations(), "/api/v1/orders/7").await;
    assert_eq!(found, [["orders/7"], ["orders/7"]]);
    let mounted = AuditPolicy::builder().preset_mutations().base_path("/api").build().expect("valid");
    assert_eq!(of_request(nested(), mounted, "/api/v1/orders/%37").await, [["orders/7"], ["orders/7"]]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_names_the_target_or_none() {
    let rule = || Rule::new(EventType::HTTP_MUTATION).paths(["/{*path}"]).write_ahead(true);
    let policy = |rule| AuditPolicy::builder().rule(rule).build().expect("valid");
    let found = of_request(nested(), policy(rule().target("order", "{id}")), "/api/v1/orders/7").await;
    assert_eq!(found, [["order/7"], ["order/7"]]);
    let found = of_request(nested(), policy(rule().without_target()), "/api/v1/orders/7").await;
    assert_eq!(found, [[""; 0], [""; 0]]);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_a_single_route_names_its_own() {
    let (log, store) = memory_log().await;
    let rule = Rule::new("order.deleted".parse().expect("a type")).target("order", "{id}").write_ahead(true);
    let own = AuditLayer::for_route(&log, rule).expect("valid");
    let app = Router::new()
        .route("/orders/{id}", routing::delete(|| async {}).layer(own))
        .layer(AuditLayer::new(&log, AuditPolicy::mutations()));
    send(app, Method::DELETE, "/orders/7").await;
    let completed = of_phase(&store, Phase::Completed);
    assert_eq!((completed.len(), targets(&completed[0])), (1, vec!["order/7".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_targets_of_a_handler_replace_that_of_the_path() {
    async fn delete(audit: AuditContext) {
        audit.target("order", 7).target("order", "7");
        audit.targets([Target::new("customer", "alice").with_label("Alice")]);
    }
    let routes = Router::new().route("/orders/{id}", routing::delete(delete));
    let [started, completed] = of_request(routes, AuditPolicy::mutations(), "/orders/7").await;
    assert_eq!((started, completed), (vec!["orders/7".into()], vec!["order/7".into(), "customer/alice".into()]));
}

#[tokio::test(start_paused = true)]
async fn what_a_path_hides_is_no_target() {
    let routes = || Router::new().route("/users/{id}/reset/{token}", routing::delete(|| async {}));
    let found = of_request(routes(), AuditPolicy::mutations(), "/users/7/reset/S3cr3t").await;
    assert_eq!(found, [["users/7"], ["users/7"]]);
    let redacted = AuditPolicy::builder().preset_mutations().redact(["id"]).build().expect("valid");
    assert_eq!(of_request(routes(), redacted, "/users/7/reset/S3cr3t").await, [[""; 0], [""; 0]]);
}

#[tokio::test(start_paused = true)]
async fn without_a_router_a_rules_path_or_the_handler_gives_the_template() {
    let (log, store) = memory_log().await;
    let rule = Rule::new("order.deleted".parse().expect("a type")).paths(["/orders/{id}"]);
    let layer = AuditLayer::new(&log, AuditPolicy::builder().rule(rule).preset_mutations().build().expect("valid"));
    layer.layer(answering(StatusCode::OK)).oneshot(request(Method::DELETE, "/orders/7")).await.expect("infallible");
    layer.layer(answering(StatusCode::OK)).oneshot(request(Method::DELETE, "/users/7")).await.expect("infallible");
    let named = tower::service_fn(|_: Request<_>| async {
        AuditContext::current().expect("within a layer").route("/items/{id}");
        Ok::<_, std::convert::Infallible>(crate::layer::support::response(StatusCode::OK))
    });
    layer.layer(named).oneshot(request(Method::DELETE, "/items/7")).await.expect("infallible");
    let found: Vec<_> = of_phase(&store, Phase::Completed).iter().rev().map(targets).collect();
    assert_eq!(found, [vec!["orders/7".to_owned()], vec![], vec!["items/7".to_owned()]]);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_targets_are_counted() {
    let (log, store) = memory_log().await;
    async fn delete(audit: AuditContext) {
        audit.targets((0..5000).map(|id| Target::new("order", id)));
        audit.target("order", "x".repeat(1 << 20));
    }
    let app = Router::new().route("/orders", routing::delete(delete));
    send(app.layer(AuditLayer::new(&log, AuditPolicy::mutations())), Method::DELETE, "/orders").await;
    let completed = &of_phase(&store, Phase::Completed)[0];
    assert_eq!((completed.targets.len(), completed.targets.omitted()), (16, 4985));
}

/// An app whose inner authentication knows the supporter, and whose outer layer knows nobody.
async fn acted(log: &AuditLog, store: &MemoryStore, handler: fn(&AuditContext)) -> Actor {
    let authenticate = move |audit: AuditContext, request: AxumRequest, next: Next| async move {
        audit.actor(Actor::user("support").acting_for("alice"));
        next.run(request).await
    };
    let app = Router::new()
        .route("/orders", routing::post(move |audit: AuditContext| async move { handler(&audit) }))
        .layer(middleware::from_fn(authenticate))
        .layer(AuditLayer::new(log, AuditPolicy::mutations()));
    send(app, Method::POST, "/orders").await;
    of_phase(store, Phase::Completed)[0].actor.clone()
}

#[tokio::test(start_paused = true)]
async fn an_actor_acts_for_another() {
    let (log, store) = memory_log().await;
    let names = |actor: &Actor| [&actor.user_email, &actor.acting_for].map(|name| name.as_deref().map(str::to_owned));
    let pair = |user: &str, acting_for: Option<&str>| [Some(user.to_owned()), acting_for.map(str::to_owned)];
    for (handler, expected) in [
        ((|_| {}) as fn(&AuditContext), pair("support", Some("alice"))),
        (
            |audit| {
                audit.acting_for("bob");
            },
            pair("support", Some("bob")),
        ),
        // Another principal acts for nobody, unless it says so.
        (
            |audit| {
                audit.actor(Actor::user("carol"));
            },
            pair("carol", None),
        ),
        (
            |audit| {
                audit.acting_for("bob").actor(Actor::user("carol"));
            },
            pair("carol", Some("bob")),
        ),
    ] {
        assert_eq!(names(&acted(&log, &store, handler).await), expected);
    }
}
