//! rsyslog reads every message as it was sent, over each transport, and is found again after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tower_audit::store::StoreErrorKind;
use tower_audit::store::syslog::{Format, Framing, SyslogSettings};
use tower_audit::{AuditEvent, AuditLog, EventType};

use super::collector::Collector;
use super::corpus::{FEW, Received, check};

/// Reads a line of rsyslog, which passes structured data on as it came.
pub(super) fn read(line: &Value) -> Received {
    let data = line["data"].as_str().expect("a text");
    Received::new(line, params(data))
}

fn params(data: &str) -> BTreeMap<String, String> {
    let mut params = BTreeMap::new();
    if data == "-" {
        return params;
    }
    let mut rest = data.strip_prefix("[audit@32473").expect("our element");
    while let Some(param) = rest.strip_prefix(' ') {
        let (name, value) = param.split_once("=\"").expect("a parameter");
        let mut read = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a value ends") {
                (at, '"') => break at,
                (_, '\\') => read.push(chars.next().expect("a character").1),
                (_, other) => read.push(other),
            }
        };
        assert!(params.insert(name.to_owned(), read).is_none(), "{name} twice");
        rest = &value[end + 1..];
    }
    assert_eq!(rest, "]", "one element: {data}");
    params
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_local_socket() {
    let collector = Collector::rsyslog();
    let settings = SyslogSettings::unix(collector.path("new")).format(Format::Rfc5424).max_bytes(150_000).unwrap();
    assert!(check(&collector, settings, true, read).await < FEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_old_format_over_a_local_socket() {
    let collector = Collector::rsyslog();
    assert!(
        check(&collector, SyslogSettings::unix(collector.path("log")).max_bytes(150_000).unwrap(), false, read).await
            < FEW
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_udp() {
    let collector = Collector::rsyslog();
    let settings = SyslogSettings::udp("127.0.0.1", collector.udp).unwrap();
    assert!(check(&collector, settings.max_bytes(65_507).unwrap(), true, read).await < FEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_old_format_over_udp() {
    let collector = Collector::rsyslog();
    let settings = SyslogSettings::udp("127.0.0.1", collector.udp).unwrap().format(Format::Rfc3164);
    assert!(check(&collector, settings.max_bytes(65_507).unwrap(), false, read).await < FEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp_with_each_framing() {
    for framing in [Framing::OctetCounting, Framing::Newline] {
        let collector = Collector::rsyslog();
        let settings = SyslogSettings::tcp("localhost", collector.tcp).unwrap().framing(framing).unwrap();
        assert!(check(&collector, settings.max_bytes(200_000).unwrap(), true, read).await < FEW);
    }
}

/// Large messages are cut by the sink, visibly, and never by the collector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_default_sizes_of_both() {
    for transport in ["local", "udp", "tcp"] {
        let collector = Collector::rsyslog_with_default_size();
        let settings = match transport {
            "local" => SyslogSettings::unix(collector.path("new")).format(Format::Rfc5424),
            "udp" => SyslogSettings::udp("127.0.0.1", collector.udp).unwrap(),
            _ => SyslogSettings::tcp("127.0.0.1", collector.tcp).unwrap(),
        };
        let cut = check(&collector, settings, true, read).await;
        assert!(cut > 5, "{transport}: {cut}");
    }
}

/// A collector that is killed is an error of the log within the deadline, and of its health. When it is back, so is the sink.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_restarted_is_found_again() {
    let mut collector = Collector::rsyslog();
    let urls = [
        format!("syslog://{}", collector.path("log").display()),
        format!("syslog+tcp://127.0.0.1:{}", collector.tcp),
        format!("syslog+udp://127.0.0.1:{}", collector.udp),
    ];
    let mut logs = Vec::new();
    for url in &urls {
        let log = AuditLog::builder().url(url).write_timeout(Duration::from_millis(500));
        logs.push(log.open().await.unwrap());
    }
    let mut sent = 0;
    for round in 0..3 {
        for (log, url) in logs.iter().zip(&urls) {
            log.record(AuditEvent::new(EventType::AUTH)).await.unwrap_or_else(|error| panic!("{round} {url}: {error}"));
            log.health().await.unwrap_or_else(|error| panic!("{round} {url}: {error}"));
            sent += 1;
        }
        collector.messages(sent);

        collector.kill();
        for (log, url) in logs.iter().zip(&urls) {
            if url.starts_with("syslog+udp") {
                // The first datagram is lost, for nothing tells of it in time.
                let _ = log.record(AuditEvent::new(EventType::AUTH)).await;
            }
            let begin = std::time::Instant::now();
            assert!(log.record(AuditEvent::new(EventType::AUTH)).await.is_err(), "{url}");
            assert!(begin.elapsed() < Duration::from_millis(1000), "{url}: {:?}", begin.elapsed());
            if !url.starts_with("syslog+udp") {
                assert_eq!(log.health().await.unwrap_err().kind(), StoreErrorKind::Transient, "{url}");
            }
        }
        collector.start();
    }
    for log in logs {
        log.close().await.unwrap();
    }
}
