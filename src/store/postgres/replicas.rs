//! The copies of the server: replicas that are connected, and slots of those that are not.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::error::DuringOperation as _;
use crate::event::excerpt;
use crate::store::{Diagnostic, StoreError};

/// Names replicas that are behind or away. Nothing is found where there are none and none is required.
pub(super) async fn diagnose(
    db: &mut PgConnection,
    are_required: bool,
    doing: &'static str,
) -> Result<Vec<Diagnostic>, StoreError> {
    let mut diagnostics = Vec::new();
    let connected = sqlx::query(CONNECTED).fetch_all(&mut *db).await.during(doing)?;
    let (mut behind, mut most, mut unseen) = (Vec::new(), 0, 0);
    for row in &connected {
        let name: String = row.try_get(0).during(doing)?;
        let (state, bytes): (Option<String>, Option<i64>) =
            (row.try_get(1).during(doing)?, row.try_get(2).during(doing)?);
        let (Some(state), Some(bytes)) = (state, bytes) else {
            unseen += 1;
            continue;
        };
        most = bytes.max(most);
        if bytes > BEHIND_BYTES || state != "streaming" {
            behind.push(format!("{:?} by {bytes} bytes ({state})", excerpt(&name)));
        }
    }
    if !behind.is_empty() {
        diagnostics.push(Diagnostic::warning(
            SUBJECT,
            format!("behind the primary: {}", behind.join(", ")),
            "look at their disks and network: what they lack is lost with the primary, and a required one makes each append wait",
        ));
    }
    let away = sqlx::query(AWAY).fetch_all(&mut *db).await.during(doing)?;
    for row in &away {
        let (name, bytes): (String, i64) = (row.try_get(0).during(doing)?, row.try_get(1).during(doing)?);
        diagnostics.push(Diagnostic::warning(
            SUBJECT,
            format!("nobody uses the slot {:?}: a replica is away, and lacks {bytes} bytes", excerpt(&name)),
            "start the replica, or drop the slot: the server keeps what the replica lacks until its disk is full",
        ));
    }
    if connected.is_empty() && are_required {
        diagnostics.push(Diagnostic::error(
            SUBJECT,
            "none is connected, and `synchronous_standby_names` requires one: each append waits for it",
            "start the replica that is named there",
        ));
    } else if diagnostics.is_empty() && !connected.is_empty() {
        let text = match unseen {
            0 => format!("{} connected, at most {most} bytes behind", connected.len()),
            _ => format!(
                "{} connected; how far they are behind is shown to a member of pg_read_all_stats",
                connected.len()
            ),
        };
        diagnostics.push(Diagnostic::ok(SUBJECT, text));
    }
    Ok(diagnostics)
}

/// The columns are null for an account that may not see them. Of a standby, it is those that follow it.
const CONNECTED: &str = "SELECT coalesce(r.application_name, ''), r.state, \
    pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() \
        ELSE pg_catalog.pg_current_wal_flush_lsn() END, r.flush_lsn)::pg_catalog.int8 \
    FROM pg_catalog.pg_stat_replication r WHERE coalesce(r.state, '') <> 'backup' ORDER BY 1";

const AWAY: &str = "SELECT s.slot_name::pg_catalog.text, coalesce(pg_catalog.pg_wal_lsn_diff( \
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() \
            ELSE pg_catalog.pg_current_wal_flush_lsn() END, s.restart_lsn), 0)::pg_catalog.int8 \
    FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.active AND NOT s.temporary ORDER BY 1";

/// A segment of the server's write-ahead log: what is in flight under load is less.
const BEHIND_BYTES: i64 = 16 << 20;
const SUBJECT: &str = "replicas";
