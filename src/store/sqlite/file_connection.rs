//! The driver's connection, and what becomes of it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures_util::FutureExt as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::file_identity::FileIdentity;
use super::parked_connections::ParkedConnections;
use super::sqlite_version::Version;
use crate::store::{StoreError, StoreErrorKind};

/// The driver's connection and the files it has open.
///
/// Dropped, it is [abandoned](super::abandoned), or [parked](ParkedConnections) if its database is no longer at PATH. One with damaged
/// files is never closed: closing copies the log into the database, and destroys the evidence that the two still hold.
pub(super) struct FileConnection {
    pub(super) db: Option<SqliteConnection>,
    pub(super) identity: FileIdentity,
    pub(super) parking: Arc<ParkedConnections>,
    pub(super) version: Version,
    pub(super) is_suspect: bool,
}

impl FileConnection {
    /// Closes a connection that has written no event, after this error.
    pub(super) async fn close_unused(mut self, error: &StoreError) {
        self.is_suspect |= error.kind() == StoreErrorKind::Corrupt;
        if !self.is_suspect
            && self.identity.is_in_place()
            && let Some(db) = self.db.take()
        {
            let _ = db.close().await;
        }
    }
}

impl Deref for FileConnection {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.db.as_ref().expect("only `drop` takes it")
    }
}

impl DerefMut for FileConnection {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("only `drop` takes it")
    }
}

impl Drop for FileConnection {
    fn drop(&mut self) {
        let Some(mut db) = self.db.take() else { return };
        if self.is_suspect {
            std::mem::forget(db);
        } else if !self.identity.has_database() {
            self.parking.park(db, self.identity.clone());
        } else {
            // Polled once, it is in the queue of the connection's thread: a transaction holds its lock no longer than the
            // statement that is running.
            let _ = sqlx::query("ROLLBACK").execute(&mut db).now_or_never();
            self.parking.abandoned.push(db, self.identity.clone(), self.version.can_look_at_log());
        }
    }
}
