//! The store: the connections, and the writer's lease.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::append;
use super::config::Config;
use super::connection::{Connection, within};
use super::diagnostics;
use super::error::{NAME, config, permanent};
use super::health::{self, HEALTH};
use super::schema::{self, Survey};
use super::writer_lease::WriterLease;
use crate::event::AuditEvent;
use crate::log_lines::log_line;
use crate::store::{
    AuditStore, Capabilities, Diagnostic, Durability, OpenOptions, Parts, StoreError, StoreErrorKind, StoreFuture,
};

/// Events in one collection of a MongoDB replica set; see the documentation of the module.
///
/// # Cancel safety
/// A future of this store can be dropped. Its connection is closed then, and the server may still do what it was told. An
/// append that was dropped may be kept or not; appending it again is right in both cases.
///
/// # Connections
/// At most 12 to each server for commands, whatever hangs, and one or two of the driver's own that watch it. At most 4 reads
/// run at once.
pub struct MongodbStore {
    pub(super) config: Config,
    pub(super) connection: Arc<Connection>,
    pub(super) lease: WriterLease,
}

impl MongodbStore {
    /// Opens what a URL `mongodb://…` or `mongodb+srv://…` names.
    ///
    /// With [`OpenOptions::create_if_missing`], missing collections and indexes are made, and collections that lose events by
    /// themselves are refused. Without it nothing is made or checked, and nothing is written before the first append.
    ///
    /// ```no_run
    /// use tower_audit::AuditLog;
    /// use tower_audit::store::OpenOptions;
    /// use tower_audit::store::mongodb::MongodbStore;
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let url = "mongodb://web:secret@h1,h2,h3/app?replicaSet=rs&tls=true";
    /// let store = MongodbStore::open(url, OpenOptions::default()).await?;
    /// let log = AuditLog::builder().store(store).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the URL is malformed or asks for weaker guarantees, no primary answers, the server does not let us in, the collections
    /// are missing and are not to be made, or something on them loses events, hides them or keeps them out.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let config = Config::parse(url, options).await?;
        let connection = Arc::new(Connection::new(&config)?);
        let lease = WriterLease::new(&connection, &config.names);
        let store = Self { config, connection, lease };
        let timeout = store.config.timeout.max(MIN_OPEN_TIMEOUT) * 4;
        within(timeout, OPENING, store.prepare()).await?;
        Ok(store)
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let hello = self.connection.run(OPENING, mongodb::bson::doc! {"hello": 1}).await?;
        if hello.get_i32("maxWireVersion").is_ok_and(|version| version < MIN_WIRE_VERSION) {
            return Err(config("the server is too old: expected MongoDB 4.4 or later"));
        }
        let names = &self.config.names;
        let survey = match Survey::of(&self.connection, names, OPENING).await {
            // An account that may only read events may not look at the collections either.
            Err(error) if error.kind() == StoreErrorKind::Denied && !self.config.create_if_missing => return Ok(()),
            survey => survey?,
        };
        if !self.config.create_if_missing {
            return match survey.missing.first() {
                Some(missing) if *missing == names.events => Err(permanent(OPENING).with_hint(format!(
                    "there is no collection `{missing}` in this database: let its owner run `tower-audit migrate`"
                ))),
                _ => Ok(()),
            };
        }
        self.refuse(&survey)?;
        if survey.missing.is_empty() && survey.missing_indexes.is_empty() {
            return Ok(());
        }
        match schema::create(&self.connection, names, OPENING).await {
            // An account that may append and not create: what is missing makes reading slow, and nothing else.
            Err(error) if error.kind() == StoreErrorKind::Denied && survey.missing.is_empty() => {
                let indexes = survey.missing_indexes.join(", ");
                log_line(move || {
                    tracing::warn!(
                        indexes,
                        "indexes of the audit log are missing: let its owner run `tower-audit migrate`"
                    );
                });
                Ok(())
            }
            created => created,
        }
    }

    /// Refuses what loses events, or warns if the log was told to.
    fn refuse(&self, survey: &Survey) -> Result<(), StoreError> {
        match survey.refuse(OPENING) {
            Err(error) if error.kind() == StoreErrorKind::NotDurable && self.config.durability == Durability::Warn => {
                log_line(move || {
                    tracing::warn!(error = &error as &dyn std::error::Error, "audit events may be lost");
                });
                Ok(())
            }
            refused => refused,
        }
    }
}

/// Without the URL.
impl fmt::Debug for MongodbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongodbStore").field("config", &self.config).finish_non_exhaustive()
    }
}

impl AuditStore for MongodbStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: self.config.durability == Durability::Required,
            max_parallel_appends: PARALLEL_APPENDS,
            ..Capabilities::new(NAME)
        }
    }

    fn append<'a>(&'a self, events: &'a [AuditEvent]) -> StoreFuture<'a, ()> {
        Box::pin(
            self.connection.within("append", append::append(&self.connection, &self.config.names, &self.lease, events)),
        )
    }

    fn health(&self) -> StoreFuture<'_, ()> {
        // A little less: a caller with the same timeout is given the reason, too.
        let timeout = (self.config.timeout / 20 * 19).max(MIN_HEALTH_TIMEOUT);
        Box::pin(within(timeout, HEALTH, health::check(&self.connection, &self.config)))
    }

    fn diagnose(&self) -> StoreFuture<'_, Vec<Diagnostic>> {
        Box::pin(self.connection.within("inspecting the server", diagnostics::inspect(&self.connection, &self.config)))
    }

    /// Returns false: the server keeps its indexes itself.
    fn maintain(&self) -> StoreFuture<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let left = self.connection.within("taking the writer's leave", self.lease.unregister()).await;
            self.connection.close().await;
            left
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            reader: Some(self),
            admin: Some(self),
            removal: Some(self),
            recovery: Some(self),
            erasure: Some(self),
            ..Parts::NONE
        }
    }
}

const OPENING: &str = "opening the log";
const PARALLEL_APPENDS: usize = 4;
/// The shortest timeout of a health check, which has more commands than an append.
const MIN_HEALTH_TIMEOUT: Duration = Duration::from_millis(900);
/// The shortest timeout of a step of opening: making indexes takes several.
const MIN_OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// That of MongoDB 4.4.
const MIN_WIRE_VERSION: i32 = 9;
