//! The configuration in a URL: the servers, and the collections of the log.

use std::fmt;
use std::time::Duration;

use mongodb::options::{ClientOptions, ReadConcern, SelectionCriteria, Tls, WriteConcern};

use super::collections::Collections;
use super::error::{NAME, config, transient, unanswered};
use super::url::{Url, malformed};
use crate::store::{Durability, OpenOptions, StoreError};

/// The configuration of a store.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) options: ClientOptions,
    pub(super) names: Collections,
    pub(super) create_if_missing: bool,
    pub(super) timeout: Duration,
    pub(super) durability: Durability,
    /// True if TLS is used and does not check the server's certificate.
    pub(super) is_unverified: bool,
}

impl Config {
    /// Reads a whole URL. One with `mongodb+srv:` asks the name service.
    pub(super) async fn parse(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let OpenOptions { create_if_missing, timeout, durability } = options;
        let Url { driver, names, is_unverified } = Url::parse(url)?;
        let is_srv = driver.starts_with("mongodb+srv:");
        let parsed = tokio::time::timeout(timeout, ClientOptions::parse(&driver)).await;
        // The driver's message may have a part of the URL in it.
        let mut options = match parsed {
            Err(_) => return Err(unanswered("opening the log")),
            Ok(Err(error)) if is_srv && matches!(*error.kind, mongodb::error::ErrorKind::DnsResolve { .. }) => {
                return Err(transient("opening the log")
                    .with_hint("the name service does not know the servers of `mongodb+srv:`"));
            }
            Ok(Err(_)) => return Err(malformed()),
            Ok(Ok(options)) => options,
        };
        if options.load_balanced == Some(true) {
            return Err(config("a load balancer in front of the servers is not supported: name the servers"));
        }
        options.app_name.get_or_insert_with(|| "tower-audit".to_owned());
        options.write_concern = Some(majority(timeout));
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
        // A repeated append is recognised by the ids; the driver's own repetition would hide how long one takes.
        options.retry_writes = Some(false);
        let wait = timeout.clamp(MIN_WAIT, MAX_WAIT);
        let shorter = |given: Option<Duration>| Some(given.map_or(wait, |given| given.clamp(MIN_WAIT, wait)));
        options.connect_timeout = shorter(options.connect_timeout);
        options.server_selection_timeout = shorter(options.server_selection_timeout);
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.max_pool_size =
            Some(options.max_pool_size.filter(|most| *most >= MIN_CONNECTIONS).unwrap_or(CONNECTIONS));
        options.max_idle_time.get_or_insert(MAX_IDLE);
        Ok(Self { options, names, create_if_missing, timeout, durability, is_unverified })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.options.tls, Some(Tls::Enabled(_)))
    }
}

/// The write concern of every write: a majority, in their journals.
fn majority(timeout: Duration) -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    concern.w_timeout = Some(write_timeout(timeout));
    concern
}

/// The time for which the server waits for a majority: a little less than the caller waits, so that it can say so.
pub(super) fn write_timeout(timeout: Duration) -> Duration {
    (timeout / 4 * 3).max(Duration::from_millis(1))
}

/// Without where the servers are and who connects.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("store", &NAME)
            .field("collection", &self.names.events)
            .field("create", &self.create_if_missing)
            .finish_non_exhaustive()
    }
}

/// The largest number of connections for commands to each server. The driver has one or two more, to watch it.
pub(super) const CONNECTIONS: u32 = 12;
/// Appends, reads and the writer's counter must not wait for each other.
const MIN_CONNECTIONS: u32 = CONNECTIONS;
const MIN_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The pause between looks at a server that answers. The driver's default is 10 s.
const HEARTBEAT: Duration = Duration::from_secs(2);
const MAX_IDLE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(url: &str) -> Result<Config, String> {
        Config::parse(url, OpenOptions::default()).await.map_err(|error| format!("{error} {error:?}"))
    }

    #[tokio::test]
    async fn every_write_waits_for_a_majority() {
        let config = parse("mongodb://h/d").await.expect("it is taken");
        let concern = config.options.write_concern.expect("there is one");
        assert_eq!((concern.w, concern.journal), (Some(mongodb::options::Acknowledgment::Majority), Some(true)));
    }

    #[tokio::test]
    async fn no_secret_is_shown() {
        let shown = format!("{:?}", parse("mongodb://alice:hunter2@h/d").await);
        assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
        for url in
            ["mongodb://alice:hunt%zzer2@h/d", "mongodb://alice:hunter2@h:hunter2/d", "mongodb://h/d?tls=hunter2"]
        {
            let shown = parse(url).await.unwrap_err();
            assert!(!shown.contains("hunt") && !shown.contains("alice"), "{shown}");
        }
    }
}
