//! The collections and indexes of the log, and what must not be on them.

use mongodb::bson::{Bson, Document, doc};

use super::collections::Collections;
use super::connection::Connection;
use super::document::STARTED;
use super::error::{NAME, NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND, has_code};
use super::write_reply::integer;
use crate::store::{StoreError, StoreErrorKind};

/// The index that a listing follows.
const LISTING: &str = "created_at_-1_micros_-1_event_id_-1";

/// Returns the order of a listing.
pub(super) fn listing_order() -> Document {
    doc! {"created_at": -1, "micros": -1, "event_id": -1}
}

/// Returns the indexes of the events, as the server takes them. The first four are IVRE's, with its names.
pub(super) fn indexes() -> Vec<Document> {
    let index = |name: &str, key: Document| doc! {"name": name, "key": key};
    let of_texts = |path: &str, then_time: bool| {
        let mut key = doc! {path: 1};
        let mut name = format!("{path}_1");
        if then_time {
            key.insert("created_at", -1);
            name.push_str("_created_at_-1");
        }
        // Events without the value would be one long list of nulls.
        doc! {"name": name, "key": key, "partialFilterExpression": {path: {"$type": "string"}}}
    };
    vec![
        doc! {"name": "event_id_1", "key": {"event_id": 1}, "unique": true},
        index("event_type_1_created_at_-1", doc! {"event_type": 1, "created_at": -1}),
        of_texts("actor.user_email", true),
        index("created_at_-1", doc! {"created_at": -1}),
        index(LISTING, listing_order()),
        of_texts("actor.remote_addr", true),
        of_texts("resource.route", true),
        of_texts("targets", true),
        of_texts("request.request_id", false),
        of_texts("request.trace_id", false),
        of_texts(STARTED, false),
    ]
}

/// Returns the index of the open events by their writers.
fn started_index() -> Document {
    doc! {"name": "writer_1", "key": {"writer": 1}}
}

/// Creates the missing collections and indexes.
pub(super) async fn create(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
) -> Result<(), StoreError> {
    for name in names.all() {
        match connection.run(doing, with_concern(connection, doc! {"create": name})).await {
            Err(error) if !has_code(&error, NAMESPACE_EXISTS) => return Err(error),
            _ => {}
        }
    }
    for (collection, indexes) in [(&names.events, indexes()), (&names.started, vec![started_index()])] {
        let command = doc! {"createIndexes": collection, "indexes": indexes};
        connection.run(doing, with_concern(connection, command)).await?;
    }
    Ok(())
}

/// Drops the collections. What is not there is no error.
pub(super) async fn drop_all(
    connection: &Connection,
    names: &Collections,
    doing: &'static str,
) -> Result<(), StoreError> {
    for name in names.all() {
        match connection.run(doing, with_concern(connection, doc! {"drop": name})).await {
            Err(error) if !has_code(&error, NAMESPACE_NOT_FOUND) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn with_concern(connection: &Connection, mut command: Document) -> Document {
    let wait = i64::try_from(super::config::write_timeout(connection.timeout()).as_millis()).unwrap_or(i64::MAX);
    command.insert("writeConcern", doc! {"w": "majority", "j": true, "wtimeout": wait});
    command
}

/// The collections as they are.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The names of the collections that are not there.
    pub(super) missing: Vec<String>,
    /// The names of the indexes that are not there.
    pub(super) missing_indexes: Vec<String>,
    pub(super) obstacles: Vec<Obstacle>,
}

/// Something that loses events, hides them or keeps them out.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) kind: StoreErrorKind,
    pub(super) text: String,
    /// A command for the shell.
    pub(super) remedy: String,
}

impl Survey {
    /// Looks at the collections.
    pub(super) async fn of(
        connection: &Connection,
        names: &Collections,
        doing: &'static str,
    ) -> Result<Self, StoreError> {
        let command = doc! {
            "listCollections": 1, "filter": {"name": {"$in": names.all().to_vec()}}, "cursor": {"batchSize": 100},
        };
        let listed = first_batch(&connection.run(doing, command).await?);
        let mut survey = Self::default();
        for name in names.all() {
            let found = listed.iter().find(|collection| collection.get_str("name").is_ok_and(|found| found == name));
            let Some(collection) = found else {
                survey.missing.push(name.to_owned());
                continue;
            };
            if survey.look_at_options(name, collection) {
                survey.look_at_indexes(connection, names, name, doing).await?;
            }
        }
        Ok(survey)
    }

    /// Returns the error for the first obstacle.
    pub(super) fn refuse(&self, doing: &'static str) -> Result<(), StoreError> {
        match self.obstacles.first() {
            None => Ok(()),
            Some(Obstacle { kind, text, remedy }) => Err(StoreError::new(*kind, NAME, doing)
                .with_hint(format!("{text}; if nobody needs it, run `{remedy}` in the server's shell"))),
        }
    }

    /// Looks at the options of a collection, and returns false if it is none.
    fn look_at_options(&mut self, name: &str, collection: &Document) -> bool {
        let options = collection.get_document("options").cloned().unwrap_or_default();
        let kind = collection.get_str("type").unwrap_or("collection");
        let mut add = |kind, text: String, remedy: String| self.obstacles.push(Obstacle { kind, text, remedy });
        if kind != "collection" {
            let text = format!("`{name}` is a {kind} and no collection");
            add(StoreErrorKind::Config, text, format!("db.getCollection('{name}').drop()"));
            return false;
        }
        if options.get_bool("capped").unwrap_or(false) {
            let text = format!("the collection `{name}` is capped: the server deletes its oldest documents by itself");
            add(
                StoreErrorKind::NotDurable,
                text,
                format!("db.runCommand({{cloneCollectionAsCapped: …}}) into a plain collection, and drop '{name}'"),
            );
        }
        if options.contains_key("expireAfterSeconds") {
            let text = format!("the collection `{name}` has an age after which the server deletes documents by itself");
            add(
                StoreErrorKind::NotDurable,
                text,
                format!("db.runCommand({{collMod: '{name}', expireAfterSeconds: 'off'}})"),
            );
        }
        if options.get_document("validator").is_ok_and(|validator| !validator.is_empty()) {
            let text = format!("the collection `{name}` has a validator, which may refuse events");
            add(StoreErrorKind::Permanent, text, format!("db.runCommand({{collMod: '{name}', validator: {{}}}})"));
        }
        if options
            .get_document("collation")
            .is_ok_and(|collation| collation.get_str("locale").is_ok_and(|l| l != "simple"))
        {
            let text = format!("the collection `{name}` has a collation: different ids and names may count as equal");
            add(StoreErrorKind::Config, text, format!("db.getCollection('{name}').drop()` after `tower-audit export"));
        }
        true
    }

    async fn look_at_indexes(
        &mut self,
        connection: &Connection,
        names: &Collections,
        name: &str,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let command = doc! {"listIndexes": name, "cursor": {"batchSize": 1000}};
        let there = first_batch(&connection.run(doing, command).await?);
        for index in &there {
            let index_name = index.get_str("name").unwrap_or_default();
            // A name that is none of ours is shown as far as it is harmless.
            let shown: String = index_name.chars().filter(|c| !c.is_control() && *c != '`').take(128).collect();
            let remedy = format!("db.getCollection('{name}').dropIndex('{shown}')");
            if index.contains_key("expireAfterSeconds") {
                self.obstacles.push(Obstacle {
                    kind: StoreErrorKind::NotDurable,
                    text: format!(
                        "the index `{shown}` of `{name}` is a TTL index: the server deletes documents by itself when they \
                         are old"
                    ),
                    remedy,
                });
            } else if index.get_bool("unique").unwrap_or(false) && !matches!(index_name, "_id_" | "event_id_1") {
                self.obstacles.push(Obstacle {
                    kind: StoreErrorKind::Permanent,
                    text: format!("the index `{shown}` of `{name}` is unique and not the log's: it refuses events"),
                    remedy,
                });
            }
        }
        let expected = match name {
            _ if name == names.events => indexes(),
            _ if name == names.started => vec![started_index()],
            _ => Vec::new(),
        };
        for index in expected {
            let is_same = |other: &&Document| {
                same_key(other.get("key"), index.get("key"))
                    && (!index.contains_key("unique") || other.get_bool("unique").unwrap_or(false))
            };
            if there.iter().find(is_same).is_none() {
                self.missing_indexes.push(index.get_str("name").unwrap_or_default().to_owned());
            }
        }
        Ok(())
    }
}

/// Compares the keys of two indexes in their order. A server may write the directions as numbers of any type.
fn same_key(one: Option<&Bson>, other: Option<&Bson>) -> bool {
    let (Some(Bson::Document(one)), Some(Bson::Document(other))) = (one, other) else { return false };
    let parts =
        |key: &Document| key.iter().map(|(name, value)| (name.clone(), integer(Some(value)))).collect::<Vec<_>>();
    parts(one) == parts(other)
}

fn first_batch(reply: &Document) -> Vec<Document> {
    let batch = reply.get_document("cursor").ok().and_then(|cursor| cursor.get_array("firstBatch").ok());
    batch.into_iter().flatten().filter_map(|document| document.as_document().cloned()).collect()
}
