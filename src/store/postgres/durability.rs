//! Whether a commit means what it should: asked of the server, judged here.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error::{Doing as _, permanent, transient};
use super::names::Names;
use crate::store::StoreError;

/// What the server says of itself and of the session.
#[derive(Debug, Clone)]
pub(super) struct Durability {
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

impl Durability {
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

    /// What the session should have: what was wanted, if that is stronger than `on`.
    pub(super) fn commit_to_set(&self) -> &'static str {
        if self.wanted_commit == "remote_apply" { "remote_apply" } else { "on" }
    }

    /// Whether the session has it.
    pub(super) fn is_set(&self) -> bool {
        self.commit == self.commit_to_set()
    }

    /// An error that says why nothing that this server or this database keeps would be durable, if so. What the session
    /// was set to does not matter.
    pub(super) fn judge_server(&self, doing: &'static str) -> Result<(), StoreError> {
        Self { commit: self.commit_to_set().to_owned(), ..self.clone() }.judge(doing)
    }

    /// An error that says what is not durable, if anything is.
    pub(super) fn judge(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.in_recovery {
            return Err(transient(doing).with_remedy("the server is a standby or in recovery: name the primary"));
        }
        if self.read_only {
            return Err(transient(doing).with_remedy("the server is read-only"));
        }
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
        } else if self.encoding != "UTF8" {
            format!("the database has the encoding {}, which has no place for every text: use UTF8", self.encoding)
        } else if !self.is_set() {
            format!("the session has synchronous_commit={}, although it was set to be durable", self.commit)
        } else {
            return Ok(());
        };
        Err(permanent(doing).with_remedy(remedy))
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

    fn good() -> Durability {
        Durability {
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
        good().judge("health").unwrap();
        // Without replicas these two are as durable as `on`, which the session gets anyway.
        for wanted in ["local", "remote_write"] {
            Durability { wanted_commit: wanted.into(), ..good() }.judge("health").unwrap();
        }
        let strong = Durability { wanted_commit: "remote_apply".into(), commit: "remote_apply".into(), ..good() };
        Durability { standbys: "*".into(), ..strong }.judge("health").unwrap();
    }

    #[test]
    fn what_is_not_durable_is_named() {
        let replicated = Durability { standbys: "ANY 1 (a, b)".into(), ..good() };
        for (durability, word) in [
            (Durability { in_recovery: true, ..good() }, "standby"),
            (Durability { read_only: true, ..good() }, "read-only"),
            (Durability { fsync: false, ..good() }, "fsync"),
            (Durability { wanted_commit: "off".into(), ..good() }, "synchronous_commit"),
            (Durability { wanted_commit: "local".into(), ..replicated.clone() }, "replicas"),
            (Durability { wanted_commit: "remote_write".into(), ..replicated }, "replicas"),
            (Durability { commit: "local".into(), ..good() }, "synchronous_commit=local"),
            (Durability { unlogged: true, ..good() }, "UNLOGGED"),
            (Durability { encoding: "SQL_ASCII".into(), ..good() }, "SQL_ASCII"),
        ] {
            let error = durability.judge("health").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
