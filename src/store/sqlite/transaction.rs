//! Write transactions.

use std::ops::{Deref, DerefMut};

use super::error::DuringOperation as _;
use super::file_identity::replaced_error;
use super::write_connection::WriteConnection;
use crate::store::StoreError;

/// A transaction that holds SQLite's write lock.
///
/// Dropped before [`commit`](Self::commit) or [`roll_back`](Self::roll_back), it marks the connection, which the store then
/// closes instead of using it again: SQLite rolls back with the close.
pub(super) struct WriteTransaction<'a, T: AsMut<WriteConnection>> {
    target: &'a mut T,
    is_over: bool,
}

impl<'a, T: AsMut<WriteConnection>> WriteTransaction<'a, T> {
    /// Takes the write lock. Waits for other writers up to half of the store's timeout.
    pub(super) async fn begin(target: &'a mut T) -> Result<Self, StoreError> {
        target.as_mut().execute_locking("BEGIN IMMEDIATE").await.during(DOING)?;
        let transaction = Self { target, is_over: false };
        // SQLite writes pages before the commit if they are many, and its commit hook is too late for them. With the lock,
        // nobody can empty a removed log and go over to another.
        if !transaction.target.as_mut().db.identity.is_in_place() {
            return Err(replaced_error());
        }
        transaction.target.as_mut().db.identity.check_frames()?;
        Ok(transaction)
    }

    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(&mut *self.target.as_mut().db).await.during(DOING)?;
        self.is_over = true;
        Ok(())
    }

    pub(super) async fn roll_back(mut self) -> Result<(), StoreError> {
        sqlx::query("ROLLBACK").execute(&mut *self.target.as_mut().db).await.during(DOING)?;
        self.is_over = true;
        Ok(())
    }
}

impl<T: AsMut<WriteConnection>> Deref for WriteTransaction<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.target
    }
}

impl<T: AsMut<WriteConnection>> DerefMut for WriteTransaction<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.target
    }
}

impl<T: AsMut<WriteConnection>> Drop for WriteTransaction<'_, T> {
    fn drop(&mut self) {
        if !self.is_over {
            self.target.as_mut().has_open_transaction = true;
        }
    }
}

const DOING: &str = "append";
