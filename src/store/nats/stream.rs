//! The stream of a partition: the configuration that it is made with, and the judgement of one that is there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::message::MIN_MESSAGE_BYTES;
use super::url_settings::UrlSettings;

/// Copies of a stream of which two sync each message before it is acknowledged.
pub(super) const MIN_REPLICAS: u64 = 3;
/// The window in which the servers recognise a message that is published again, in nanoseconds.
const DEDUP_WINDOW: u64 = 120_000_000_000;
/// A window below it may be shorter than the retries of one append, in nanoseconds.
const MIN_DEDUP_WINDOW: u64 = 30_000_000_000;

/// The configuration that a missing stream is made with.
pub(super) fn new_stream(settings: &UrlSettings, partition: u32) -> Value {
    json!({
        "name": settings.stream_name(partition),
        "subjects": [settings.subject_name(partition)],
        "description": "audit events of tower-audit",
        "retention": "limits",
        "storage": "file",
        "num_replicas": settings.replicas,
        "discard": "new",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "duplicate_window": DEDUP_WINDOW,
        "deny_delete": true,
        "deny_purge": true,
        "allow_rollup_hdrs": false,
    })
}

/// An answer about a stream.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    pub(super) state: StreamState,
    pub(super) cluster: Option<Cluster>,
    /// The time at which it was made, as the server writes it.
    #[serde(default)]
    pub(super) created: String,
}

/// A stream's configuration, as far as an event depends on it.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct StreamConfig {
    subjects: Vec<String>,
    retention: String,
    storage: String,
    num_replicas: u64,
    discard: String,
    discard_new_per_subject: bool,
    pub(super) max_bytes: i64,
    pub(super) max_msgs: i64,
    max_age: u64,
    max_msgs_per_subject: i64,
    max_msg_size: i64,
    duplicate_window: u64,
    deny_delete: bool,
    deny_purge: bool,
    allow_rollup_hdrs: bool,
    no_ack: bool,
    sealed: bool,
    persist_mode: String,
    mirror: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) last_seq: u64,
}

/// The peers of a stream, as its leader sees them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cluster {
    leader: Option<String>,
    replicas: Vec<Replica>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Replica {
    name: String,
    offline: bool,
    /// False for a copy that lacks messages.
    current: bool,
    /// The number of operations that the copy lacks.
    lag: u64,
    /// The time since the leader has heard of it, in nanoseconds.
    active: u64,
}

/// A server that holds a copy of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    /// True if the leader does not hear of it: it takes part in no acknowledgement.
    pub(super) is_gone: bool,
}

/// The operations that a copy may lack for a moment while many writers wait.
const IN_FLIGHT: u64 = 1000;

/// Heartbeats are a second apart.
const GONE_AFTER: u64 = 5_000_000_000;

/// Differences between a stream and one that keeps events.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// With them no event is taken, or not as it is.
    pub(super) unusable: Vec<String>,
    /// With them an acknowledged event may be lost.
    pub(super) weak: Vec<String>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            subjects: Vec::new(),
            retention: "limits".into(),
            storage: String::new(),
            num_replicas: 1,
            discard: "old".into(),
            discard_new_per_subject: false,
            max_bytes: -1,
            max_msgs: -1,
            max_age: 0,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            duplicate_window: 0,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            no_ack: false,
            sealed: false,
            persist_mode: String::new(),
            mirror: None,
        }
    }
}

impl StreamConfig {
    /// Compares with the configuration that events need. Each difference has the value, and the right one.
    pub(super) fn differences(&self, subject: &str) -> Differences {
        let mut found = Differences::default();
        let mut unusable = |is_so: bool, text: String| {
            if is_so {
                found.unusable.push(text);
            }
        };
        let takes_subject = self.subjects.iter().any(|pattern| matches_subject(pattern, subject));
        unusable(!takes_subject, format!("`subjects` is {:?}, without {subject:?}", self.subjects));
        unusable(self.no_ack, "`no_ack` is true: expected false".into());
        unusable(self.sealed, "`sealed` is true: the stream takes no messages any more".into());
        unusable(self.mirror.is_some(), "`mirror` is set: a mirror takes no messages".into());
        unusable(
            (0..MIN_MESSAGE_BYTES as i64).contains(&self.max_msg_size),
            format!("`max_msg_size` is {}: expected -1, or at least {MIN_MESSAGE_BYTES}", self.max_msg_size),
        );
        unusable(
            self.duplicate_window < MIN_DEDUP_WINDOW,
            format!(
                "`duplicate_window` is {} s: expected at least {} s",
                self.duplicate_window / 1_000_000_000,
                MIN_DEDUP_WINDOW / 1_000_000_000
            ),
        );

        let mut weak = |is_so: bool, text: String| {
            if is_so {
                found.weak.push(text);
            }
        };
        weak(self.storage != "file", format!("`storage` is {:?}: expected \"file\"", self.storage));
        weak(
            self.num_replicas < MIN_REPLICAS,
            format!("`num_replicas` is {}: expected at least {MIN_REPLICAS}", self.num_replicas),
        );
        weak(
            !matches!(self.persist_mode.as_str(), "" | "default"),
            format!("`persist_mode` is {:?}: expected the default", self.persist_mode),
        );
        weak(
            self.retention != "limits",
            format!("`retention` is {:?}, which deletes messages: expected \"limits\"", self.retention),
        );
        weak(self.max_age != 0, format!("`max_age` is {} s: expected 0, no limit", self.max_age / 1_000_000_000));
        weak(
            self.discard != "new",
            format!("`discard` is {:?}, which deletes messages: expected \"new\"", self.discard),
        );
        weak(
            self.max_msgs_per_subject > 0 && !self.discard_new_per_subject,
            format!(
                "`max_msgs_per_subject` is {}, which deletes messages: expected -1, or `discard_new_per_subject`",
                self.max_msgs_per_subject
            ),
        );
        weak(!self.deny_delete, "`deny_delete` is false: expected true".into());
        weak(!self.deny_purge, "`deny_purge` is false: expected true".into());
        weak(
            self.allow_rollup_hdrs,
            "`allow_rollup_hdrs` is true, so that a message may delete others: expected false".into(),
        );
        found
    }
}

impl Cluster {
    /// The peers, the leader among them; none if there is no leader.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let Some(leader) = self.leader.as_ref().filter(|name| !name.is_empty()) else { return Vec::new() };
        let leader = Peer { name: leader.clone(), is_gone: false };
        let others =
            self.replicas.iter().map(|replica| Peer { name: replica.name.clone(), is_gone: replica.is_gone() });
        std::iter::once(leader).chain(others).collect()
    }

    /// The peers that the leader hears of and whose copies lack more than what is in flight under load, each with the number of
    /// operations that it lacks.
    pub(super) fn behind(&self) -> Vec<(String, u64)> {
        let is_behind = |replica: &&Replica| !replica.is_gone() && !replica.current && replica.lag > IN_FLIGHT;
        self.replicas.iter().filter(is_behind).map(|replica| (replica.name.clone(), replica.lag)).collect()
    }
}

impl Replica {
    fn is_gone(&self) -> bool {
        self.offline || self.active > GONE_AFTER
    }
}

/// Returns true if a pattern of subjects takes the subject: `*` is one part of it, `>` is the remaining ones.
fn matches_subject(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    for token in pattern.split('.') {
        match (token, parts.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(part)) if token == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::nats::url;

    fn info(change: impl FnOnce(&mut Value)) -> StreamConfig {
        let mut config = new_stream(&url::parse("nats://n1").unwrap(), 0);
        change(&mut config);
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn a_stream_of_our_own_has_no_differences() {
        let found = info(|_| {}).differences("audit.0");
        assert!(found.unusable.is_empty() && found.weak.is_empty(), "{found:?}");
    }

    #[test]
    fn each_difference_is_named_with_its_value() {
        for (name, value, named) in [
            ("subjects", json!(["shop.>"]), "without \"audit.0\""),
            ("no_ack", json!(true), "`no_ack`"),
            ("sealed", json!(true), "`sealed`"),
            ("mirror", json!({"name": "A"}), "`mirror`"),
            ("max_msg_size", json!(1000), "`max_msg_size` is 1000"),
            ("duplicate_window", json!(1_000_000_000), "`duplicate_window` is 1 s"),
            ("storage", json!("memory"), "`storage` is \"memory\""),
            ("num_replicas", json!(1), "`num_replicas` is 1"),
            ("persist_mode", json!("async"), "`persist_mode` is \"async\""),
            ("retention", json!("workqueue"), "`retention` is \"workqueue\""),
            ("max_age", json!(3_600_000_000_000_u64), "`max_age` is 3600 s"),
            ("discard", json!("old"), "`discard` is \"old\""),
            ("max_msgs_per_subject", json!(5), "`max_msgs_per_subject` is 5"),
            ("deny_delete", json!(false), "`deny_delete`"),
            ("deny_purge", json!(false), "`deny_purge`"),
            ("allow_rollup_hdrs", json!(true), "`allow_rollup_hdrs`"),
        ] {
            let found = info(|config| config[name] = value).differences("audit.0");
            let all: Vec<_> = found.unusable.iter().chain(&found.weak).collect();
            assert!(all.len() == 1 && all[0].contains(named), "{name}: {found:?}");
        }
    }

    #[test]
    fn patterns_of_subjects() {
        for (pattern, subject, is_taken) in [
            ("audit.0", "audit.0", true),
            ("audit.*", "audit.0", true),
            ("audit.>", "audit.0", true),
            (">", "audit.0", true),
            ("audit", "audit.0", false),
            ("audit.0.>", "audit.0", false),
            ("audit.*.*", "audit.0", false),
            ("*", "audit.0", false),
        ] {
            assert_eq!(matches_subject(pattern, subject), is_taken, "{pattern}");
        }
    }

    #[test]
    fn a_peer_that_the_leader_does_not_hear_of_is_gone() {
        let cluster = json!({"leader": "a", "replicas": [
            {"name": "b", "current": true, "active": 200_000_000},
            {"name": "c", "current": true, "active": 7_000_000_000_u64},
            {"name": "d", "offline": true, "active": 0},
            {"name": "e", "current": false, "lag": 7000, "active": 0},
            {"name": "f", "current": false, "lag": 7, "active": 0},
        ]});
        let cluster = serde_json::from_value::<Cluster>(cluster).unwrap();
        let peers = cluster.peers();
        let gone: Vec<_> = peers.iter().map(|peer| (peer.name.as_str(), peer.is_gone)).collect();
        assert_eq!(gone, [("a", false), ("b", false), ("c", true), ("d", true), ("e", false), ("f", false)]);
        assert_eq!(cluster.behind(), [("e".to_owned(), 7000)]);
    }
}
