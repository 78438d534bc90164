//! An alert on what has just been recorded: five denied logins from one address within a minute.
//!
//! `cargo run --example alert`, then the command that it prints.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::http::StatusCode;
use axum::{Router, routing};
use tower_audit::writer::{Delivery, Subscription};
use tower_audit::{AuditContext, AuditEvent, AuditLayer, AuditLog, AuditPolicy, EventType};

const DENIED: usize = 5;
/// A minute in microseconds.
const WINDOW: i64 = 60_000_000;
/// Addresses are the clients' to choose: without a limit they would fill the memory.
const MAX_ADDRESSES: usize = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = AuditLog::open("sqlite:audit.db").await?;
    let alerts = tokio::spawn(watch(log.subscribe())); // 1: before the first request

    let app =
        Router::new().route("/login", routing::post(login)).layer(AuditLayer::new(&log, AuditPolicy::mutations()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("{COMMANDS}");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    log.close().await?;
    alerts.await?; // 3: it ends with the log
    Ok(())
}

async fn login(audit: AuditContext, password: String) -> StatusCode {
    audit.event_type(EventType::AUTH);
    if password == "correct horse battery staple" { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
}

/// 2: reads events after they are durable. A server that is too fast for it is never slowed down.
async fn watch(mut events: Subscription) {
    let mut denied = DeniedLogins::default();
    while let Some(delivery) = events.recv().await {
        match delivery {
            Delivery::Event(event) => {
                if let Some(address) = denied.note(&event) {
                    println!("ALERT: {DENIED} denied logins from {address} within a minute");
                }
            }
            Delivery::Missed(events) => println!("too slow: {events} events were not looked at; the log has them"),
        }
    }
}

/// The times of denied logins by address, in microseconds.
#[derive(Default)]
struct DeniedLogins(HashMap<String, Vec<i64>>);

impl DeniedLogins {
    /// Returns the address if this event is its fifth denied login within the window.
    fn note(&mut self, event: &AuditEvent) -> Option<String> {
        let is_denied = event.event_type == EventType::AUTH && matches!(event.outcome, Some(401 | 403));
        let address = event.actor.remote_addr.as_deref().filter(|_| is_denied)?;
        let now = event.created_at.as_micros();
        let begin = now - WINDOW;
        if self.0.len() >= MAX_ADDRESSES {
            self.0.retain(|_, times| times.last().is_some_and(|last| *last > begin));
        }
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(address) {
            return None;
        }
        let times = self.0.entry(address.to_owned()).or_default();
        times.retain(|time| *time > begin);
        times.push(now);
        (times.len() == DENIED).then(|| {
            times.clear();
            address.to_owned()
        })
    }
}

const COMMANDS: &str = "\
listening on http://127.0.0.1:3000, recording into audit.db; try

  for n in 1 2 3 4 5; do curl -X POST -d guess http://127.0.0.1:3000/login; done
";

#[cfg(test)]
use tower_audit::Timestamp;

#[test]
fn the_fifth_denied_login_of_an_address_alerts() {
    let mut denied = DeniedLogins::default();
    let mut event = AuditEvent::new(EventType::AUTH);
    event.outcome = Some(401);
    let mut note = |address: &str, event: &mut AuditEvent| {
        event.actor.remote_addr = Some(address.into());
        denied.note(event)
    };
    for _ in 1..DENIED {
        assert_eq!(note("192.0.2.7", &mut event), None);
        assert_eq!(note("192.0.2.8", &mut event), None);
    }
    assert_eq!(note("192.0.2.7", &mut event).as_deref(), Some("192.0.2.7"));
    event.created_at = Timestamp::from_micros(event.created_at.as_micros() + 2 * WINDOW).expect("a time");
    assert_eq!(note("192.0.2.8", &mut event), None, "the others are too long ago");
}
