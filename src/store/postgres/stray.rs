//! A row whose `event` is not the event of that row.
//!
//! No writer of ours makes one, but whoever may append can. It must neither keep what stands around it from being read,
//! nor lead a reader on from another place than its own: what is read then is what the other columns say.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::error::Doing as _;
use super::moment::Moment;
use super::names::Names;
use crate::event::limits::{MAX_DETAIL_STRING_BYTES, clip};
use crate::event::{AuditEvent, EventId, Phase, Text};
use crate::store::StoreError;

/// The detail that has the beginning of what should have been the event.
const UNREADABLE: &str = "unreadable_event";

/// What stands for the event of this row; none if the row is gone.
pub(super) async fn stand_in(
    db: &mut PgConnection,
    names: &Names,
    id: EventId,
) -> Result<Option<AuditEvent>, StoreError> {
    let sql = format!(
        "SELECT created_at, event_type, phase, actor_user_email, actor_api_key_hash, actor_remote_addr, \
         resource_route, resource_method, outcome, event FROM {} WHERE event_id = $1",
        names.table()
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(Uuid::from(id)).fetch_optional(db).await.doing(DOING)?;
    row.map(|row| of_columns(&row, id)).transpose()
}

fn of_columns(row: &PgRow, id: EventId) -> Result<AuditEvent, StoreError> {
    let text = |column: usize| {
        let text: Option<&str> = row.try_get(column).doing(DOING)?;
        Ok::<_, StoreError>(text.map(Text::from))
    };
    let event_type: &str = row.try_get(1).doing(DOING)?;
    let phase: &str = row.try_get(2).doing(DOING)?;
    let outcome: Option<i32> = row.try_get(8).doing(DOING)?;
    let unreadable: &str = row.try_get(9).doing(DOING)?;
    // As it was stored: any name is read.
    let mut event = AuditEvent::new(serde_json::from_value(json!(event_type)).doing(DOING)?);
    event.event_id = id;
    event.created_at = row.try_get::<Moment, _>(0).doing(DOING)?.0;
    // Nobody knows how it ended.
    event.phase = phase.parse().unwrap_or(Phase::Unknown);
    event.actor.user_email = text(3)?;
    event.actor.api_key_hash = text(4)?;
    event.actor.remote_addr = text(5)?;
    event.resource.route = text(6)?;
    event.resource.method = text(7)?;
    event.outcome = outcome.and_then(|outcome| outcome.try_into().ok());
    event.details.insert(UNREADABLE.into(), Value::from(clip(unreadable, MAX_DETAIL_STRING_BYTES)));
    event.fit();
    Ok(event)
}

const DOING: &str = "reading";
