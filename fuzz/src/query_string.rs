//! The query string of the read API, and the cursor in it.

use std::cmp::Reverse;

use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use tower_audit::api::{AuditApi, Caller, gate_fn};
use tower_audit::{Actor, AuditEvent, AuditLog, EventId, EventType};

use super::choices::Choices;

const USER: &str = "alice@example.org";
const EVENTS: u16 = 7;
const ADMIN: &str = "root@example.org";

/// Every query is answered, or rejected with a 4xx problem document of bounded size. A caller who is no
/// administrator sees their own events only. The pages of a listing have each event once, as many as the count says. A
/// changed cursor token is rejected.
pub fn run(data: &[u8]) {
    thread_local! {
        static SERVER: Server = Server::new();
    }
    SERVER.with(|server| {
        let mut choices = Choices(data);
        let caller = *choices.pick(&[ADMIN, USER, ""]);
        match choices.below(6) {
            0 => server.check_listing(caller, &choices.rest()),
            1 => server.check_cursor(caller, &mut choices),
            2 => server.check(caller, &format!("/audit/count?{}", choices.rest())),
            3 => server.check(caller, &format!("/audit/stats?{}", choices.rest())),
            4 => server.check(caller, &format!("/audit/export?{}", choices.rest())),
            // Beyond a slash the routes are not the API's.
            _ => server.check(caller, &format!("/audit/{}", choices.rest().replace('/', "%2f"))),
        }
    });
}

struct Server {
    runtime: Runtime,
    app: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let app = runtime.block_on(async {
            let log = AuditLog::open("memory:").await.expect("a log");
            for n in 0..EVENTS {
                let mut event = AuditEvent::new(EventType::ALL[usize::from(n) % 4].clone());
                event.event_id = EventId::from_u128(n.into());
                // Some at the same time.
                event.created_at = format!("2026-05-25T12:00:0{}Z", n / 2).parse().expect("a time");
                event.actor = [Actor::user(USER), Actor::user("a*b"), Actor::default()][usize::from(n) % 3].clone();
                event.resource.route = Some(format!("/{n}").into());
                event.outcome = (n > 0).then_some(n * 100);
                log.record(event).await.expect("memory takes everything");
            }
            let gate = gate_fn(|head| {
                let name = head.headers.get("x-caller").and_then(|name| name.to_str().ok());
                Ok(name.map(|name| if name == ADMIN { Caller::admin(name) } else { Caller::user(name) }))
            });
            AuditApi::new(&log, gate).router("/audit")
        });
        Self { runtime, app }
    }

    /// None if it is no URI.
    fn ask(&self, caller: &str, uri: &str) -> Option<Answer> {
        let request = Request::builder().uri(uri).header("x-caller", caller).body(Body::empty()).ok()?;
        let (head, body) = self.runtime.block_on(async {
            let (head, body) = self.app.clone().oneshot(request).await.expect("a router does not fail").into_parts();
            (head, body.collect().await.expect("the body ends well").to_bytes())
        });
        let answer = Answer { status: head.status, headers: head.headers, body };
        answer.check(uri);
        let is_for_everybody = uri.split(['?', '#']).next() == Some("/audit/openapi.json");
        let is_anonymous = caller.is_empty() && !is_for_everybody;
        assert_eq!(is_anonymous, answer.status == StatusCode::UNAUTHORIZED, "{uri}");
        Some(answer)
    }

    fn check(&self, caller: &str, uri: &str) {
        let Some(answer) = self.ask(caller, uri).filter(|answer| answer.status.is_success()) else { return };
        if caller == USER {
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("a*b") && !text.contains("\"user_email\":null"), "{uri}: {text}");
        }
    }

    fn check_listing(&self, caller: &str, query: &str) {
        let mut found = Vec::new();
        let mut next = Some(query.to_owned());
        while let Some(query) = next.take() {
            self.check(caller, &format!("/audit/?{query}"));
            let Some(answer) = self.ask(caller, &format!("/audit/?{query}")) else { return };
            if !answer.status.is_success() {
                assert!(found.is_empty(), "a page has no next: {query}");
                return;
            }
            found.extend(serde_json::from_slice::<Vec<AuditEvent>>(&answer.body).expect("events"));
            assert!(found.len() <= EVENTS.into(), "a page leads back: {query}");
            next = answer.next();
        }
        assert!(found.is_sorted_by_key(|event| Reverse(event.sort_key())), "{query}");
        assert!(found.windows(2).all(|pair| pair[0].event_id != pair[1].event_id), "{query}");

        // Parameters that `count` lacks are left out; spelled in another way, they are rejected.
        let filters = query.split('#').next().unwrap_or_default().split('&');
        let filters: Vec<_> = filters.filter(|pair| !pair.starts_with("limit=")).collect();
        let Some(count) = self.ask(caller, &format!("/audit/count?{}", filters.join("&"))) else { return };
        if count.status.is_success() {
            assert_eq!(count.body, format!("{}\n", found.len()), "{query}");
        }
    }

    fn check_cursor(&self, caller: &str, choices: &mut Choices<'_>) {
        let first = self.ask(caller, "/audit/?limit=1").expect("a URI");
        let Some(next) = first.next() else { return };
        let cursor = next.strip_prefix("limit=1&cursor=").expect("the cursor comes last");
        let (from, to) = (choices.below(cursor.len() + 1), choices.below(cursor.len() + 1));
        let changed = format!("{}{}{}", &cursor[..from.min(to)], choices.rest(), &cursor[from.max(to)..]);
        let escaped: String = changed.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.ask(caller, &format!("/audit/?limit=1&cursor={escaped}")).map(|answer| answer.status);
        // Longer than any URI is one that is refused before.
        let expected = if changed == cursor { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(answer.unwrap_or(StatusCode::BAD_REQUEST), expected, "{changed}");
    }
}

impl Answer {
    /// The query string of the page that follows.
    fn next(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().expect("visible ASCII");
        let query = link.strip_prefix("<?").and_then(|link| link.strip_suffix(">; rel=\"next\""));
        Some(query.expect("a relative link").to_owned())
    }

    fn check(&self, uri: &str) {
        assert_eq!(self.headers.get("cache-control").expect("a header"), "no-store", "{uri}");
        if self.status == StatusCode::OK {
            return;
        }
        assert!([400, 401, 403, 404].contains(&self.status.as_u16()), "{} for {uri}", self.status);
        assert_eq!(self.headers.get("content-type").expect("a header"), "application/problem+json", "{uri}");
        let document: Value = serde_json::from_slice(&self.body).expect("a document");
        assert_eq!(document["status"], self.status.as_u16(), "{uri}");
        let has = |key: &str| document[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(has("title") && has("detail") && has("type"), "{document}");
        assert!(self.body.len() < 2000, "{} bytes for {uri}", self.body.len());
    }
}
