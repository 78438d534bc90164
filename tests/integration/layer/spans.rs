//! The span of an audited request, and the trace id of the app's current span.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Response, StatusCode};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::policy::presets;
use tower_audit::{AuditContext, AuditEvent, AuditLayer, EventType};
use tracing::Instrument as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::layer::support::{Body, answering, delete, memory_log, post, response};

/// A layer of a subscriber that notes the life of the spans named `audit`, and panics in one of its calls if told to.
#[derive(Clone, Default)]
struct Spans {
    panics_in: &'static str,
    said: Arc<Mutex<Vec<String>>>,
    ids: Arc<Mutex<HashMap<u64, &'static str>>>,
}

impl Spans {
    fn say(&self, call: &'static str, id: Option<&Id>, text: &str) {
        let is_audit = id.is_some_and(|id| self.ids.lock().expect("no panic").contains_key(&id.into_u64()));
        if is_audit {
            self.said.lock().expect("no panic").push(format!("{call}{text}"));
            assert!(call != self.panics_in, "the subscriber panics in {call}");
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic").clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "audit" {
            self.ids.lock().expect("no panic").insert(id.into_u64(), "audit");
            self.say("new", Some(id), "");
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        values.record(&mut text);
        self.say("record", Some(id), &text.0);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event).map(|span| span.id());
        let mut text = Text::default();
        event.record(&mut text);
        self.say("event", span.as_ref(), &text.0);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if self.panics_in == "enter" {
            self.say("enter", Some(id), "");
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if self.panics_in == "exit" {
            self.say("exit", Some(id), "");
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.say("close", Some(&id), "");
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_in_a_span_that_gets_the_ids_of_its_events() {
    let spans = Spans::default();
    let _guard = set_default(Registry::default().with(spans.clone()));
    let (log, store) = memory_log().await;
    let handler = service_fn(|_: http::Request<Body>| {
        tracing::info!("called");
        async {
            tokio::task::yield_now().await;
            tracing::info!("polled");
            Ok::<_, Infallible>(response(StatusCode::OK))
        }
    });
    let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
    service.clone().oneshot(post("/scans")).await.expect("infallible");
    let id = store.events()[0].event_id;
    let record = format!("record audit.event_id={id}");
    assert_eq!(spans.said(), ["new", "event message=called", "event message=polled", &record, "close"]);

    spans.said.lock().expect("no panic").clear();
    service.clone().oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    let events = store.events();
    let [started, ended] = [&events[1], &events[0]].map(|event| event.event_id);
    assert_eq!(events[0].request.started_event_id, Some(started));
    let (begin, end) = (format!("record audit.started_event_id={started}"), format!("record audit.event_id={ended}"));
    assert_eq!(spans.said(), ["new", &begin, "event message=called", "event message=polled", &end, "close"]);

    // A request that no rule names has no span.
    spans.said.lock().expect("no panic").clear();
    service.oneshot(post("/others")).await.expect("infallible");
    assert!(spans.said().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_loses_no_event() {
    for (panics_in, outcome) in
        [("new", 200), ("record", 200), ("close", 200), ("exit", 200), ("enter", 500), ("event", 500)]
    {
        let spans = Spans { panics_in, ..Spans::default() };
        let _guard = set_default(Registry::default().with(spans.clone()));
        let (log, store) = memory_log().await;
        let handler = service_fn(|_: http::Request<Body>| async {
            tracing::info!("polled");
            Ok::<_, Infallible>(response(StatusCode::OK))
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        let answer = tokio::spawn(service.oneshot(delete("/auth/admin/users/bob"))).await;
        assert_eq!(answer.is_ok(), outcome == 200, "{panics_in}: the handler panics where its own lines would");
        assert!(!spans.said().is_empty(), "{panics_in}");
        let events = store.events();
        assert_eq!(events.len(), 2, "{panics_in}");
        assert_eq!(events[0].outcome, Some(outcome), "{panics_in}");
        assert_eq!(events[0].details.contains_key("panic"), outcome == 500, "{panics_in}");
    }
}

/// A second panic that leaves a destructor would abort the process.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_while_the_handler_panics_loses_no_event() {
    for panics_in in ["exit", "close"] {
        let spans = Spans { panics_in, ..Spans::default() };
        let _guard = set_default(Registry::default().with(spans.clone()));
        let (log, store) = memory_log().await;
        let handler = service_fn(|request: http::Request<Body>| {
            // On the way to its future, or within it.
            assert!(!request.headers().contains_key("early"), "the handler panics");
            async { panic!("the handler panics") as Result<Response<Body>, Infallible> }
        });
        let service = AuditLayer::new(&log, presets::ivre()).layer(handler);
        for is_early in [true, false] {
            let mut request = delete("/auth/admin/users/bob");
            if is_early {
                request.headers_mut().insert("early", HeaderValue::from_static("yes"));
            }
            let answer = tokio::spawn(service.clone().oneshot(request)).await;
            assert!(answer.expect_err("it panics").is_panic());
            let events = store.events();
            assert_eq!((events[0].outcome, events[0].details.contains_key("panic")), (Some(500), true), "{panics_in}");
        }
        assert_eq!(store.events().len(), 4, "{panics_in}");
        assert!(!spans.said().is_empty(), "{panics_in}");
    }
}

const SENT: &str = "0af7651916cd43dd8448eb211c80319c";
const FOUND: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn event_with(layer: impl Fn(AuditLayer) -> AuditLayer, declared: Option<&'static str>) -> AuditEvent {
    let (log, store) = memory_log().await;
    let handler = service_fn(move |_: http::Request<Body>| async move {
        if let (Some(id), Some(audit)) = (declared, AuditContext::current()) {
            audit.trace_id(id);
        }
        Ok::<_, Infallible>(response(StatusCode::OK))
    });
    let mut request = post("/scans");
    let parent = format!("00-{SENT}-b7ad6b7169203331-01");
    request.headers_mut().insert("traceparent", HeaderValue::from_str(&parent).expect("a value"));
    layer(AuditLayer::new(&log, presets::ivre())).layer(handler).oneshot(request).await.expect("infallible");
    store.events()[0].clone()
}

#[tokio::test(start_paused = true)]
async fn the_trace_id_is_the_handlers_else_the_spans_else_the_clients() {
    let of = async |found: Option<&'static str>, declared| {
        let event = event_with(|layer| layer.trace_id(move || found.map(Into::into)), declared).await;
        event.request.trace_id.expect("there is one").to_string()
    };
    assert_eq!(of(None, None).await, SENT);
    assert_eq!(of(Some(FOUND), None).await, FOUND);
    assert_eq!(of(Some(FOUND), Some("4bf92f3577b34da6a3ce929d0e0e4737")).await, "4bf92f3577b34da6a3ce929d0e0e4737");
    for malformed in ["", "4BF92F3577B34DA6A3CE929D0E0E4736", "00000000000000000000000000000000", "4bf9", "a\nb"] {
        assert_eq!(of(Some(malformed), Some(malformed)).await, SENT, "{malformed:?}");
    }
    let event = event_with(|layer| layer.trace_id(|| panic!("the callback panics")), None).await;
    assert_eq!(event.request.trace_id.as_deref(), Some(SENT));
}

/// As docs/capture.md has it.
#[tokio::test(start_paused = true)]
async fn the_trace_id_of_opentelemetry_is_that_of_the_layers_around() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    let _guard = set_default(Registry::default().with(layer));
    let (log, store) = memory_log().await;
    let layer = AuditLayer::new(&log, presets::ivre()).trace_id(|| {
        let context = tracing::Span::current().context();
        let span = context.span().span_context().clone();
        span.is_valid().then(|| span.trace_id().to_string().into())
    });
    let service = layer.layer(answering(StatusCode::OK));
    let around = tracing::info_span!("request");
    let expected = around.context().span().span_context().trace_id().to_string();
    service.clone().oneshot(post("/scans")).instrument(around).await.expect("infallible");
    service.oneshot(post("/scans")).await.expect("infallible");
    let events = store.events();
    assert_eq!(events[1].request.trace_id.as_deref(), Some(expected.as_str()));
    assert_eq!(events[0].request.trace_id, None, "there is no span around, and the client sent none");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_declared_needs_no_span() {
    let spans = Spans::default();
    let _guard = set_default(Registry::default().with(spans.clone()));
    let (log, store) = memory_log().await;
    let handler = service_fn(|_: http::Request<Body>| async {
        AuditContext::current().expect("a layer").event_type(EventType::AUTH);
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    AuditLayer::new(&log, presets::ivre()).layer(handler).oneshot(post("/login")).await.expect("infallible");
    assert_eq!((store.events().len(), spans.said().len()), (1, 0));
}
