//! Fills a store with the events of a busy year, for `benches/load.sh` and `benches/reading.sh`. Run it by
//! `cargo run --release --features postgres --example fill -- URL COUNT [DAYS]`.
//!
//! Their times are spread evenly over the 500 days before now, or so many; a robot and a hundred thousand users took
//! turns at random. COUNT is the number of requests: those of an administrator have a `started` event too, one in 20.
//! Most events have a target, half a trace.

use std::error::Error;

use tower_audit::store::OpenOptions;
use tower_audit::{Actor, AuditEvent, EventId, EventType, Phase, Target, Timestamp};

const DAY_MICROS: i64 = 86_400 * 1_000_000;
const BATCH: u64 = 256;
const USERS: u64 = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(count), days, None) = (args.next(), args.next(), args.next(), args.next()) else {
        return Err("usage: fill URL COUNT [DAYS]".into());
    };
    let count: u64 = count.parse()?;
    let span = DAY_MICROS * days.map_or(Ok(500), |days| days.parse::<i64>())?;
    let store = tower_audit::store::open(&url, OpenOptions::default()).await?;
    let first = Timestamp::now().as_micros() - span;
    let step = span / i64::try_from(count.max(1))?;
    let mut made = 0;
    while made < count {
        let until = count.min(made + BATCH);
        let events: Vec<AuditEvent> = (made..until).flat_map(|n| events_of_request(first + step * n as i64)).collect();
        store.append(&events).await?;
        while store.maintain().await? {}
        if until / 500_000 > made / 500_000 {
            eprintln!("{until} of {count} requests");
        }
        made = until;
    }
    store.close().await?;
    Ok(())
}

/// Makes the event of one request, behind its `started` event if it has one.
fn events_of_request(micros: i64) -> impl Iterator<Item = AuditEvent> {
    let mut end = event(micros);
    let start = (end.event_type == EventType::ADMIN_ACTION && end.phase == Phase::Completed).then(|| {
        let mut start = end.clone();
        (start.phase, start.outcome, start.request.duration_us) = (Phase::Started, None, None);
        (end.event_id, end.request.started_event_id) = (id_at(micros + 1), Some(start.event_id));
        start
    });
    start.into_iter().chain([end])
}

fn event(micros: i64) -> AuditEvent {
    let event_type = match fastrand::u8(0..20) {
        0 => EventType::ADMIN_ACTION,
        1..5 => EventType::AUTH,
        5 => EventType::OVERSIZE_QUERY,
        _ => EventType::UPLOAD,
    };
    let mut event = AuditEvent::new(event_type);
    event.created_at = Timestamp::from_micros(micros).unwrap_or(event.created_at);
    event.event_id = id_at(micros);
    // A robot at one place does a quarter of the work.
    if fastrand::u8(0..4) == 0 {
        event.actor = Actor::user("robot@example.org");
        event.actor.remote_addr = Some("192.0.2.1".into());
    } else {
        let user = fastrand::u64(..USERS);
        event.actor = Actor::user(format!("user-{:08x}@example.org", user.wrapping_mul(0x9e37_79b9) & 0xffff_ffff));
        event.actor.api_key_hash = Some(format!("{:064x}", u128::from(user) << 64 | 0xabcd).into());
        event.actor.remote_addr = Some(format!("10.{}.{}.{}", user >> 16 & 255, user >> 8 & 255, user & 255).into());
    }
    // One object is touched again and again, the others now and then.
    let id = if fastrand::u16(0..1000) == 0 { 7 } else { fastrand::u32(..2_000_000) };
    let (route, uri, target) = match fastrand::u8(0..10) {
        0..4 => ("/scans".to_owned(), "/scans".to_owned(), None),
        4..7 => ("/scans/{id}".to_owned(), format!("/scans/{id}"), Some(Target::new("scans", id))),
        7 => ("/flows/cleanup".to_owned(), "/flows/cleanup".to_owned(), None),
        _ => {
            let area = fastrand::u8(0..40);
            let target = Target::new(format!("area.{area}"), id);
            (format!("/areas/{area}/{{id}}"), format!("/areas/{area}/{id}"), Some(target))
        }
    };
    event.targets = target.into_iter().collect();
    event.resource.route = Some(route.into());
    event.resource.method = Some("POST".into());
    event.outcome = match fastrand::u16(0..1000) {
        // A teapot is found every ten thousandth time.
        0 if fastrand::u8(0..10) == 0 => Some(418),
        0..20 => Some(500),
        20..270 => Some(403),
        270..300 => Some(404),
        _ => Some(200),
    };
    // The process died, and another closed what it had begun.
    if fastrand::u16(0..1000) == 0 {
        (event.phase, event.outcome) = (Phase::Unknown, None);
    }
    if event.event_type == EventType::OVERSIZE_QUERY {
        event.details.insert("result_count".into(), fastrand::u32(1001..100_000).into());
        event.details.insert("max_results".into(), 1000.into());
    }
    if fastrand::bool() {
        event.request.trace_id = Some(trace_id().into());
    }
    event.request.request_id = Some(format!("{:032x}", fastrand::u128(..)).into());
    event.request.request_uri = Some(uri.into());
    event.request.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101".into());
    event.request.duration_us = Some(fastrand::u64(500..50_000));
    event
}

/// Makes the id of a trace: of one with many requests, or of another each time.
fn trace_id() -> String {
    format!("{:032x}", if fastrand::u16(0..10_000) == 0 { 7 } else { fastrand::u128(8..) })
}

/// A UUIDv7 of that time.
fn id_at(micros: i64) -> EventId {
    let millis = (micros / 1000) as u128 & 0xffff_ffff_ffff;
    let fraction = (micros % 1000) as u128 * 4096 / 1000;
    let random = u128::from(fastrand::u64(..)) >> 2;
    EventId::from_u128(millis << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)
}
