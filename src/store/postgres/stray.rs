//! A row whose `event` is not the event of that row.
//!
//! No writer of ours makes one, but whoever may append can. It must neither keep what stands around it from being read,
//! nor lead a reader on from another place than its own: what is read then is what the other columns say.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::error::Doing as _;
use super::moment::Moment;
use super::names::Names;
use crate::event::undecodable::Undecodable;
use crate::event::{Actor, AuditEvent, EventId, Phase, Resource, Text};
use crate::store::StoreError;

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
    let mut actor = Actor::default();
    (actor.user_email, actor.api_key_hash, actor.remote_addr) = (text(3)?, text(4)?, text(5)?);
    let mut resource = Resource::default();
    (resource.route, resource.method) = (text(6)?, text(7)?);
    let undecodable = Undecodable {
        event_id: id,
        created_at: row.try_get::<Moment, _>(0).doing(DOING)?.0,
        event_type,
        phase: phase.parse().unwrap_or(Phase::Unknown),
        actor,
        resource,
        outcome: outcome.and_then(|outcome| outcome.try_into().ok()),
        text: unreadable,
    };
    Ok(undecodable.into_event())
}

const DOING: &str = "reading";
