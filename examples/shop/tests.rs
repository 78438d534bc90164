//! The shop's own tests: requests without a server, and the questions that its log answers.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_audit::query::{Filter, PageQuery};
#[cfg(feature = "route-coverage")]
use tower_audit::route_coverage::assert_all_mutations_audited;
use tower_audit::{AuditEvent, Phase};

use super::*;

type Tested = Result<(), Box<dyn Error>>;

/// A shop on a temporary file: `record_in` needs a database, so a log in memory would not do.
struct Fixture {
    shop: Shop,
    app: Router,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("shop.db");
        let shop = Shop::open(path.to_str().ok_or("a path")?, b"a key of the tests").await?;
        Ok(Self { app: app(shop.clone(), policy()?), shop, _folder: folder })
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::from(body.to_owned()));
        self.app.clone().oneshot(request.expect("valid")).await.expect("infallible")
    }

    async fn sign_in(&self, name: &str) -> Result<String, Box<dyn Error>> {
        let body = json!({"name": name, "password": "secret"}).to_string();
        let response = self.send(Method::POST, "/login", "", &body).await;
        assert_eq!(response.status(), StatusCode::OK);
        Ok(String::from_utf8(to_bytes(response.into_body(), 4096).await?.to_vec())?)
    }

    /// The events, oldest first, without those that only say that a request began.
    async fn events(&self, filter: Filter) -> Result<Vec<AuditEvent>, Box<dyn Error>> {
        let store = self.shop.log.store().ok_or("a store")?;
        let reader = store.parts().reader.ok_or("a store that can be read")?;
        let mut events = reader.query(&PageQuery::new(filter, 100)).await?;
        events.retain(|event| event.phase != Phase::Started);
        events.reverse();
        Ok(events)
    }
}

/// `alice order.changed 200 [...changes]`
fn line(event: &AuditEvent) -> (String, Value) {
    let user = event.actor.user_email.as_deref().unwrap_or("-");
    let outcome = event.outcome.map_or("-".to_owned(), |status| status.to_string());
    (format!("{user} {} {outcome}", event.event_type), event.details.get("changes").cloned().unwrap_or_default())
}

#[tokio::test]
async fn the_history_of_an_order_is_who_did_what_from_what_to_what() -> Tested {
    let fixture = Fixture::new().await?;
    let (alice, root) = (fixture.sign_in("alice").await?, fixture.sign_in("root").await?);
    for (method, path, token, body, status) in [
        (Method::POST, "/api/v1/orders", &alice, "book", 201),
        (Method::POST, "/api/v1/orders", &alice, "pen", 201),
        (Method::PATCH, "/api/v1/orders/1", &root, "shipped", 200),
        (Method::DELETE, "/api/v1/orders/1", &alice, "", 204),
    ] {
        assert_eq!(fixture.send(method, path, token, body).await.status(), status, "{path}");
    }
    let history: Vec<_> = fixture.events(Filter::new().target("order/1")).await?.iter().map(line).collect();
    let member = |op: &str, path: &str, side: &str, value: &str| json!({"path": path, "op": op, side: value});
    let of_all = |op, side, status| {
        let members = [("/item", "book"), ("/owner", "alice"), ("/status", status)];
        Value::from(members.map(|(path, value)| member(op, path, side, value)).to_vec())
    };
    assert_eq!(
        history,
        [
            ("alice order.placed 201".to_owned(), of_all("add", "to", "open")),
            (
                "root order.changed 200".to_owned(),
                json!([{"path": "/status", "op": "replace", "from": "open", "to": "shipped"}])
            ),
            ("alice order.deleted 204".to_owned(), of_all("remove", "from", "shipped")),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_recorded_and_changes_nothing() -> Tested {
    let fixture = Fixture::new().await?;
    let (alice, bob) = (fixture.sign_in("alice").await?, fixture.sign_in("bob").await?);
    fixture.send(Method::POST, "/api/v1/orders", &alice, "book").await;
    for (path, token, body, status) in [
        ("/api/v1/orders/1", bob.as_str(), "stolen", 403),
        ("/api/v1/orders/1", "", "stolen", 401),
        ("/api/v1/orders/1", &alice, &"x".repeat(2 << 20), 413),
    ] {
        assert_eq!(fixture.send(Method::PATCH, path, token, body).await.status(), status);
    }
    let refused = fixture.events(Filter::new().target("order/1").event_type("order.changed")).await?;
    let lines: Vec<_> = refused.iter().map(line).collect();
    let expected = ["bob order.changed 403", "- order.changed 401", "alice order.changed 413"];
    assert_eq!(lines, expected.map(|line| (line.to_owned(), Value::Null)));
    let order = to_bytes(fixture.send(Method::GET, "/api/v1/orders/1", &alice, "").await.into_body(), 4096).await?;
    assert_eq!(serde_json::from_slice::<Value>(&order)?["status"], "open");
    Ok(())
}

#[tokio::test]
async fn sign_ins_are_recorded_whatever_becomes_of_them() -> Tested {
    let fixture = Fixture::new().await?;
    let token = fixture.sign_in("alice").await?;
    fixture.send(Method::POST, "/login", "", r#"{"name":"mallory","password":"guess"}"#).await;
    fixture.send(Method::POST, "/login", "", "no JSON").await;
    fixture.send(Method::POST, "/logout", &token, "").await;
    let events = fixture.events(Filter::new().event_type("auth")).await?;
    let action = |event: &AuditEvent| event.classification.action.as_deref().unwrap_or("-").to_owned();
    let lines: Vec<_> = events.iter().map(|event| format!("{} {}", line(event).0, action(event))).collect();
    assert_eq!(lines, ["alice auth 200 login", "mallory auth 401 failure", "- auth 400 -", "alice auth 200 logout"]);
    assert!(events.iter().all(|event| !serde_json::to_string(event).is_ok_and(|json| json.contains("guess"))));
    Ok(())
}

#[tokio::test]
async fn a_photo_is_a_change_of_its_order() -> Tested {
    let fixture = Fixture::new().await?;
    let alice = fixture.sign_in("alice").await?;
    fixture.send(Method::POST, "/api/v1/orders", &alice, "book").await;
    let form = "--x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\r\nJPEG\r\n--x--\r\n";
    let request = Request::put("/api/v1/orders/1/photo").header("content-type", "multipart/form-data; boundary=x");
    let request = request.header("authorization", format!("Bearer {alice}")).body(Body::from(form))?;
    assert_eq!(fixture.app.clone().oneshot(request).await?.status(), StatusCode::NO_CONTENT);
    let events = fixture.events(Filter::new().target("order/1").event_type("order.changed")).await?;
    assert_eq!((events.len(), &events[0].details), (1, json!({"file": "a.jpg", "bytes": 4}).as_object().ok_or("")?));
    Ok(())
}

#[tokio::test]
async fn a_feed_is_recorded_when_it_ends() -> Tested {
    let fixture = Fixture::new().await?;
    let alice = fixture.sign_in("alice").await?;
    let feed = fixture.send(Method::GET, "/api/v1/feed", &alice, "").await;
    assert!(fixture.events(Filter::new().event_type("order.watched")).await?.is_empty());
    drop(feed);
    // The client has gone, so nobody waits for the event.
    let ended = async {
        loop {
            match &fixture.events(Filter::new().event_type("order.watched")).await?[..] {
                [] => tokio::task::yield_now().await,
                [event] => return Ok::<_, Box<dyn Error>>(event.details["body_end"].clone()),
                events => return Err(format!("{events:?}").into()),
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), ended).await??, "dropped");
    Ok(())
}

#[tokio::test]
async fn users_read_their_own_events_in_the_api_and_the_viewer() -> Tested {
    let fixture = Fixture::new().await?;
    let (alice, bob) = (fixture.sign_in("alice").await?, fixture.sign_in("bob").await?);
    fixture.send(Method::POST, "/api/v1/orders", &alice, "book").await;
    for (token, count) in [(&alice, 1), (&bob, 0)] {
        let events = fixture.send(Method::GET, "/audit/?target=order/1", token, "").await;
        let events: Vec<Value> = serde_json::from_slice(&to_bytes(events.into_body(), 1 << 20).await?)?;
        assert_eq!(events.len(), count);
        let page = fixture.send(Method::GET, "/audit/ui/", token, "").await;
        assert_eq!(page.status(), StatusCode::OK);
    }
    assert_eq!(fixture.send(Method::GET, "/audit/", "", "").await.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[cfg(feature = "route-coverage")]
#[tokio::test]
async fn no_route_that_changes_something_was_forgotten() -> Tested {
    assert_all_mutations_audited(&Fixture::new().await?.app).await;
    Ok(())
}

/// The upgrade is recorded before the client has its 101; the conversation itself is no request.
#[tokio::test]
async fn a_conversation_is_recorded_before_it_begins() -> Tested {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

    let fixture = Fixture::new().await?;
    let alice = fixture.sign_in("alice").await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = fixture.app.clone().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, server).await });
    let mut request = format!("ws://{address}/api/v1/chat").into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {alice}").parse()?);
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await?;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let watched = fixture.events(Filter::new().event_type("order.watched")).await?;
    let lines: Vec<_> = watched.iter().map(|event| (line(event).0, event.resource.route.as_deref())).collect();
    assert_eq!(lines, [("alice order.watched 101".to_owned(), Some("/api/v1/chat"))]);
    socket.send("hello".into()).await?;
    assert_eq!(socket.next().await.ok_or("an answer")??.to_text()?, "hello");
    socket.close(None).await?;
    server.abort();
    Ok(())
}
