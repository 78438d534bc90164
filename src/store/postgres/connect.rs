//! Connecting: a session, its commits made durable, its tables as this program knows them.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::access::explained;
use super::config::Config;
use super::durability::DurabilitySettings;
use super::error::DuringOperation as _;
use super::grants::Right;
use super::obstacles;
use super::schema;
use super::session::{CONNECTING, Session, SessionKind, answered_until, connect_until};
use crate::store::StoreError;

/// Finds the tables as this program knows them, and makes sure that commits mean what they should.
pub(super) async fn prepare(db: &mut PgConnection, config: &Config, purpose: SessionKind) -> Result<(), StoreError> {
    let names = &config.identifiers;
    match purpose {
        SessionKind::Append => {
            let required = schema::require(db, names).await;
            explained(db, names, Right::Append, required).await?;
            obstacles::refuse_side_effects(db, names, config.durability, CONNECTING).await?;
            make_durable(db, config).await
        }
        SessionKind::Read => {
            let required = schema::require_to_read(db, names).await;
            explained(db, names, Right::Read, required).await
        }
        SessionKind::Admin | SessionKind::Lock | SessionKind::Observe { .. } => Ok(()),
    }
}

/// Connects for one task, within the timeout of an attempt.
pub(super) async fn connect(config: &Config, purpose: SessionKind) -> Result<PgConnection, StoreError> {
    let until = connect_until(config);
    let mut session = answered_until(until, Session::establish(config, purpose)).await?;
    answered_until(until, prepare(&mut session.db, config, purpose)).await?;
    Ok(session.db)
}

/// Sets what a commit of this session means, and reads back all that it depends on.
async fn make_durable(db: &mut PgConnection, config: &Config) -> Result<(), StoreError> {
    let found = DurabilitySettings::ask(db, &config.identifiers, CONNECTING).await?;
    let set = format!("SET synchronous_commit = {}", found.commit_to_set(config.durability));
    sqlx::query(AssertSqlSafe(set)).persistent(false).execute(&mut *db).await.during(CONNECTING)?;
    DurabilitySettings::ask(db, &config.identifiers, CONNECTING).await?.check(config.durability, CONNECTING)
}
