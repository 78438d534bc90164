//! Values that attackers choose, in the question and in the events.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::api::support::{ALICE, ROOT, app, ask, event, events, spy};

#[tokio::test]
async fn nonsense_is_refused_and_never_ignored() {
    let spy = spy(&events(3)).await;
    let app = app(spy.clone());
    let long = "a".repeat(60_000);
    let values = ["%ff", "%00", "a%00", "%c0%af", "%ed%a0%80", "%", "%4", "%zz", &long];
    for name in [
        "event_type",
        "user_email",
        "since",
        "until",
        "outcome",
        "route",
        "remote_addr",
        "phase",
        "limit",
        "skip",
        "cursor",
        "unknown",
    ] {
        for value in values {
            let answer = ask(&app, ROOT, &format!("/audit/?{name}={value}")).await;
            answer.assert_problem(400);
            assert!(answer.body.len() < 1000, "the answer repeats what was sent");
        }
    }
    for value in values {
        ask(&app, ROOT, &format!("/audit/export?format={value}")).await.assert_problem(400);
        ask(&app, ROOT, &format!("/audit/?{value}=1")).await.assert_problem(400);
    }
    for id in ["%ff", "%00", "a%00", &long, "00000000000000000000000000000001%00", "%F0%9F%92%A3", "..", "-"] {
        ask(&app, ROOT, &format!("/audit/{id}")).await.assert_problem(400);
    }
    assert!(spy.reads().is_empty());
}

#[tokio::test]
async fn what_is_repeated_in_an_answer_is_harmless() {
    let app = app(spy(&[]).await);
    // An escape sequence, a bidirectional override, two Hangul fillers that look like blanks.
    for hostile in ["%3Cscript%3E%1b%5B2J%E2%80%AE=1", "phase=%E1%85%9F%E3%85%A4", "outcome=%E2%80%8B4"] {
        let answer = ask(&app, ROOT, &format!("/audit/?{hostile}")).await;
        answer.assert_problem(400);
        assert!(!answer.text().contains(tower_audit::export::is_unsafe_to_display), "{answer:?}");
    }
    let answer = ask(&app, ROOT, "/audit/?%1b=1").await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn a_megabyte_is_refused_by_the_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(spy(&events(3)).await);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /audit/?route={} HTTP/1.1\r\nhost: x\r\nx-caller: {ROOT}\r\n\r\n", "a".repeat(1 << 20));
    // The server need not read all of it before it refuses.
    let _ = client.write_all(request.as_bytes()).await;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    serving.abort();
}

#[tokio::test]
async fn hostile_events_come_out_as_they_are_and_safe() {
    let hostile = "\"<script>alert(1)</script>\u{1b}[2J\u{202e}\u{2028}\r\n";
    let mut evil = event(1, Some(ALICE), hostile);
    evil.request.user_agent = Some("=cmd|' /C calc'!A0".into());
    evil.truncate_to_limits();
    let app = app(spy(std::slice::from_ref(&evil)).await);
    for route in ["", "export?format=json"] {
        let answer = ask(&app, ALICE, &format!("/audit/{route}")).await;
        assert_eq!(answer.events(), [evil.clone()]);
        assert!(!answer.text().contains(['\u{1b}', '\u{202e}', '\u{2028}', '\r']), "{route}");
    }
    let lines = ask(&app, ALICE, "/audit/export").await;
    assert_eq!(lines.text().lines().count(), 1);
    let csv = ask(&app, ALICE, "/audit/export?format=csv").await;
    assert!(csv.text().contains(",'=cmd|' /C calc'!A0,"), "{csv:?}");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    // A shown value can be used as a filter.
    let query: String = hostile.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(ask(&app, ALICE, &format!("/audit/count?route={query}")).await.text(), "1\n");
}
