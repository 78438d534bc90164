//! Whether a commit means what it should: asked of the server, judged here.

use std::fmt;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error::{Doing as _, NAME, permanent, transient};
use super::names::Names;
use crate::store::{Durability, StoreError, StoreErrorKind};

/// What the server says of itself and of the session.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    in_recovery: bool,
    read_only: bool,
    fsync: bool,
    /// What the session has now.
    commit: String,
    /// What whoever configured the server, the database, the role or the URL wants sessions to have.
    wanted_commit: String,
    standbys: String,
    encoding: String,
    /// Tables of the log that a crash of the server empties.
    unlogged: bool,
}

impl Facts {
    pub(super) async fn ask(db: &mut PgConnection, names: &Names, doing: &'static str) -> Result<Self, StoreError> {
        let row = sqlx::query(ASK).bind(names.schema()).bind(names.bare("")).fetch_one(db).await.doing(doing)?;
        let on = |column: &str| row.try_get::<String, _>(column).map(|value| value == "on");
        let read = || -> Result<Self, sqlx::Error> {
            Ok(Self {
                in_recovery: row.try_get("in_recovery")?,
                read_only: on("read_only")?,
                fsync: on("fsync")?,
                commit: row.try_get("commit")?,
                wanted_commit: row.try_get("wanted_commit")?,
                standbys: row.try_get("standbys")?,
                encoding: row.try_get("encoding")?,
                unlogged: row.try_get("unlogged")?,
            })
        };
        read().doing(doing)
    }

    /// What the session should have: what was wanted, if that is stronger than `on`, or if it need not be durable.
    pub(super) fn commit_to_set(&self, durability: Durability) -> &'static str {
        const WEAKER: [&str; 3] = ["off", "local", "remote_write"];
        let weaker = WEAKER.into_iter().find(|weaker| *weaker == self.wanted_commit);
        match (durability, weaker) {
            (Durability::Warn, Some(weaker)) => weaker,
            _ if self.wanted_commit == "remote_apply" => "remote_apply",
            _ => "on",
        }
    }

    /// An error that says why the log cannot be kept here, if so, or why what is kept would not be durable. A session of
    /// which nothing is asked yet does not matter.
    pub(super) fn judge_server(&self, durability: Durability, doing: &'static str) -> Result<(), StoreError> {
        Self { commit: self.commit_to_set(durability).to_owned(), ..self.clone() }.judge(durability, doing)
    }

    /// The same of this session. Told to warn, it warns of what is not durable.
    pub(super) fn judge(&self, durability: Durability, doing: &'static str) -> Result<(), StoreError> {
        self.judge_use(doing)?;
        match self.judge_durability(doing) {
            Err(weakness) if durability == Durability::Warn => {
                tracing::warn!(error = &weakness as &dyn std::error::Error, "audit events may be lost");
                Ok(())
            }
            judged => judged,
        }
    }

    /// An error that says why nothing can be kept here, if so.
    pub(super) fn judge_use(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.in_recovery {
            return Err(transient(doing).with_remedy("the server is a standby or in recovery: name the primary"));
        }
        if self.read_only {
            return Err(transient(doing).with_remedy("the server is read-only"));
        }
        if self.encoding != "UTF8" {
            return Err(permanent(doing).with_remedy(format!(
                "the database has the encoding {}, which has no place for every text: use UTF8",
                self.encoding
            )));
        }
        Ok(())
    }

    /// Whether a commit waits for replicas.
    pub(super) fn has_replicas(&self) -> bool {
        !self.standbys.is_empty()
    }

    /// An error that says what is not durable, if anything is.
    pub(super) fn judge_durability(&self, doing: &'static str) -> Result<(), StoreError> {
        let remedy = if !self.fsync {
            "the server has fsync=off, so a crash of its machine loses events: turn it on".to_owned()
        } else if self.wanted_commit == "off" {
            "synchronous_commit is off here, so a crash of the server loses events: turn it on, for the audit role at \
             least (ALTER ROLE … SET synchronous_commit = on)"
                .to_owned()
        } else if !self.standbys.is_empty() && matches!(self.wanted_commit.as_str(), "local" | "remote_write") {
            format!(
                "replicas are required and synchronous_commit is {}, so the loss of the primary loses events: set it \
                 to on, for the audit role at least (ALTER ROLE … SET synchronous_commit = on)",
                self.wanted_commit
            )
        } else if self.unlogged {
            "a table of the log is UNLOGGED, so a crash of the server empties it: ALTER TABLE … SET LOGGED".to_owned()
        } else if self.commit == "off" || (!self.standbys.is_empty() && !matches!(&*self.commit, "on" | "remote_apply"))
        {
            format!("the session has synchronous_commit={}, although it was set to be durable", self.commit)
        } else {
            return Ok(());
        };
        Err(StoreError::new(StoreErrorKind::NotDurable, NAME, doing).with_remedy(remedy))
    }
}

/// What was found, for an operator.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on| if on { "on" } else { "off" };
        write!(f, "fsync {}, synchronous_commit {}", on(self.fsync), self.wanted_commit)?;
        if !self.standbys.is_empty() {
            write!(f, ", replicas {}", self.standbys)?;
        }
        if self.in_recovery {
            write!(f, ", a standby")?;
        }
        Ok(())
    }
}

const ASK: &str = "SELECT pg_catalog.pg_is_in_recovery() AS in_recovery, \
    pg_catalog.current_setting('transaction_read_only') AS read_only, \
    pg_catalog.current_setting('fsync') AS fsync, \
    pg_catalog.current_setting('synchronous_commit') AS commit, \
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit') AS wanted_commit, \
    pg_catalog.current_setting('synchronous_standby_names') AS standbys, \
    pg_catalog.current_setting('server_encoding') AS encoding, \
    EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid \
        WHERE n.nspname = $1 AND c.relname = $2 AND 'u' IN (c.relpersistence, p.relpersistence)) AS unlogged";

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            in_recovery: false,
            read_only: false,
            fsync: true,
            commit: "on".into(),
            wanted_commit: "on".into(),
            standbys: String::new(),
            encoding: "UTF8".into(),
            unlogged: false,
        }
    }

    #[test]
    fn what_is_durable_passes() {
        good().judge(Durability::Required, "health").unwrap();
        // Without replicas these two are as durable as `on`, which the session gets anyway.
        for wanted in ["local", "remote_write"] {
            Facts { wanted_commit: wanted.into(), ..good() }.judge(Durability::Required, "health").unwrap();
        }
        let strong = Facts { wanted_commit: "remote_apply".into(), commit: "remote_apply".into(), ..good() };
        Facts { standbys: "*".into(), ..strong }.judge(Durability::Required, "health").unwrap();
    }

    #[test]
    fn what_is_not_durable_is_named() {
        let replicated = Facts { standbys: "ANY 1 (a, b)".into(), ..good() };
        for (facts, word) in [
            (Facts { in_recovery: true, ..good() }, "standby"),
            (Facts { read_only: true, ..good() }, "read-only"),
            (Facts { fsync: false, ..good() }, "fsync"),
            (Facts { wanted_commit: "off".into(), ..good() }, "synchronous_commit"),
            (Facts { wanted_commit: "local".into(), ..replicated.clone() }, "replicas"),
            (Facts { wanted_commit: "remote_write".into(), ..replicated }, "replicas"),
            (Facts { commit: "off".into(), ..good() }, "synchronous_commit=off"),
            (Facts { commit: "local".into(), standbys: "*".into(), ..good() }, "synchronous_commit=local"),
            (Facts { unlogged: true, ..good() }, "UNLOGGED"),
            (Facts { encoding: "SQL_ASCII".into(), ..good() }, "SQL_ASCII"),
        ] {
            let error = facts.judge(Durability::Required, "health").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn told_to_warn_it_refuses_only_what_cannot_be_written_to() {
        let weak = Facts { fsync: false, unlogged: true, wanted_commit: "off".into(), commit: "off".into(), ..good() };
        weak.judge(Durability::Warn, "append").unwrap();
        assert_eq!(weak.commit_to_set(Durability::Warn), "off");
        assert_eq!(weak.commit_to_set(Durability::Required), "on");
        assert_eq!(weak.judge_durability("health").unwrap_err().kind(), StoreErrorKind::NotDurable);
        for facts in [
            Facts { in_recovery: true, ..good() },
            Facts { read_only: true, ..good() },
            Facts { encoding: "LATIN1".into(), ..good() },
        ] {
            assert!(facts.judge(Durability::Warn, "append").is_err());
        }
    }
}
