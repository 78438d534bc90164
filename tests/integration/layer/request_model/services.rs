//! The services of a stack.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use http::{Method, Request, Response};
use tokio::time::{sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::{Actor, AuditContext, AuditLayer, AuditLog, AuditPolicy, EventType, Rule};

use super::case_generator::{Handler, HandlerEnd, Kind, Part, Stack};
use super::execution_trace::{Arrival, Run, RunEnd, Watching, World, header, lock, run_around, value, within};
use super::oracle::is_end;

pub(super) type Body = http_body_util::Full<Bytes>;
pub(super) type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Failed>;

/// The error of a handler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

pub(super) fn built(stack: &Stack, world: &Arc<World>, logs: &[AuditLog; 2]) -> Service {
    let mut service = handler(stack.handler.clone(), world, logs);
    for part in stack.parts.iter().rev() {
        service = match *part {
            Part::Audit { log, kind } => audited(service, log, kind, world, logs),
            Part::Retry(times) => retried(service, times),
            Part::Timeout => {
                let world = Arc::clone(world);
                BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
                    let id = header(request.headers(), "x-request-id").expect("an id").to_owned();
                    let around = [0, 1].map(|log| run_around(request.headers(), log));
                    let (world, attempt) = (Arc::clone(&world), service.clone().oneshot(request));
                    async move {
                        timeout(Duration::from_millis(3), attempt).await.unwrap_or_else(|_| {
                            lock(&world.timed_out).push(id);
                            around.into_iter().flatten().for_each(|run| world.give_up_within(run, false));
                            Ok(answer(504))
                        })
                    }
                }))
            }
            Part::Task => BoxCloneSyncService::new(service_fn(move |request| {
                let task = tokio::spawn(service.clone().oneshot(request));
                async move { task.await.unwrap_or(Err(Failed)) }
            })),
            Part::Anew => {
                let world = Arc::clone(world);
                BoxCloneSyncService::new(
                    service.map_request(move |request: Request<Body>| world.request(request.method().clone())),
                )
            }
            Part::Answer => BoxCloneSyncService::new(service.map_response(|_| answer(599))),
            Part::Delay => BoxCloneSyncService::new(service.then(|result| async move {
                sleep(Duration::from_millis(2)).await;
                result
            })),
            Part::Hedge => hedged(service, world),
        };
    }
    service
}

pub(super) fn hedged(service: Service, world: &Arc<World>) -> Service {
    let world = Arc::clone(world);
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let around = [0, 1].map(|log| run_around(request.headers(), log));
        lock(&world.hedged).push(header(request.headers(), "x-request-id").expect("an id").to_owned());
        let both = [service.clone().oneshot(request.clone()), service.clone().oneshot(request)].map(Box::pin);
        let world = Arc::clone(&world);
        async move {
            let (result, _, other) = select_all(both).await;
            around.into_iter().flatten().for_each(|run| world.give_up_within(run, true));
            drop(other);
            result
        }
    }))
}

fn answer(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::default()).expect("valid")
}

pub(super) fn retried(service: Service, times: u8) -> Service {
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let service = service.clone();
        async move {
            for _ in 0..times {
                let result = service.clone().oneshot(request.clone()).await;
                if result.as_ref().is_ok_and(|response| !response.status().is_server_error()) {
                    return result;
                }
            }
            service.oneshot(request).await
        }
    }))
}

pub(super) fn audited(inner: Service, log: usize, kind: Kind, world: &Arc<World>, logs: &[AuditLog; 2]) -> Service {
    let rule = || Rule::new(EventType::new("a.run").expect("a valid type")).paths(["/{*all}"]);
    let policy = match kind {
        Kind::Watch => AuditPolicy::builder(),
        Kind::After => AuditPolicy::builder().rule(rule()),
        Kind::Ahead => AuditPolicy::builder().rule(rule().write_ahead(true)),
    };
    let audit = AuditLayer::new(&logs[log], policy.build().expect("a valid policy"));
    if kind == Kind::Watch {
        let (world, audited) = (Arc::clone(world), audit.layer(inner));
        let audited = audited.map_response(|answer: Response<_>| answer.map(|_| Body::default()));
        return BoxCloneSyncService::new(audited.map_request(move |request: Request<Body>| {
            let id = header(request.headers(), "x-request-id").expect("an id").to_owned();
            lock(&world.watched).push((log, id));
            request
        }));
    }
    let layer = world.layers.fetch_add(1, Ordering::Relaxed);
    let probe = {
        let world = Arc::clone(world);
        service_fn(move |request: Request<Body>| probed(inner.clone(), request, layer, log, kind, &world))
    };
    let audited = audit.layer(BoxCloneSyncService::new(probe));
    let world = Arc::clone(world);
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let id = header(request.headers(), "x-request-id").expect("an id").to_owned();
        let around = run_around(request.headers(), log);
        let arrival = Arrival { within: around, request: id.clone(), layer, is_called: false, is_refused: false };
        let number = {
            let mut arrivals = lock(&world.arrivals);
            arrivals.push(arrival);
            arrivals.len() - 1
        };
        let (audited, world) = (audited.clone(), Arc::clone(&world));
        async move {
            let response = audited.oneshot(request).await?;
            if response.headers().contains_key("audit-event-id") {
                lock(&world.arrivals)[number].is_refused = true;
                return Ok(response.map(|_| Body::default()));
            }
            let kept = lock(&world.kept[log].0);
            if !kept.iter().any(|event| is_end(event) && event.request.request_id.as_deref() == Some(&id)) {
                world.wrong(format!("a response to {id} left layer {layer}, and log {log} has no event of it"));
            }
            Ok(response.map(|_| Body::default()))
        }
    }))
}

/// Calls the service within a layer that has a rule, and records the run.
pub(super) fn probed(
    inner: Service,
    mut request: Request<Body>,
    layer: usize,
    log: usize,
    kind: Kind,
    world: &Arc<World>,
) -> impl Future<Output = Result<Response<Body>, Failed>> + Send + use<> {
    let id = header(request.headers(), "x-request-id").expect("an id").to_owned();
    let around = run_around(request.headers(), log);
    {
        let mut arrivals = lock(&world.arrivals);
        let arrival = arrivals.iter_mut().find(|arrival| {
            !arrival.is_called && arrival.layer == layer && arrival.request == id && arrival.within == around
        });
        arrival.expect("it arrived").is_called = true;
    }
    let run = {
        let mut runs = lock(&world.runs);
        runs.push(Run {
            layer,
            log,
            kind,
            request: id.clone(),
            method: request.method().clone(),
            target: request.uri().path().to_owned(),
            within: around,
            seen: lock(&world.kept[log].0).len(),
            end: None,
            open: 0,
            given_up: None,
            is_overtaken: false,
            ended: None,
        });
        runs.len() - 1
    };
    let context = request.extensions().get::<AuditContext>().expect("a rule names the request");
    context.detail(format!("layer_{layer}"), run);
    request.headers_mut().insert(within(log), value(&run.to_string()));
    let watching = Watching { world: Arc::clone(world), run, end: None };
    let future = inner.oneshot(request);
    async move {
        let mut watching = watching;
        let result = future.await;
        watching.end = Some(match &result {
            Ok(response) => {
                let is_ours = header(response.headers(), "x-answers") == Some(&id);
                let who = header(response.headers(), "x-who").filter(|_| is_ours).map(str::to_owned);
                RunEnd::Status(response.status().as_u16(), who)
            }
            Err(Failed) => RunEnd::Error,
        });
        result
    }
}

pub(super) fn handler(handler: Handler, world: &Arc<World>, logs: &[AuditLog; 2]) -> Service {
    let (world, calls) = (Arc::clone(world), Arc::new(AtomicUsize::new(0)));
    let subs: Vec<_> = handler.subs.iter().map(|sub| (built(&sub.stack, &world, logs), sub.clone())).collect();
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (world, subs) = (Arc::clone(&world), subs.clone());
        let call = calls.fetch_add(1, Ordering::Relaxed).min(2);
        let (pause, end) = (handler.pause, handler.ends[call]);
        async move {
            let who = format!("who-{}", world.number());
            let context = request.extensions().get::<AuditContext>().cloned().or_else(AuditContext::current);
            if let Some(context) = &context {
                context.actor(Actor::user(&who));
            }
            let mut passed_on = None;
            for (service, sub) in subs {
                let mut part = world.request(Method::PUT);
                if sub.copies_extensions {
                    *part.extensions_mut() = request.extensions().clone();
                }
                let result = service.oneshot(part);
                let result =
                    if sub.on_its_own_task { tokio::spawn(result).await.unwrap_or(Err(Failed)) } else { result.await };
                if let (Ok(response), true) = (result, sub.passes_on) {
                    passed_on = Some(response);
                }
            }
            if pause > 0 {
                sleep(Duration::from_millis(pause)).await;
            }
            let mut response = match (passed_on, end) {
                (Some(response), _) => response,
                (None, HandlerEnd::Status(status)) => answer(status),
                (None, HandlerEnd::Error) => return Err(Failed),
                // Without the hook, which would write a line for each.
                (None, HandlerEnd::Panic) => std::panic::resume_unwind(Box::new("on purpose")),
            };
            let id = request.headers()["x-request-id"].clone();
            response.headers_mut().remove("x-who");
            if context.is_some() {
                response.headers_mut().insert("x-who", value(&who));
            }
            response.headers_mut().insert("x-answers", id);
            Ok(response)
        }
    }))
}
