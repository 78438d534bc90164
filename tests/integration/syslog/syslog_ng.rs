//! syslog-ng, a second parser, reads every message as it was sent.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_audit::store::syslog::{Format, SyslogSettings, UnixSocket};

use super::collector::Collector;
use super::corpus::{FEW, Received, check};

/// Reads a line of syslog-ng, which has parsed structured data.
fn read(line: &Value) -> Received {
    let params = match &line["_SDATA"]["audit@32473"] {
        Value::Object(params) => {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            params.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }
        _ => BTreeMap::new(),
    };
    Received::new(line, params)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_each_kind_of_local_socket() {
    for (name, kind) in [("new", UnixSocket::Datagram), ("stream", UnixSocket::Any)] {
        let collector = Collector::syslog_ng();
        let settings = SyslogSettings::unix(collector.path(name)).socket(kind).unwrap().format(Format::Rfc5424);
        assert!(check(&collector, settings.max_bytes(150_000).unwrap(), true, read).await < FEW);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_old_format() {
    let collector = Collector::syslog_ng();
    assert!(
        check(&collector, SyslogSettings::unix(collector.path("log")).max_bytes(150_000).unwrap(), false, read).await
            < FEW
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_udp() {
    let collector = Collector::syslog_ng();
    let settings = SyslogSettings::udp("127.0.0.1", collector.udp).unwrap();
    assert!(check(&collector, settings.max_bytes(65_507).unwrap(), true, read).await < FEW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    let collector = Collector::syslog_ng();
    let settings = SyslogSettings::tcp("127.0.0.1", collector.tcp).unwrap();
    assert!(check(&collector, settings.max_bytes(200_000).unwrap(), true, read).await < FEW);
}
