//! Durability of commits: settings read from the server and checked.

use std::collections::HashMap;
use std::fmt;

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::error::{DuringOperation as _, NAME, config};
use super::identifiers::{Identifiers, SEAL_TABLES};
use super::schema;
use super::session::marks;
use crate::log_lines::log_line;
use crate::store::{Durability, StoreError, StoreErrorKind};

/// Settings of the server, and the engines of the log's tables.
#[derive(Debug, Clone, Default)]
pub(super) struct DurabilitySettings {
    variables: HashMap<String, String>,
    /// Tables of the log that are not InnoDB's, with their engines.
    other_engines: Vec<(String, String)>,
}

impl DurabilitySettings {
    pub(super) async fn ask(
        db: &mut MySqlConnection,
        names: &Identifiers,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let tables: Vec<&str> = schema::ALL.into_iter().chain(SEAL_TABLES).collect();
        let sql = format!(
            "SELECT CAST(TABLE_NAME AS CHAR), CAST(COALESCE(ENGINE, 'none') AS CHAR) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ({}) AND COALESCE(ENGINE, 'none') <> 'InnoDB'",
            marks(tables.len())
        );
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(names.database());
        let query = tables.iter().fold(query, |query, suffix| query.bind(names.unquoted(suffix)));
        let other_engines = query.fetch_all(&mut *db).await.during(doing)?;
        Ok(Self { other_engines, ..Self::ask_server(db, doing).await? })
    }

    /// The settings of the server alone.
    pub(super) async fn ask_server(db: &mut MySqlConnection, doing: &'static str) -> Result<Self, StoreError> {
        let variables: Vec<(String, String)> =
            sqlx::query_as(SHOW_VARIABLES).fetch_all(&mut *db).await.during(doing)?;
        let redo: Vec<(String, String)> =
            sqlx::query_as("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'").fetch_all(db).await.during(doing)?;
        let all = variables.into_iter().chain(redo);
        let variables = all.map(|(name, value)| (name.to_ascii_lowercase(), value.to_ascii_lowercase())).collect();
        Ok(Self { variables, other_engines: Vec::new() })
    }

    fn value(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.value(name), "on" | "1" | "yes")
    }

    /// Checks the server and this session. With [`Durability::Warn`], a commit that is not durable is a warning.
    pub(super) fn check(&self, durability: Durability, doing: &'static str) -> Result<(), StoreError> {
        self.check_usable()?;
        match self.check_durable(doing) {
            Err(weakness) if durability == Durability::Warn => {
                log_line(move || {
                    tracing::warn!(error = &weakness as &dyn std::error::Error, "audit events may be lost");
                });
                Ok(())
            }
            judged => judged,
        }
    }

    /// An error if the log cannot be kept on such a server, whatever its commits mean.
    pub(super) fn check_usable(&self) -> Result<(), StoreError> {
        if self.is_on("wsrep_on") {
            return Err(config(
                "the server is a node of a Galera cluster: named locks and commits of one node are not those of another; \
                 use a single primary with replicas",
            ));
        }
        if self.is_on("log_bin") && self.value("binlog_format") == "statement" {
            return Err(config(
                "the server has binlog_format=STATEMENT, which the log cannot use: set it to ROW or MIXED",
            ));
        }
        Ok(())
    }

    /// Returns an error that names the setting, if a commit is not durable.
    pub(super) fn check_durable(&self, doing: &'static str) -> Result<(), StoreError> {
        let flush = self.value("innodb_flush_log_at_trx_commit");
        let method = self.value("innodb_flush_method");
        let remedy = if !matches!(flush, "1" | "3") {
            format!(
                "innodb_flush_log_at_trx_commit is {flush}, so a crash of the server or its machine loses events: set it to 1"
            )
        } else if self.is_on("log_bin") && self.value("sync_binlog") != "1" {
            format!(
                "the server has a binary log and sync_binlog={}, so after a crash of its machine events may be on the \
                 primary and not on a replica, or the other way round: set it to 1",
                self.value("sync_binlog")
            )
        } else if matches!(self.value("innodb_doublewrite"), "off" | "0" | "detect_only") {
            "innodb_doublewrite is off, so a crash of the machine can damage pages with events: turn it on".to_owned()
        } else if matches!(method, "nosync" | "littlesync") {
            format!("innodb_flush_method is {method}, which does not sync: set it to O_DIRECT or fsync")
        } else if self.value("innodb_redo_log_enabled") == "off" {
            "the redo log is disabled, so a crash of the server loses events: ALTER INSTANCE ENABLE INNODB REDO_LOG"
                .to_owned()
        } else if !matches!(self.value("innodb_force_recovery"), "" | "0") {
            "innodb_force_recovery is set, so the server is in the middle of a repair: finish it and set it to 0"
                .to_owned()
        } else if let Some((table, engine)) = self.other_engines.first() {
            format!("the table {table} has the engine {engine}, which is not durable: ALTER TABLE … ENGINE=InnoDB")
        } else {
            return Ok(());
        };
        Err(StoreError::new(StoreErrorKind::NotDurable, NAME, doing).with_hint(remedy))
    }

    /// Returns true if a commit waits for a replica.
    pub(super) fn has_replicas(&self) -> bool {
        self.is_on("rpl_semi_sync_master_enabled") || self.is_on("rpl_semi_sync_source_enabled")
    }

    /// A setting that is not refused and may lose events all the same.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        if self.is_on("log_bin") && !self.is_on("sql_log_bin") {
            return Some("sql_log_bin is off for this account: its events reach no replica");
        }
        (self.value("innodb_flush_method") == "o_direct_no_fsync").then_some(
            "innodb_flush_method is O_DIRECT_NO_FSYNC, which depends on a file system that syncs the sizes of files",
        )
    }
}

/// The settings in one line for an operator.
impl fmt::Display for DurabilitySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "innodb_flush_log_at_trx_commit {}, ", self.value("innodb_flush_log_at_trx_commit"))?;
        match self.is_on("log_bin") {
            true => write!(f, "sync_binlog {}", self.value("sync_binlog"))?,
            false => write!(f, "no binary log")?,
        }
        if self.has_replicas() {
            write!(f, ", semi-synchronous replicas")?;
        }
        Ok(())
    }
}

const SHOW_VARIABLES: &str = "SHOW VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', \
    'binlog_format', 'sql_log_bin', 'innodb_doublewrite', 'innodb_flush_method', 'innodb_force_recovery', 'wsrep_on', \
    'rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled')";

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changes: &[(&str, &str)]) -> DurabilitySettings {
        let good =
            [("innodb_flush_log_at_trx_commit", "1"), ("log_bin", "on"), ("sync_binlog", "1"), ("sql_log_bin", "on")];
        let all = good.iter().chain(changes);
        let variables = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        DurabilitySettings { variables, other_engines: Vec::new() }
    }

    #[test]
    fn each_setting_that_loses_events_is_named() {
        settings(&[]).check_durable("health").expect("durable");
        settings(&[("log_bin", "off"), ("sync_binlog", "0")]).check_durable("health").expect("no binary log");
        for change in [
            ("innodb_flush_log_at_trx_commit", "2"),
            ("innodb_flush_log_at_trx_commit", "0"),
            ("sync_binlog", "0"),
            ("sync_binlog", "1000"),
            ("innodb_doublewrite", "off"),
            ("innodb_flush_method", "nosync"),
            ("innodb_force_recovery", "1"),
        ] {
            let error = settings(&[change]).check_durable("health").expect_err("not durable");
            assert!(error.to_string().contains(change.0), "{error}");
            assert_eq!(error.kind(), StoreErrorKind::NotDurable);
            settings(&[change]).check(Durability::Warn, "health").expect("a warning");
        }
        settings(&[("innodb_redo_log_enabled", "off")]).check_durable("health").expect_err("not durable");
        for change in [("wsrep_on", "on"), ("binlog_format", "statement")] {
            settings(&[change]).check(Durability::Warn, "health").expect_err("not usable");
        }
    }
}
