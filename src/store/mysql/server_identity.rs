//! The identity of a server among all servers.

use sqlx::mysql::MySqlConnection;

use super::error::DuringOperation as _;
use crate::store::StoreError;

/// The identity of a server, and the character set of the connection that has asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerIdentity {
    variables: Vec<(String, String)>,
    charsets: Vec<String>,
}

impl ServerIdentity {
    pub(super) async fn of(db: &mut MySqlConnection, doing: &'static str) -> Result<Self, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(SHOW_IDENTITY).fetch_all(db).await.during(doing)?;
        let (charsets, mut variables): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(name, _)| name.starts_with("character_set"));
        variables.sort_unstable();
        Ok(Self { variables, charsets: charsets.into_iter().map(|(_, value)| value).collect() })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.variables == other.variables
    }

    pub(super) fn other_charset(&self) -> Option<&str> {
        self.charsets.iter().map(String::as_str).find(|charset| *charset != "utf8mb4")
    }
}

/// A copy of a server has another name, port or folder, or at least another place.
const SHOW_IDENTITY: &str = "SHOW VARIABLES WHERE Variable_name IN ('hostname', 'port', 'datadir', 'socket', 'pid_file', \
    'server_id', 'server_uid', 'server_uuid', 'character_set_client', 'character_set_connection')";
