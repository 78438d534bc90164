//! A layer in between answers after it has given up the last of several attempts: the events tell the answer, and what
//! became of each attempt.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::store::StoreErrorKind;
use tower_audit::{AuditLayer, AuditPolicy, EventType, Phase, RecordWhen, Rule};
use tower_http::timeout::TimeoutLayer;

use crate::layer::scripted_store::{Append, Scripted};
use crate::layer::support::{Body, let_others_run, of_phase, post, response};

/// Tries again once what was answered with a 5xx.
#[derive(Clone)]
struct Again(bool);

impl<R> tower::retry::Policy<Request<Body>, Response<R>, Infallible> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<Body>, _: &mut Result<Response<R>, Infallible>) -> Option<Ready<()>> {
        std::mem::take(&mut self.0).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

/// The first attempt is answered with 502, or is refused; the second still waits for its `started` event when a timeout
/// answers. The answer reaches the outer layer after that attempt is settled.
#[tokio::test(start_paused = true)]
async fn the_answer_of_a_timeout_is_told_beside_an_attempt_that_never_ran() {
    for is_outer_named in [false, true] {
        for is_first_refused in [false, true] {
            let case = format!("outer layer with a rule: {is_outer_named}, first refused: {is_first_refused}");
            let (log, store) = Scripted::log().await;
            let starts = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&starts);
            store.set(move |events| {
                if events.iter().all(|event| event.phase != Phase::Started) {
                    return Append::Keeps;
                }
                match counted.fetch_add(1, Ordering::Relaxed) {
                    0 if is_first_refused => Append::Fails(StoreErrorKind::Permanent),
                    0 => Append::Keeps,
                    _ => Append::KeepsAfter(Duration::from_millis(200)),
                }
            });
            let runs = Arc::new(AtomicUsize::new(0));
            let ran = Arc::clone(&runs);
            let handler = tower::service_fn(move |_request: Request<Body>| {
                ran.fetch_add(1, Ordering::Relaxed);
                async { Ok::<_, Infallible>(response(StatusCode::BAD_GATEWAY)) }
            });
            let rule = |name: &str| {
                Rule::new(EventType::new(name).expect("a valid type")).when(RecordWhen::always()).paths(["/x"])
            };
            let policy = |rule: Option<Rule>| {
                rule.into_iter().fold(AuditPolicy::builder(), |policy, rule| policy.rule(rule)).build().expect("valid")
            };
            let inner = AuditLayer::new(&log, policy(Some(rule("in.ner").write_ahead(true)))).layer(handler);
            let timeout =
                TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(100)).layer(inner);
            let retry = tower::retry::RetryLayer::new(Again(true)).layer(timeout);
            let late = retry.then(|answer| async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                answer
            });
            let outer = AuditLayer::new(&log, policy(is_outer_named.then(|| rule("out.er"))));
            let answer = outer.layer(late).oneshot(post("/x")).await.expect("infallible");
            assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT, "{case}");
            let_others_run().await;
            log.close().await.expect("everything is written");
            assert_eq!(runs.load(Ordering::Relaxed), usize::from(!is_first_refused), "{case}");
            let ends = of_phase(&store.kept, Phase::Completed);
            let told: Vec<_> = ends
                .iter()
                .rev()
                .map(|end| {
                    let is_ended = end.request.started_event_id.is_some();
                    (end.outcome, end.details.contains_key("not_run"), is_ended, end.event_type.as_str())
                })
                .collect();
            let mut expected = vec![(Some(502), false, true, "in.ner")];
            expected.truncate(usize::from(!is_first_refused));
            expected.extend([(Some(503), true, true, "in.ner"), (Some(504), false, false, "in.ner")]);
            assert_eq!(told, expected, "{case}");
        }
    }
}
