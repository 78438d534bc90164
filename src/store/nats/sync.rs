//! The evidence that each peer of a stream syncs each write: `sync_interval: always`.
//!
//! A server of version 2.15.1 says in `/varz`, and in its answer to `$SYS.REQ.SERVER.PING.VARZ`:
//!
//! | setting | `jetstream.config` |
//! |---|---|
//! | `sync_interval: always` | `"sync_interval": 120000000000, "sync_always": true` |
//! | `sync_interval: "10s"` | `"sync_interval": 10000000000`, and no `sync_always` |
//! | none | `"sync_interval": 120000000000`, and no `sync_always` |
//!
//! So `sync_interval` tells nothing of `always`. Servers before 2.10 have no such setting.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::Instant;

use super::connection::Unanswered;
use super::connections::connect;
use super::monitoring_port::varz;
use super::stream::Peer;
use super::url_settings::{Login, MonitoringPort, SyncEvidence, UrlSettings};
use crate::random::random;

/// The servers that were seen to sync each write, with the time.
#[derive(Debug, Default)]
pub(super) struct SeenPeers(HashMap<String, Instant>);

/// A judgement of the peers of a stream.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// Peers that do not sync each write, or were not seen to.
    pub(super) weak: Vec<String>,
    /// Peers that are down: they are looked at when they are back.
    pub(super) absent: Vec<String>,
}

/// The answers of the servers by their names, and the reason why some are missing.
#[derive(Debug, Default)]
pub(super) struct Answers {
    servers: HashMap<String, ServerReport>,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Ping {
    data: ServerReport,
}

/// The part of `/varz` that tells of syncs.
#[derive(Debug, Deserialize)]
struct ServerReport {
    server_name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JetStream {
    config: JetStreamConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JetStreamConfig {
    sync_always: bool,
    /// In nanoseconds.
    sync_interval: Option<u64>,
}

/// Asks the servers.
pub(super) async fn ask(settings: &UrlSettings, peers: &[Peer], deadline: Instant) -> Answers {
    match &settings.sync {
        SyncEvidence::System(login) => ask_system(settings, login, peers, deadline).await,
        SyncEvidence::MonitoringPort(monitors) => ask_monitors(monitors, deadline).await,
        SyncEvidence::Missing | SyncEvidence::Declared => Answers::default(),
    }
}

async fn ask_system(settings: &UrlSettings, login: &Login, peers: &[Peer], deadline: Instant) -> Answers {
    let mut answers = Answers::default();
    let connected = connect(settings, login, (random() >> 32) as usize, deadline).await;
    let (connection, _) = match connected {
        Ok(connected) => connected,
        Err(failure) => {
            answers.problem = Some(format!("as the system account: {}", failure.hint));
            return answers;
        }
    };
    let mut missing: Vec<_> = peers.iter().filter(|peer| !peer.is_gone).map(|peer| peer.name.as_str()).collect();
    let within = deadline.saturating_duration_since(Instant::now()).min(ANSWER_TIMEOUT);
    let gathered = connection
        .gather(PING, within, |message| {
            if let Ok(ping) = serde_json::from_slice::<Ping>(&message.payload) {
                missing.retain(|name| *name != ping.data.server_name);
                answers.servers.insert(ping.data.server_name.clone(), ping.data);
            }
            !missing.is_empty()
        })
        .await;
    answers.problem = match gathered {
        Ok(()) => None,
        Err(Unanswered::NoResponders) => Some("the login is none of the system account".into()),
        Err(Unanswered::TimedOut) => Some(format!("no answer within {} ms", within.as_millis())),
        Err(_) => Some("the connection of the system account was lost".into()),
    };
    answers
}

async fn ask_monitors(monitors: &[MonitoringPort], deadline: Instant) -> Answers {
    let within = deadline.saturating_duration_since(Instant::now()).min(ANSWER_TIMEOUT);
    let mut answers = Answers::default();
    for (number, answer) in join_all(monitors.iter().map(|monitor| varz(monitor, within))).await.into_iter().enumerate()
    {
        let read = answer.and_then(|body| Ok(serde_json::from_slice::<ServerReport>(&body)?));
        match read {
            Ok(report) => {
                answers.servers.insert(report.server_name.clone(), report);
            }
            Err(error) => answers.problem = Some(format!("monitor {} of the URL: {error}", number + 1)),
        }
    }
    answers
}

impl SeenPeers {
    /// Judges the peers by the answers, and remembers those that sync each write.
    pub(super) fn judge(&mut self, peers: &[Peer], answers: &Answers) -> Judgement {
        let now = Instant::now();
        let mut judgement = Judgement::default();
        let mut syncing = 0;
        for peer in peers {
            let name = &peer.name;
            match answers.servers.get(name) {
                Some(report) if report.jetstream.config.sync_always => {
                    self.0.insert(name.clone(), now);
                    syncing += 1;
                }
                Some(report) => judgement.weak.push(report.weakness()),
                None if peer.is_gone => judgement.absent.push(name.clone()),
                // It is a peer, so it may take part in acknowledgements; its answer may be late.
                None if self.0.get(name).is_some_and(|seen| now.duration_since(*seen) < REMEMBERED) => syncing += 1,
                None => {
                    let problem = answers.problem.as_deref().unwrap_or("it is none of the servers that answered");
                    judgement.weak.push(format!("server {name:?} was not seen to sync each write: {problem}"));
                }
            }
        }
        if judgement.weak.is_empty() && syncing < peers.len() / 2 + 1 {
            judgement.weak.push(format!("only {syncing} of {} peers were seen to sync each write", peers.len()));
        }
        judgement
    }
}

impl ServerReport {
    fn weakness(&self) -> String {
        let name = &self.server_name;
        match self.jetstream.config.sync_interval {
            Some(interval) => format!(
                "server {name:?} syncs every {} s: set `sync_interval: always` in its `jetstream` block and restart it",
                Duration::from_nanos(interval).as_secs_f64()
            ),
            None => format!(
                "server {name:?} of version {} does not say how often it syncs: version 2.10 or later is needed",
                self.version
            ),
        }
    }
}

const PING: &str = "$SYS.REQ.SERVER.PING.VARZ";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which an answer counts while there is no other.
const REMEMBERED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(names: &[(&str, bool)]) -> Vec<Peer> {
        names.iter().map(|(name, is_gone)| Peer { name: (*name).into(), is_gone: *is_gone }).collect()
    }

    fn answers(of: &[(&str, &str)]) -> Answers {
        let report = |(name, config): &(&str, &str)| {
            let text =
                format!("{{\"server_name\":{name:?},\"version\":\"2.15.1\",\"jetstream\":{{\"config\":{config}}}}}");
            ((*name).to_owned(), serde_json::from_str(&text).unwrap())
        };
        Answers { servers: of.iter().map(report).collect(), problem: Some("no answer".into()) }
    }

    const ALWAYS: &str = r#"{"sync_interval":120000000000,"sync_always":true}"#;
    const DEFAULT: &str = r#"{"sync_interval":120000000000}"#;

    #[tokio::test(start_paused = true)]
    async fn every_peer_must_be_seen_to_sync_each_write() {
        let three = peers(&[("a", false), ("b", false), ("c", false)]);
        let mut seen = SeenPeers::default();
        let all = answers(&[("a", ALWAYS), ("b", ALWAYS), ("c", ALWAYS)]);
        assert!(seen.judge(&three, &all).weak.is_empty());
        let weak = seen.judge(&three, &answers(&[("a", ALWAYS), ("b", ALWAYS), ("c", DEFAULT)])).weak;
        assert!(weak.len() == 1 && weak[0].contains("\"c\" syncs every 120 s"), "{weak:?}");
        let weak = seen.judge(&three, &answers(&[("a", ALWAYS), ("b", ALWAYS), ("c", "{}")])).weak;
        assert!(weak.len() == 1 && weak[0].contains("2.10 or later"), "{weak:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_without_an_answer_counts_for_a_minute() {
        let three = peers(&[("a", false), ("b", false), ("c", false)]);
        let two = answers(&[("a", ALWAYS), ("b", ALWAYS)]);
        let mut seen = SeenPeers::default();
        let weak = seen.judge(&three, &two).weak;
        assert!(weak.len() == 1 && weak[0].contains("\"c\" was not seen"), "{weak:?}");
        seen.judge(&three, &answers(&[("c", ALWAYS)]));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(seen.judge(&three, &two).weak.is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(seen.judge(&three, &two).weak.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_down_is_absent_while_a_majority_is_seen() {
        let mut seen = SeenPeers::default();
        let one_gone = peers(&[("a", false), ("b", false), ("c", true)]);
        let judgement = seen.judge(&one_gone, &answers(&[("a", ALWAYS), ("b", ALWAYS)]));
        assert!(judgement.weak.is_empty() && judgement.absent == ["c"], "{judgement:?}");
        let two_gone = peers(&[("a", false), ("b", true), ("c", true)]);
        let weak = seen.judge(&two_gone, &answers(&[("a", ALWAYS)])).weak;
        assert!(weak.len() == 1 && weak[0].contains("only 1 of 3"), "{weak:?}");
    }
}
