//! Inspections of the stream and of its servers: may an acknowledged event be lost?

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::api::{self, STREAM_NOT_FOUND};
use super::connection::Connection;
use super::error::{OPEN, error, not_durable, transient};
use super::stream::{StreamInfo, new_stream};
use super::sync::{self, SeenPeers};
use super::url_settings::{SyncEvidence, UrlSettings};
use crate::store::{StoreError, StoreErrorKind};

/// The result of an inspection.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) info: StreamInfo,
    /// The ways in which an acknowledged event may be lost.
    pub(super) weak: Vec<String>,
    /// Peers that are down.
    pub(super) absent: Vec<String>,
    pub(super) peers: usize,
}

/// The stream of a partition, and what the inspections remember of its servers.
pub(super) struct Inspector {
    pub(super) stream: String,
    pub(super) subject: String,
    partition: u32,
    seen: Mutex<SeenPeers>,
}

impl Inspector {
    pub(super) fn new(settings: &UrlSettings, partition: u32) -> Self {
        Self {
            stream: settings.stream_name(partition),
            subject: settings.subject_name(partition),
            partition,
            seen: Mutex::default(),
        }
    }

    /// Creates the stream, if it is missing. Another writer may do so at the same time: that is no error.
    ///
    /// A cluster that has just started has no leader yet, so this is tried until the deadline.
    pub(super) async fn create(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
        create_if_missing: bool,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let failure = match self.info(settings, connection, deadline).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is(STREAM_NOT_FOUND) => failure,
            Err(failure) => return Err(failure.during(OPEN)),
        };
        if !create_if_missing {
            return Err(failure.during(OPEN));
        }
        let subject = settings.api(&format!("STREAM.CREATE.{}", self.stream));
        let config = new_stream(settings, self.partition).to_string();
        let created: Result<Created, _> = api::call(connection, &subject, config, within(deadline)).await;
        match created {
            Ok(_) => Ok(()),
            Err(failure) => match self.info(settings, connection, deadline).await {
                Ok(_) => Ok(()),
                Err(_) => Err(failure.during(OPEN)),
            },
        }
    }

    /// Inspects the stream and the servers that have a copy of it.
    pub(super) async fn inspect(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Inspection, StoreError> {
        let info = self.info(settings, connection, deadline).await.map_err(|failure| failure.during(operation))?;
        let differences = info.config.differences(&self.subject);
        if !differences.unusable.is_empty() {
            let hint = format!("stream {:?} takes no events: {}", self.stream, differences.unusable.join("; "));
            return Err(error(StoreErrorKind::Config, operation, hint));
        }
        let mut weak = Vec::new();
        if !differences.weak.is_empty() {
            weak.push(format!(
                "stream {:?} may lose events: {}. Change it, or set `stream` and `subject` to other names",
                self.stream,
                differences.weak.join("; ")
            ));
        }
        let peers = info.cluster.as_ref().map(super::stream::Cluster::peers).unwrap_or_default();
        let mut absent: Vec<_> = peers.iter().filter(|peer| peer.is_gone).map(|peer| peer.name.clone()).collect();
        if !peers.is_empty() && peers.len() - absent.len() < peers.len() / 2 + 1 {
            // It is cut off, or most of them are down: it acknowledges nothing. Another server may know of another leader.
            connection.give_up();
            let hint =
                format!("the leader of stream {:?} does not hear of its peers {}", self.stream, absent.join(", "));
            return Err(transient(operation, hint));
        }
        if matches!(settings.sync, SyncEvidence::Missing) {
            weak.push(NO_EVIDENCE.to_owned());
        } else if !matches!(settings.sync, SyncEvidence::Declared) && !peers.is_empty() {
            let answers = sync::ask(settings, &peers, deadline).await;
            let judgement = self.seen.lock().unwrap_or_else(PoisonError::into_inner).judge(&peers, &answers);
            weak.extend(judgement.weak);
            absent = judgement.absent;
        } else if peers.is_empty() && info.cluster.is_some() {
            return Err(transient(operation, format!("stream {:?} has no leader", self.stream)));
        }
        Ok(Inspection { info, weak, absent, peers: peers.len() })
    }

    async fn info(
        &self,
        settings: &UrlSettings,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<StreamInfo, api::Failure> {
        let subject = settings.api(&format!("STREAM.INFO.{}", self.stream));
        api::ask(connection, &subject, "", within(deadline)).await
    }
}

impl Inspection {
    /// Returns an error if an acknowledged event may be lost.
    pub(super) fn check_durable(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.weak.is_empty() { Ok(()) } else { Err(not_durable(operation, &self.weak)) }
    }

    /// Returns an error if the stream has no room for a further message.
    pub(super) fn check_room(&self, operation: &'static str) -> Result<(), StoreError> {
        let (config, state) = (&self.info.config, &self.info.state);
        let is_full = |limit: i64, used: u64| u64::try_from(limit).is_ok_and(|limit| limit > 0 && used >= limit);
        if is_full(config.max_bytes, state.bytes) || is_full(config.max_msgs, state.messages) {
            return Err(transient(operation, "the stream is full: raise its `max_bytes` or `max_msgs`"));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Created {}

/// The deadline of one request: a leader that has just died does not answer, and the next one may.
fn within(deadline: Instant) -> Instant {
    deadline.min(Instant::now() + REQUEST_TIMEOUT)
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

const NO_EVIDENCE: &str = "the servers' `sync_interval` is not known, and by default they acknowledge a message two minutes before they \
                           sync it: give a login of the system account (`system_credentials_file`, `system_nkey_file`, or `system_user` and \
                           `system_password`), or `monitor=http://HOST:8222,…` with each server, or `sync=declared` if it is `always` on each";
