//! Route coverage lists the rules of each route, and nothing of the app runs for it.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, any_service, get, post};
use axum::{Extension, Router};
use http::{Method, StatusCode};
use tower::ServiceExt as _;
use tower_audit::policy::presets;
use tower_audit::route_coverage::{Coverage, RouteCoverage, assert_all_mutations_audited};
use tower_audit::{AuditLayer, AuditLog, AuditPolicy, EventType, Rule};

use crate::layer::support::memory_log;

async fn handler() {}

async fn refusing(_: Request, _: Next) -> Response {
    StatusCode::UNAUTHORIZED.into_response()
}

async fn log() -> AuditLog {
    memory_log().await.0
}

fn preset(log: &AuditLog) -> AuditLayer {
    AuditLayer::new(log, presets::ivre())
}

fn naming(log: &AuditLog, paths: &[&str]) -> AuditLayer {
    let policy = AuditPolicy::builder().rule(own().paths(paths.iter().copied()));
    AuditLayer::new(log, policy.build().expect("a valid policy"))
}

fn own() -> Rule {
    Rule::new(EventType::new("own.event").expect("a valid type"))
}

async fn lines(app: &Router) -> Vec<String> {
    let report = RouteCoverage::of(app).await.expect("the routes of this version of axum can be listed");
    report.routes().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_route_added_after_the_layer_has_none() {
    let log = log().await;
    let app = Router::new()
        .route("/scans", post(handler).get(handler))
        .layer(preset(&log))
        .route("/late", post(handler))
        // The path is there already, and its "method not allowed" has the layer.
        .route("/scans", axum::routing::put(handler));
    assert_eq!(
        lines(&app).await,
        [
            "POST /late: NO LAYER",
            "GET /scans: no rule",
            "HEAD /scans: no rule",
            "POST /scans: upload",
            "PUT /scans: NO LAYER"
        ]
    );
}

#[tokio::test]
async fn a_layer_of_a_single_route_takes_the_place_of_the_outer_one() {
    let log = log().await;
    let own = || AuditLayer::for_route(&log, own()).expect("a valid rule");
    let app = Router::new()
        .route("/scans", post(handler).route_layer(own()).put(handler))
        .route("/view", post(handler).layer(own()))
        .route("/flows", post(handler))
        .route("/alone", get(handler).route_layer(own()).post(handler));
    let expected = ["GET /alone: own.event", "HEAD /alone: own.event", "POST /alone: no rule", "POST /flows: upload"];
    let more = ["POST /scans: own.event", "PUT /scans: no rule", "POST /view: own.event"];
    assert_eq!(lines(&app.clone().layer(preset(&log))).await, [&expected[..], &more].concat());
    // With a state, axum keeps its routes in another way.
    assert_eq!(lines(&app.layer(preset(&log)).with_state(())).await, [&expected[..], &more].concat());
}

#[tokio::test]
async fn a_layer_around_the_whole_app_sees_whole_paths() {
    let log = log().await;
    let admin = Router::new().route("/users/{email}", axum::routing::delete(handler)).route("/", post(handler));
    let app = Router::new().nest("/auth/admin", admin).layer(preset(&log));
    assert_eq!(lines(&app).await, ["POST /auth/admin: admin_action", "DELETE /auth/admin/users/{email}: admin_action"]);
}

#[tokio::test]
async fn a_layer_inside_of_a_nested_router_sees_no_prefix() {
    let log = log().await;
    let admin = |layer| Router::new().route("/users/{email}", axum::routing::delete(handler)).layer(layer);
    for (layer, coverage) in [
        // A trap: the rule has the prefix, the layer does not see it.
        (preset(&log), "no rule"),
        (naming(&log, &["/users/{email}"]), "own.event"),
        (naming(&log, &["/users/bob"]), "IN PART: own.event"),
        (naming(&log, &["/admin/users/{email}"]), "no rule"),
        (naming(&log, &["/{*all}"]), "own.event"),
    ] {
        let app = Router::new().nest("/auth", Router::new().nest("/admin", admin(layer)));
        assert_eq!(lines(&app).await, [format!("DELETE /auth/admin/users/{{email}}: {coverage}")]);
    }
}

/// The check predicts the result of a request to `/auth/admin/users/bob`.
#[tokio::test]
async fn the_check_and_the_layer_agree() {
    let patterns = ["/auth/admin/users/{email}", "/admin/users/{email}", "/users/{email}", "/bob", "/users/eve"];
    for pattern in patterns {
        for place in 0..4 {
            let (log, store) = memory_log().await;
            let layer = |at: usize, router: Router| {
                if at == place { router.layer(naming(&log, &[pattern])) } else { router }
            };
            let users = layer(0, Router::new().route("/users/{email}", axum::routing::delete(async || ())));
            let admin = layer(1, Router::new().nest("/admin", users));
            let auth = layer(2, Router::new().nest("/auth", admin));
            let app = layer(3, Router::new().merge(auth));
            let report = RouteCoverage::of(&app).await.expect("the routes are listed");
            let request = http::Request::delete("/auth/admin/users/bob").body(axum::body::Body::empty()).unwrap();
            assert!(store.events().is_empty(), "the check left an event");
            app.oneshot(request).await.expect("infallible");
            let is_recorded = !store.events().is_empty();
            let coverage = report.routes()[0].coverage();
            assert_eq!(matches!(coverage, Coverage::Rules(_)), is_recorded, "{pattern} at {place}: {report}");
            assert!(
                !matches!(coverage, Coverage::Undetermined(_) | Coverage::NoLayer),
                "{pattern} at {place}: {report}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_found_out_is_unclear_and_uncovered() {
    let log = log().await;
    let inner = Router::new().route("/users", post(handler)).layer(naming(&log, &["/users"]));
    let hanging = from_fn(async |_: Request, _: Next| -> Response { std::future::pending().await });
    let panicking = from_fn(async |_: Request, _: Next| -> Response { panic!("no such method") });
    let nested = Router::new().nest("/admin", inner);
    tokio::time::pause();
    for app in [nested.clone().layer(from_fn(refusing)), nested.clone().layer(hanging), nested.clone().layer(panicking)]
    {
        let report = RouteCoverage::of(&app).await.expect("the routes are listed");
        assert_eq!(report.to_string(), "POST  /admin/users  UNCLEAR: own.event");
        assert_eq!(report.unaudited_mutations().count(), 1);
        // Said to be around the whole app, there is nothing to find out.
        assert_eq!(lines(&app.layer(preset(&log))).await, ["POST /admin/users: UNCLEAR: own.event"]);
    }
    assert_eq!(lines(&nested).await, ["POST /admin/users: own.event"]);
}

#[tokio::test]
async fn middlewares_in_front_hide_no_layer() {
    let log = log().await;
    let app = Router::new().route("/scans", post(handler)).layer(preset(&log)).layer(from_fn(refusing));
    assert_eq!(lines(&app).await, ["POST /scans: upload"]);
}

#[tokio::test]
async fn the_mount_prefix_of_a_policy_counts() {
    let log = log().await;
    let policy = AuditPolicy::builder().base_path("/cgi").preset_ivre().build().expect("a valid policy");
    let inner = Router::new()
        .route("/scans", post(handler))
        .route("/auth/admin/{*rest}", post(handler))
        .route("/{kind}/cleanup", post(handler))
        .route("/", post(handler));
    let app = Router::new().nest("/cgi", inner).layer(AuditLayer::new(&log, policy));
    assert_eq!(
        lines(&app).await,
        [
            "POST /cgi: no rule",
            "POST /cgi/auth/admin/{*rest}: admin_action",
            "POST /cgi/scans: upload",
            "POST /cgi/{kind}/cleanup: IN PART: upload",
        ]
    );
}

#[tokio::test]
async fn fallbacks_and_routes_for_any_method_are_listed() {
    let log = log().await;
    let service = any_service(tower::service_fn(async |_: Request| -> Result<Response, std::convert::Infallible> {
        Ok(().into_response())
    }));
    let app = Router::new()
        .route("/scans", any(handler))
        .route("/auth/admin/x", any(handler))
        .route("/service", service.clone())
        .nest("/nested", Router::new().route("/x", get(handler)).fallback(handler))
        .route("/own", get(handler).fallback(handler))
        .fallback(handler)
        .layer(preset(&log))
        .route("/late", service)
        .route("/{a}/admin/z", any(handler).layer(preset(&log)));
    assert_eq!(
        lines(&app).await,
        [
            "any /auth/admin/x: admin_action",
            "any /late: NO LAYER",
            "any /nested: no rule",
            "GET /nested/x: no rule",
            "HEAD /nested/x: no rule",
            "any /nested/{*fallback}: no rule",
            "GET /own: no rule",
            "HEAD /own: no rule",
            "any /own: no rule",
            "any /scans: IN PART: upload",
            "any /service: no rule",
            "any /{a}/admin/z: IN PART: admin_action",
            "any (fallback): IN PART: upload, admin_action",
        ]
    );
    let bare = Router::new().route("/scans", post(handler)).layer(preset(&log)).fallback(handler);
    assert_eq!(lines(&bare).await, ["POST /scans: upload", "any (fallback): NO LAYER"]);
}

#[tokio::test]
async fn a_log_that_is_off_covers_nothing() {
    let log = log().await;
    let app = Router::new().route("/scans", post(handler)).layer(preset(&AuditLog::disabled()));
    assert_eq!(lines(&app).await, ["POST /scans: off"]);
    assert_eq!(lines(&app.layer(preset(&log))).await, ["POST /scans: upload"]);
}

#[tokio::test]
async fn a_list_of_routes_may_be_given() {
    let log = log().await;
    let app = Router::new().route("/users/{id}", post(handler)).layer(naming(&log, &["/users/{id}"]));
    let report = RouteCoverage::of_routes(&app, [("POST", "/users/{id}"), ("post", "/nowhere")]).await.expect("routes");
    assert_eq!(report.to_string(), "POST  /users/{id}  own.event\npost  /nowhere     no rule");
    for (route, why) in [
        (("P T", "/a"), "\"P T\" is no HTTP method: expected a word such as POST"),
        (("POST", "a"), "\"a\" is no template of a route: expected one that starts with /, such as /users/{id}"),
    ] {
        assert_eq!(RouteCoverage::of_routes(&app, [route]).await.unwrap_err().to_string(), why);
    }
}

#[tokio::test]
async fn nothing_of_the_app_runs_and_nothing_is_recorded() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    async fn handler() {
        RUNS.fetch_add(1, Ordering::SeqCst);
    }
    async fn passing(request: Request, next: Next) -> Response {
        RUNS.fetch_add(1, Ordering::SeqCst);
        next.run(request).await
    }
    let (log, store) = memory_log().await;
    let (unsafe_log, unsafe_store) = memory_log().await;
    let everything = || AuditLayer::for_route(&unsafe_log, own().write_ahead(true)).expect("a valid rule");
    let app = Router::new()
        .route("/scans", post(handler).get(handler))
        .route("/any", any(handler))
        .layer(from_fn(passing))
        .layer(preset(&log))
        .layer(everything())
        .layer(from_fn(passing))
        .fallback(handler)
        .route("/late", any(handler).layer(from_fn(passing)));
    let report = RouteCoverage::of(&app).await.expect("the routes are listed");
    assert_eq!(report.routes().len(), 6, "{report}");
    assert_eq!(RUNS.load(Ordering::SeqCst), 0);
    // One that has to be looked at from outside: only the middleware further out runs, once a route.
    let nested = Router::new().route("/x", any(handler)).layer(from_fn(passing)).layer(naming(&log, &["/x"]));
    let app = Router::new().nest("/n", nested).layer(from_fn(passing)).layer(everything());
    let report = RouteCoverage::of(&app).await.expect("the routes are listed");
    assert_eq!(report.to_string(), "any  /n/x  own.event");
    let nested = Router::new().route("/x", any(handler)).layer(from_fn(passing)).layer(naming(&log, &["/x"]));
    let app = Router::new().nest("/n", nested).layer(from_fn(passing));
    let report = RouteCoverage::of(&app).await.expect("the routes are listed");
    assert_eq!(report.to_string(), "any  /n/x  own.event");
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    log.close().await.unwrap();
    unsafe_log.close().await.unwrap();
    assert!(store.events().is_empty() && unsafe_store.events().is_empty());
}

#[tokio::test]
async fn an_app_goes_on_after_it_was_looked_at_and_clients_trigger_nothing() {
    let (log, store) = memory_log().await;
    let policy = AuditPolicy::builder().rule(own().paths(["/scans"])).build().expect("a valid policy");
    let app = Router::new().route("/scans", post(async || "stored")).layer(AuditLayer::new(&log, policy));
    RouteCoverage::of(&app).await.expect("the routes are listed");
    for (method, status) in [("POST", 200), ("TOWER-AUDIT-WIRING", 405)] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(&method).uri("/scans").body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(store.events()[0].resource.method.as_deref(), Some(method.as_str()));
    }
    assert_eq!(store.events().len(), 2);
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics under the lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_report_warns_of_what_may_change_something() {
    let log = log().await;
    let app = Router::new()
        .route("/scans", post(handler))
        .route("/health", get(handler))
        .layer(preset(&log))
        .route("/late", post(handler))
        .layer(Extension(7));
    let report = RouteCoverage::of(&app).await.expect("the routes are listed");
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer({
        let written = written.clone();
        move || written.clone()
    });
    tracing::subscriber::with_default(subscriber.finish(), || report.log_report());
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            r#"INFO tower_audit::route_coverage: route method="GET" path="/health" coverage=no rule"#,
            r#"INFO tower_audit::route_coverage: route method="HEAD" path="/health" coverage=no rule"#,
            r#"WARN tower_audit::route_coverage: no rule covers this route method="POST" path="/late" coverage=NO LAYER"#,
            r#"INFO tower_audit::route_coverage: route method="POST" path="/scans" coverage=upload"#,
        ]
    );
}

#[tokio::test]
async fn one_line_asserts_that_every_mutation_is_audited() {
    let log = log().await;
    let layer = AuditLayer::new(&log, tower_audit::AuditPolicy::mutations());
    let app = Router::new().route("/orders", post(handler).get(handler)).layer(layer);
    assert_all_mutations_audited(&app).await;

    let late = app.route("/late", post(handler)).route("/health", get(handler));
    let panic =
        tokio::spawn(async move { assert_all_mutations_audited(&late).await }).await.expect_err("a route is late");
    let text = panic.into_panic().downcast::<String>().expect("a text");
    assert_eq!(*text, "1 route may change something and is not audited:\n  POST /late: NO LAYER");
}
