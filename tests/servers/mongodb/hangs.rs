//! During a hang of the server, each request is answered in time, connections and memory stay bounded, and service
//! returns when the hang is over.

use std::time::{Duration, Instant};

use tower_audit::AuditLog;
use tower_audit::query::{Filter, PageQuery};

use crate::cluster::eventually;
use crate::mongodb_server::MongodbServer;
use crate::postgres::support::{all, event, ok, open, open_with_timeout, started};

const DEADLINE: Duration = Duration::from_secs(1);
/// The slack of a request beyond the deadline, on a busy machine.
const BEYOND: Duration = Duration::from_millis(500);
const CLIENTS: u64 = 8;
const ROUNDS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_costs_no_more_than_the_deadline() {
    let server = MongodbServer::start(&[]);
    let url = server.new_url();
    let log = AuditLog::builder().url(&url).write_timeout(DEADLINE).open().await.expect("the log opens");
    log.record(started(0)).await.expect("the server answers");
    server.hang();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let event = if client % 2 == 0 { event(client) } else { started(client) };
                    let begin = Instant::now();
                    assert!(log.record(event).await.is_err(), "nobody has stored it");
                    assert!(begin.elapsed() < DEADLINE + BEYOND, "answered after {:?}", begin.elapsed());
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("each is answered in time");
    }
    let begin = Instant::now();
    assert!(log.health().await.is_err());
    assert!(begin.elapsed() < DEADLINE + BEYOND, "{:?}", begin.elapsed());
    let connections = connections_to(server.port());
    assert!(connections <= 24, "{connections} connections");
    server.wake();
    eventually("service is back", async || log.record(event(99)).await.is_ok()).await;
    eventually("the log is healthy", async || log.health().await.is_ok()).await;
    log.close().await.expect("the log closes");
}

/// Counts the connections of this process to a port, those that are being opened included. The server is on this machine, so
/// each has two ends in the list.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the list of connections");
    let remote = format!("0100007F:{port:04X}");
    let states = ["01", "02"];
    table
        .lines()
        .skip(1)
        .filter(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.get(2) == Some(&remote.as_str()) && states.contains(fields.get(3).unwrap_or(&""))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_a_server_that_is_stopped_can_be_given_up() {
    let server = MongodbServer::start(&[]);
    let store = open_with_timeout(&server.new_url(), DEADLINE).await;
    ok(store.append(&[event(1)]).await);
    server.hang();
    let reader = store.parts().reader.expect("it is read");
    let query = PageQuery::new(Filter::default(), 10);
    for _ in 0..20 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), reader.query(&query)).await;
        assert!(!matches!(given_up, Ok(Ok(_))), "the server does not answer");
    }
    server.wake();
    // The places of the readers are free.
    eventually("reading works", async || reader.query(&query).await.is_ok_and(|page| page.len() == 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_noticed_at_once() {
    let server = MongodbServer::start(&[]);
    let url = server.new_url();
    let store = open_with_timeout(&url, Duration::from_secs(3)).await;
    ok(store.append(&[event(1)]).await);
    server.crash();
    for _ in 0..3 {
        let begin = Instant::now();
        let error = store.append(&[event(2)]).await.expect_err("nobody is there");
        assert!(error.is_transient(), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(3) + BEYOND, "{:?}", begin.elapsed());
    }
    server.resume();
    eventually("appending works", async || store.append(&[event(3)]).await.is_ok()).await;
    assert!(all(&*open(&url).await).await.len() >= 2);
}
