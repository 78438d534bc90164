//! Commands to the server, each within a timeout.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::bson::raw::{CStr, cstr};
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongodb::{Client, Collection, Cursor};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::config::{Config, write_timeout};
use super::error::{DuringOperation as _, closed_error, from_driver, transient, unanswered};
use super::write_reply::WriteReply;
use crate::store::StoreError;

/// The connections of a store.
///
/// A command whose caller stops waiting is given up: the driver closes its connection. The server may still execute it.
pub(super) struct Connection {
    client: Client,
    database: mongodb::Database,
    timeout: Duration,
    readers: Semaphore,
    is_closed: AtomicBool,
}

/// A place among the readers, for the time of a read.
pub(super) struct Reading<'a> {
    connection: &'a Connection,
    doing: &'static str,
    _permit: SemaphorePermit<'a>,
}

/// Without the servers and the account.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects when it is first used.
    pub(super) fn new(config: &Config) -> Result<Self, StoreError> {
        let client =
            Client::with_options(config.options.clone()).map_err(|error| from_driver("opening the log", &error))?;
        let database = client.database(&config.names.database);
        let readers = Semaphore::new(MAX_READERS);
        Ok(Self { client, database, timeout: config.timeout, readers, is_closed: AtomicBool::new(false) })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    pub(super) fn check_open(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) { Err(closed_error(doing)) } else { Ok(()) }
    }

    /// Closes every connection.
    pub(super) async fn close(&self) {
        if !self.is_closed.swap(true, Ordering::AcqRel) {
            // Those that are in use are closed at once. One that does not close in time is not waited for: none is used again.
            let closing = self.client.clone().shutdown().immediate(true);
            let _ = tokio::time::timeout(self.timeout, closing).await;
        }
    }

    /// Waits for the work until the timeout of the store.
    pub(super) async fn within<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(self.timeout, doing, work).await
    }

    /// Runs a command and returns the reply.
    pub(super) async fn run(&self, doing: &'static str, command: Document) -> Result<Document, StoreError> {
        self.check_open(doing)?;
        self.within(doing, async { self.database.run_command(command).await.during(doing) }).await
    }

    /// Runs a command on the database `admin`.
    pub(super) async fn run_on_admin(&self, doing: &'static str, command: Document) -> Result<Document, StoreError> {
        self.check_open(doing)?;
        let admin = self.client.database("admin");
        self.within(doing, async { admin.run_command(command).await.during(doing) }).await
    }

    /// Runs a command that writes: a majority must acknowledge it. `list` is the name of the argument with the documents.
    pub(super) async fn write(
        &self,
        doing: &'static str,
        command: &'static CStr,
        collection: &str,
        list: &'static CStr,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<WriteReply, StoreError> {
        self.check_open(doing)?;
        let mut array = mongodb::bson::RawArrayBuf::new();
        documents.iter().for_each(|document| array.push(document.as_ref()));
        let wait = i64::try_from(write_timeout(self.timeout).as_millis()).unwrap_or(i64::MAX);
        let mut raw = RawDocumentBuf::new();
        raw.append(command, collection);
        raw.append(cstr!("ordered"), false);
        raw.append(cstr!("writeConcern"), rawdoc! {"w": "majority", "j": true, "wtimeout": wait});
        raw.append(list, array);
        let reply = self.within(doing, async { self.database.run_raw_command(raw).await.during(doing) }).await?;
        WriteReply::read(doing, &reply)
    }

    /// Changes documents: each change is a filter and an update. The reply counts the documents that matched or were made.
    pub(super) async fn update(
        &self,
        doing: &'static str,
        collection: &str,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<WriteReply, StoreError> {
        let encode = |change: Change| {
            let Change { filter, update, upsert, many } = change;
            raw(doing, &doc! {"q": filter, "u": update, "upsert": upsert, "multi": many})
        };
        let documents = changes.into_iter().map(encode).collect::<Result<_, _>>()?;
        self.write(doing, cstr!("update"), collection, cstr!("updates"), documents).await
    }

    /// Deletes the documents that match, and returns their number.
    pub(super) async fn delete(
        &self,
        doing: &'static str,
        collection: &str,
        filter: Document,
    ) -> Result<u64, StoreError> {
        let documents = vec![raw(doing, &doc! {"q": filter, "limit": 0})?];
        self.write(doing, cstr!("delete"), collection, cstr!("deletes"), documents).await?.done(doing)
    }

    /// Waits for a place among the readers.
    pub(super) async fn read(&self, doing: &'static str) -> Result<Reading<'_>, StoreError> {
        self.check_open(doing)?;
        let permit = tokio::time::timeout(self.timeout, self.readers.acquire()).await;
        let permit = permit.map_err(|_| transient(doing).with_hint("too many reads are running"))?;
        let permit = permit.map_err(|_| closed_error(doing))?;
        Ok(Reading { connection: self, doing, _permit: permit })
    }
}

impl Reading<'_> {
    /// Finds documents, all of which are returned at once: the caller bounds their number.
    pub(super) async fn find(&self, collection: &str, search: Search) -> Result<Vec<Document>, StoreError> {
        let mut cursor = self.open(collection, search).await?;
        let mut documents = Vec::new();
        while let Some(document) = self.next(&mut cursor).await? {
            documents.push(document);
        }
        Ok(documents)
    }

    /// Finds documents, to be fetched by [`next`](Self::next).
    pub(super) async fn open(&self, collection: &str, search: Search) -> Result<Cursor<Document>, StoreError> {
        let Search { filter, projection, sort, skip, limit } = search;
        let collection = self.connection.collection(collection);
        let mut find = collection.find(filter).max_time(LONGEST_READ).allow_disk_use(true);
        if let Some(projection) = projection {
            find = find.projection(projection);
        }
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        if skip > 0 {
            find = find.skip(skip);
        }
        if let Some(limit) = limit {
            find = find.limit(limit);
        }
        within(LONGEST_READ, self.doing, async { find.await.during(self.doing) }).await
    }

    pub(super) async fn next(&self, cursor: &mut Cursor<Document>) -> Result<Option<Document>, StoreError> {
        within(LONGEST_READ, self.doing, async { cursor.try_next().await.during(self.doing) }).await
    }

    pub(super) async fn aggregate(&self, collection: &str, stages: Vec<Document>) -> Result<Vec<Document>, StoreError> {
        let collection = self.connection.collection(collection);
        let aggregate = collection.aggregate(stages).max_time(LONGEST_READ).allow_disk_use(true);
        within(LONGEST_READ, self.doing, async {
            aggregate.await.during(self.doing)?.try_collect().await.during(self.doing)
        })
        .await
    }
}

/// The arguments of a search.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) filter: Document,
    pub(super) projection: Option<Document>,
    pub(super) sort: Option<Document>,
    pub(super) skip: u64,
    pub(super) limit: Option<i64>,
}

/// A change of documents.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) filter: Document,
    pub(super) update: Document,
    /// Makes the document if none matches.
    pub(super) upsert: bool,
    /// Changes every document that matches.
    pub(super) many: bool,
}

/// Waits for the work until the timeout.
pub(super) async fn within<T>(
    timeout: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(unanswered(doing)))
}

/// Encodes a document.
pub(super) fn raw(doing: &'static str, document: &Document) -> Result<RawDocumentBuf, StoreError> {
    RawDocumentBuf::try_from(document).map_err(|error| {
        super::error::permanent(doing)
            .with_hint("the event cannot be a document of BSON")
            .with_source(error.to_string())
    })
}

/// Reads run beside each other up to this number.
const MAX_READERS: usize = 4;
/// The timeout of a read, on the server too.
const LONGEST_READ: Duration = Duration::from_secs(120);
