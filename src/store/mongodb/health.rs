//! The health check: the next append, tried out.

use mongodb::bson::Document;
use mongodb::options::{ReadConcern, WriteConcern};

use super::append::confirm;
use super::config::Config;
use super::connection::Connection;
use super::document::document_of;
use super::error::{DuringOperation as _, ILLEGAL_OPERATION, has_code, permanent};
use super::schema::Survey;
use crate::store::StoreError;
use crate::store::rehearsal::rehearsal;

/// Checks that the next append would be accepted and durable.
///
/// The collections are looked at; events are inserted in a transaction that is then aborted, so that nobody sees them; and a
/// document beside the events is written and acknowledged by a majority. A server that is no member of a replica set has no
/// transactions: there the insertion is not tried.
pub(super) async fn check(connection: &Connection, config: &Config) -> Result<(), StoreError> {
    connection.check_open(HEALTH)?;
    let survey = Survey::of(connection, &config.names, HEALTH).await?;
    if let Some(missing) = survey.missing.first() {
        return Err(permanent(HEALTH)
            .with_hint(format!("the collection `{missing}` is missing: run `tower-audit migrate` on this database")));
    }
    survey.refuse(HEALTH)?;
    match rehearse(connection, config).await {
        Err(error) if has_code(&error, ILLEGAL_OPERATION) => {}
        rehearsed => rehearsed?,
    }
    confirm(connection, &config.names).await
}

/// Inserts events in a transaction and aborts it.
async fn rehearse(connection: &Connection, config: &Config) -> Result<(), StoreError> {
    let mut majority = WriteConcern::majority();
    majority.journal = Some(true);
    let mut session = connection.client().start_session().await.during(HEALTH)?;
    let transaction = session.start_transaction().write_concern(majority).read_concern(ReadConcern::majority());
    transaction.await.during(HEALTH)?;
    let documents = rehearsal().iter().flatten().map(document_of).collect::<Result<Vec<Document>, _>>()?;
    let collection = connection.collection(&config.names.events);
    let inserted = async {
        for document in &documents {
            collection.insert_one(document).session(&mut session).await.during(HEALTH)?;
        }
        Ok(())
    };
    let inserted = inserted.await;
    // An abort that fails is one that the server does by itself.
    let _ = session.abort_transaction().await;
    inserted
}

pub(super) const HEALTH: &str = "health";
