//! Durability of commits: settings read from the server and checked.

use std::fmt;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, NAME, permanent, transient};
use super::identifiers::Identifiers;
use crate::log_lines::log_line;
use crate::store::{Durability, StoreError, StoreErrorKind};

/// Settings of the server and of the session.
#[derive(Debug, Clone)]
pub(super) struct DurabilitySettings {
    in_recovery: bool,
    read_only: bool,
    fsync: bool,
    full_page_writes: bool,
    /// The server goes on after a failed fsync, whose data may be lost.
    data_sync_retry: bool,
    /// `synchronous_commit` of the session now.
    commit: String,
    /// `synchronous_commit` as the server, the database, the role or the URL configures it.
    configured_commit: String,
    standbys: String,
    encoding: String,
    /// Tables of the log that a crash of the server empties.
    unlogged: bool,
    /// The account may write a message into the server's write-ahead log, which a health check commits.
    pub(super) can_mark_commits: bool,
}

impl DurabilitySettings {
    pub(super) async fn ask(
        db: &mut PgConnection,
        names: &Identifiers,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query(SELECT_SETTINGS)
            .bind(names.schema())
            .bind(names.unquoted(""))
            .fetch_one(db)
            .await
            .during(doing)?;
        let on = |column: &str| row.try_get::<String, _>(column).map(|value| value == "on");
        let read = || -> Result<Self, sqlx::Error> {
            Ok(Self {
                in_recovery: row.try_get("in_recovery")?,
                read_only: on("read_only")?,
                fsync: on("fsync")?,
                full_page_writes: on("full_page_writes")?,
                data_sync_retry: on("data_sync_retry")?,
                commit: row.try_get("commit")?,
                configured_commit: row.try_get("wanted_commit")?,
                standbys: row.try_get("standbys")?,
                encoding: row.try_get("encoding")?,
                unlogged: row.try_get("unlogged")?,
                can_mark_commits: row.try_get("can_mark_commits")?,
            })
        };
        read().during(doing)
    }

    /// The `synchronous_commit` to set: `on`, or the configured one if it is stronger, or if durability is not required.
    pub(super) fn commit_to_set(&self, durability: Durability) -> &'static str {
        const WEAKER: [&str; 3] = ["off", "local", "remote_write"];
        let weaker = WEAKER.into_iter().find(|weaker| *weaker == self.configured_commit);
        match (durability, weaker) {
            (Durability::Warn, Some(weaker)) => weaker,
            _ if self.configured_commit == "remote_apply" => "remote_apply",
            _ => "on",
        }
    }

    /// An error that says why the log cannot be kept here, if so, or why what is kept would not be durable. A session of
    /// which nothing is asked yet does not matter.
    pub(super) fn check_server(&self, durability: Durability, doing: &'static str) -> Result<(), StoreError> {
        if let Some(weakness) = self.weakness() {
            log_line(move || tracing::warn!(weakness, "audit events may be lost"));
        }
        Self { commit: self.commit_to_set(durability).to_owned(), ..self.clone() }.check(durability, doing)
    }

    /// Checks the server and this session. With [`Durability::Warn`], a commit that is not durable is a warning.
    pub(super) fn check(&self, durability: Durability, doing: &'static str) -> Result<(), StoreError> {
        self.check_writable(doing)?;
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

    /// An error that says why nothing can be kept here, if so.
    pub(super) fn check_writable(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.in_recovery {
            return Err(transient(doing).with_hint("the server is a standby or in recovery: name the primary"));
        }
        if self.read_only {
            return Err(transient(doing).with_hint("the server is read-only"));
        }
        if self.encoding != "UTF8" {
            return Err(permanent(doing).with_hint(format!(
                "the database has the encoding {}, which has no place for every text: use UTF8",
                self.encoding
            )));
        }
        Ok(())
    }

    /// A setting that is not refused and may lose events all the same.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        self.data_sync_retry.then_some(
            "data_sync_retry is on: after a failed fsync the server goes on, although events may not be on the disk",
        )
    }

    /// Returns true if a commit waits for replicas.
    pub(super) fn has_replicas(&self) -> bool {
        !self.standbys.is_empty()
    }

    /// Returns an error that names the setting, if a commit is not durable.
    pub(super) fn check_durable(&self, doing: &'static str) -> Result<(), StoreError> {
        let remedy = if !self.fsync {
            "the server has fsync=off, so a crash of its machine loses events: turn it on".to_owned()
        } else if !self.full_page_writes {
            // PostgreSQL's documentation puts it beside fsync: "the risks are similar to turning off fsync, though smaller".
            "the server has full_page_writes=off, so a crash of its machine can damage pages with events: turn it on"
                .to_owned()
        } else if self.configured_commit == "off" {
            "synchronous_commit is off here, so a crash of the server loses events: turn it on, for the audit role at \
             least (ALTER ROLE … SET synchronous_commit = on)"
                .to_owned()
        } else if !self.standbys.is_empty() && matches!(self.configured_commit.as_str(), "local" | "remote_write") {
            format!(
                "replicas are required and synchronous_commit is {}, so the loss of the primary loses events: set it \
                 to on, for the audit role at least (ALTER ROLE … SET synchronous_commit = on)",
                self.configured_commit
            )
        } else if self.unlogged {
            "a table of the log is UNLOGGED, so a crash of the server empties it: ALTER TABLE … SET LOGGED".to_owned()
        } else if self.commit == "off" || (!self.standbys.is_empty() && !matches!(&*self.commit, "on" | "remote_apply"))
        {
            format!("the session has synchronous_commit={}, although it was set to be durable", self.commit)
        } else {
            return Ok(());
        };
        Err(StoreError::new(StoreErrorKind::NotDurable, NAME, doing).with_hint(remedy))
    }
}

/// The settings in one line for an operator.
impl fmt::Display for DurabilitySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on| if on { "on" } else { "off" };
        write!(f, "fsync {}, synchronous_commit {}", on(self.fsync), self.configured_commit)?;
        if !self.standbys.is_empty() {
            write!(f, ", replicas {}", self.standbys)?;
        }
        if self.in_recovery {
            write!(f, ", a standby")?;
        }
        Ok(())
    }
}

const SELECT_SETTINGS: &str = "SELECT pg_catalog.pg_is_in_recovery() AS in_recovery, \
    pg_catalog.has_function_privilege('pg_catalog.pg_logical_emit_message(boolean, text, text)', 'EXECUTE') AS can_mark_commits, \
    pg_catalog.current_setting('transaction_read_only') AS read_only, \
    pg_catalog.current_setting('fsync') AS fsync, \
    pg_catalog.current_setting('full_page_writes') AS full_page_writes, \
    pg_catalog.current_setting('data_sync_retry') AS data_sync_retry, \
    pg_catalog.current_setting('synchronous_commit') AS commit, \
    (SELECT reset_val FROM pg_catalog.pg_show_all_settings() WHERE name = 'synchronous_commit') AS wanted_commit, \
    pg_catalog.current_setting('synchronous_standby_names') AS standbys, \
    pg_catalog.current_setting('server_encoding') AS encoding, \
    EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid \
        WHERE n.nspname = $1 AND c.relname = $2 AND 'u' IN (c.relpersistence, p.relpersistence)) AS unlogged";

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> DurabilitySettings {
        DurabilitySettings {
            in_recovery: false,
            read_only: false,
            fsync: true,
            full_page_writes: true,
            data_sync_retry: false,
            commit: "on".into(),
            configured_commit: "on".into(),
            standbys: String::new(),
            encoding: "UTF8".into(),
            unlogged: false,
            can_mark_commits: true,
        }
    }

    #[test]
    fn what_is_durable_passes() {
        good().check(Durability::Required, "health").unwrap();
        // Without replicas these two are as durable as `on`, which the session gets anyway.
        for wanted in ["local", "remote_write"] {
            DurabilitySettings { configured_commit: wanted.into(), ..good() }
                .check(Durability::Required, "health")
                .unwrap();
        }
        let strong =
            DurabilitySettings { configured_commit: "remote_apply".into(), commit: "remote_apply".into(), ..good() };
        DurabilitySettings { standbys: "*".into(), ..strong }.check(Durability::Required, "health").unwrap();
    }

    #[test]
    fn what_is_not_durable_is_named() {
        let replicated = DurabilitySettings { standbys: "ANY 1 (a, b)".into(), ..good() };
        for (facts, word) in [
            (DurabilitySettings { in_recovery: true, ..good() }, "standby"),
            (DurabilitySettings { read_only: true, ..good() }, "read-only"),
            (DurabilitySettings { fsync: false, ..good() }, "fsync"),
            (DurabilitySettings { full_page_writes: false, ..good() }, "full_page_writes"),
            (DurabilitySettings { configured_commit: "off".into(), ..good() }, "synchronous_commit"),
            (DurabilitySettings { configured_commit: "local".into(), ..replicated.clone() }, "replicas"),
            (DurabilitySettings { configured_commit: "remote_write".into(), ..replicated }, "replicas"),
            (DurabilitySettings { commit: "off".into(), ..good() }, "synchronous_commit=off"),
            (DurabilitySettings { commit: "local".into(), standbys: "*".into(), ..good() }, "synchronous_commit=local"),
            (DurabilitySettings { unlogged: true, ..good() }, "UNLOGGED"),
            (DurabilitySettings { encoding: "SQL_ASCII".into(), ..good() }, "SQL_ASCII"),
        ] {
            let error = facts.check(Durability::Required, "health").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn told_to_warn_it_refuses_only_what_cannot_be_written_to() {
        let weak = DurabilitySettings {
            fsync: false,
            unlogged: true,
            configured_commit: "off".into(),
            commit: "off".into(),
            ..good()
        };
        weak.check(Durability::Warn, "append").unwrap();
        assert_eq!(weak.commit_to_set(Durability::Warn), "off");
        assert_eq!(weak.commit_to_set(Durability::Required), "on");
        assert_eq!(weak.check_durable("health").unwrap_err().kind(), StoreErrorKind::NotDurable);
        for facts in [
            DurabilitySettings { in_recovery: true, ..good() },
            DurabilitySettings { read_only: true, ..good() },
            DurabilitySettings { encoding: "LATIN1".into(), ..good() },
        ] {
            assert!(facts.check(Durability::Warn, "append").is_err());
        }
    }
}
