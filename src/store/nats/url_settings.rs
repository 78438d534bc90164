//! The settings in a URL.

use std::path::PathBuf;

/// The settings in a URL. Has secrets, so it has no `Debug`.
pub(super) struct UrlSettings {
    pub(super) servers: Vec<Server>,
    pub(super) is_tls: bool,
    /// True if the server expects TLS before its first line.
    pub(super) is_tls_first: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) login: Login,
    /// The beginning of the streams' names: `AUDIT` of `AUDIT-0`.
    pub(super) stream: String,
    /// The beginning of the subjects: `audit` of `audit.0`.
    pub(super) subject: String,
    pub(super) partitions: u32,
    /// The partition of this writer; by default one at random.
    pub(super) partition: Option<u32>,
    pub(super) replicas: u64,
    /// The name of the consumer that a reader is.
    pub(super) consumer: String,
    /// The JetStream domain.
    pub(super) domain: Option<String>,
    pub(super) sync: SyncEvidence,
}

/// A host and a port.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Credentials of an account.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    None,
    Token(String),
    Password {
        user: String,
        password: String,
    },
    /// A file with a JWT and a seed, as `nsc` writes it.
    Credentials(PathBuf),
    /// A file with the seed of an nkey.
    Nkey(PathBuf),
}

/// The evidence that each peer of the stream syncs each write.
pub(super) enum SyncEvidence {
    /// There is none.
    Missing,
    /// The answers of the servers to an account of the system.
    System(Login),
    /// The monitoring ports of the servers.
    MonitoringPort(Vec<MonitoringPort>),
    /// The word of the operator.
    Declared,
}

/// A monitoring port, and the path before `/varz`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct MonitoringPort {
    pub(super) server: Server,
    pub(super) path: String,
}

impl UrlSettings {
    pub(super) fn stream_name(&self, partition: u32) -> String {
        format!("{}-{partition}", self.stream)
    }

    pub(super) fn subject_name(&self, partition: u32) -> String {
        format!("{}.{partition}", self.subject)
    }

    /// The subject of a request to JetStream's API.
    pub(super) fn api(&self, call: &str) -> String {
        match &self.domain {
            Some(domain) => format!("$JS.{domain}.API.{call}"),
            None => format!("$JS.API.{call}"),
        }
    }
}

impl Server {
    /// The address as a URL has it.
    pub(super) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(super) fn is_local(&self) -> bool {
        let address: Option<std::net::IpAddr> = self.host.parse().ok();
        self.host == "localhost" || address.is_some_and(|address| address.is_loopback())
    }
}
