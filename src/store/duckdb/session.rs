//! A connection to the database, on which one statement runs at a time. Every call blocks.

use adbc_core::{Connection as _, Database as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedDatabase};
use arrow_array::RecordBatch;

use super::error::{DuringOperation as _, from_driver, is_fatal, permanent};
use super::value::{Rows, Value, row_of};
use crate::store::StoreError;

/// A connection.
pub(super) struct Session {
    connection: ManagedConnection,
    /// True once DuckDB has given the database up, after a commit or a checkpoint that it could not finish.
    is_invalidated: bool,
}

impl Session {
    pub(super) fn new(database: &ManagedDatabase, doing: &'static str) -> Result<Self, StoreError> {
        let connection = database.new_connection().during(doing)?;
        Ok(Self { connection, is_invalidated: false })
    }

    /// Returns true if the database has to be closed and opened again.
    pub(super) fn is_invalidated(&self) -> bool {
        self.is_invalidated
    }

    /// Runs a statement and returns its rows.
    pub(super) fn run(&mut self, doing: &'static str, sql: &str, values: Vec<Value>) -> Result<Rows, StoreError> {
        let done = self.run_once(doing, sql, values);
        self.is_invalidated |= done.as_ref().is_err_and(is_fatal);
        done
    }

    fn run_once(&mut self, doing: &'static str, sql: &str, values: Vec<Value>) -> Result<Rows, StoreError> {
        let mut statement = self.connection.new_statement().during(doing)?;
        statement.set_sql_query(sql).during(doing)?;
        if !values.is_empty() {
            let row = row_of(values).map_err(|error| permanent(doing).with_source(error))?;
            statement.bind(row).during(doing)?;
        }
        let rows = statement.execute().during(doing)?;
        // A read that fails half-way says so in an item.
        let batches: Result<Vec<RecordBatch>, _> = rows.collect();
        batches.map(Rows::new).map_err(|error| from_driver(doing, error.into()))
    }

    /// Runs statements without values, one after the other.
    pub(super) fn run_all(&mut self, doing: &'static str, statements: &[&str]) -> Result<(), StoreError> {
        statements.iter().try_for_each(|sql| self.run(doing, sql, Vec::new()).map(drop))
    }

    /// Runs `work` in a transaction, which an error rolls back.
    pub(super) fn transaction<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(doing, "BEGIN TRANSACTION", Vec::new())?;
        let done = work(self).and_then(|done| {
            self.run(doing, "COMMIT", Vec::new())?;
            Ok(done)
        });
        if done.is_err() {
            // After a failed COMMIT there is none, which is an error, too.
            let _ = self.run(doing, "ROLLBACK", Vec::new());
        }
        done
    }

    /// Runs `work` in a transaction that is rolled back in any case.
    pub(super) fn rehearsal<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(doing, "BEGIN TRANSACTION", Vec::new())?;
        let done = work(self);
        let rolled_back = self.run(doing, "ROLLBACK", Vec::new());
        done.and_then(|done| rolled_back.map(|_| done))
    }
}
