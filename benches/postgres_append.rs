//! Costs of an event in the PostgreSQL store: by the size of the batch and the number of writers, and against one
//! INSERT an event. `DATABASE_URL` names a server on which a schema of its own may be made and dropped.
//!
//! A plain program and not a criterion group: writers side by side are timed as a whole, and each round is printed.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tower_audit::store::{AuditStore, OpenOptions, open};
use tower_audit::{Actor, AuditEvent, EventType};

const ROUND: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 3;

fn event(n: u64) -> AuditEvent {
    let mut event = AuditEvent::new(EventType::ALL[n as usize % 4].clone());
    event.actor = Actor::user(format!("user{}@example.org", n.wrapping_mul(2_654_435_761) % 100_000));
    event.actor.remote_addr = Some(format!("192.0.2.{}", n % 250).into());
    event.resource.route = Some("/flows/cleanup".into());
    event.resource.method = Some("POST".into());
    event.outcome = Some(200);
    event.request.request_id = Some(format!("{n:032x}").into());
    event.request.request_uri = Some("/flows/cleanup".into());
    event.request.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64)".into());
    event.details.insert("result_count".into(), n.into());
    event
}

/// Events a second, of so many writers of such batches.
async fn rate(store: &Arc<dyn AuditStore>, writers: usize, batch: u64) -> f64 {
    let (begin, kept) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (store, kept) = (store.clone(), kept.clone());
            tokio::spawn(async move {
                while begin.elapsed() < ROUND {
                    let events: Vec<_> = (0..batch).map(event).collect();
                    store.append(&events).await.expect("an append succeeds");
                    kept.fetch_add(batch, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer only writes");
    }
    kept.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let Ok(url) = std::env::var("DATABASE_URL") else {
        println!("skipped: DATABASE_URL names no server");
        return Ok(());
    };
    let join = if url.contains('?') { '&' } else { '?' };
    let store = open(&format!("{url}{join}schema=tower_audit_bench"), OpenOptions::default()).await?;
    println!("{:>7} {:>7}  events/s, {ROUNDS} rounds", "writers", "batch");
    for batch in [1, 16, 64, 256, 1024] {
        for writers in [1, 2, 4] {
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                rates.push(format!("{:.0}", rate(&store, writers, batch).await));
            }
            println!("{writers:>7} {batch:>7}  {}", rates.join(" "));
        }
    }
    store.parts().admin.ok_or("the store can be emptied")?.recreate().await?;
    Ok(store.close().await?)
}
