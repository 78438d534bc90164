//! The reply to a command that writes.

use mongodb::bson::{Bson, Document};

use super::error::{DUPLICATE_KEY, concern_error, from_code, permanent};
use crate::store::StoreError;

/// The reply to a command that writes, whose write concern was met.
#[derive(Debug)]
pub(super) struct WriteReply {
    /// The number of documents that were inserted, deleted, or matched by an update or made by it.
    pub(super) count: u64,
    /// The number of documents that were changed.
    pub(super) changed: u64,
    /// The documents that were refused.
    pub(super) errors: Vec<WriteError>,
}

/// The refusal of one document of a command.
#[derive(Debug)]
pub(super) struct WriteError {
    /// The position of the document in the command.
    pub(super) index: usize,
    code: i32,
    /// The index that has the key already: its first field, or its name in the message of an older server.
    duplicate_of: Option<String>,
}

impl WriteReply {
    /// Reads a reply. A failure of the write concern is an error, whatever was written.
    pub(super) fn read(doing: &'static str, reply: &Document) -> Result<Self, StoreError> {
        if let Ok(failed) = reply.get_document("writeConcernError") {
            let code = integer(failed.get("code")).and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
            return Err(concern_error(doing, code, failed.get_str("codeName").unwrap_or_default()));
        }
        let count = integer(reply.get("n")).and_then(|count| u64::try_from(count).ok());
        let count = count
            .ok_or_else(|| permanent(doing).with_hint("the server does not say how many documents it has written"))?;
        let changed = integer(reply.get("nModified")).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        let refused = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        Ok(Self { count, changed, errors: refused.iter().filter_map(WriteError::read).collect() })
    }

    /// Returns the count if nothing was refused.
    pub(super) fn done(self, doing: &'static str) -> Result<u64, StoreError> {
        match self.errors.first() {
            None => Ok(self.count),
            Some(error) => Err(from_code(doing, error.code, "")),
        }
    }
}

impl WriteError {
    fn read(error: &Bson) -> Option<Self> {
        let error = error.as_document()?;
        let index = usize::try_from(integer(error.get("index"))?).ok()?;
        let code = integer(error.get("code")).and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
        let key = error.get_document("keyPattern").ok().and_then(|pattern| pattern.keys().next().cloned());
        let duplicate_of = key.or_else(|| {
            // `E11000 duplicate key error collection: d.c index: event_id_1 dup key: …`
            let (_, rest) = error.get_str("errmsg").ok()?.split_once(" index: ")?;
            let name = rest.split_whitespace().next()?;
            Some(name.trim_end_matches("_1").to_owned())
        });
        Some(Self { index, code, duplicate_of })
    }

    /// Returns true if the document's id is there already.
    pub(super) fn is_repeated_id(&self) -> bool {
        self.code == DUPLICATE_KEY && matches!(self.duplicate_of.as_deref(), Some("event_id" | "_id" | "_id_"))
    }

    /// Returns the error of a document that was refused for another reason.
    pub(super) fn to_error(&self, doing: &'static str) -> StoreError {
        if self.code == DUPLICATE_KEY {
            return permanent(doing).with_hint(
                "a further unique index of the collection refuses events: drop it, or make it anew without `unique`",
            );
        }
        from_code(doing, self.code, "")
    }
}

/// A number of any type that a server uses.
pub(super) fn integer(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        Bson::Double(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    #[test]
    fn a_failed_write_concern_is_a_failure() {
        let reply = doc! {"n": 3, "ok": 1.0, "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "x"}};
        assert!(WriteReply::read("append", &reply).unwrap_err().is_transient());
        assert!(WriteReply::read("append", &doc! {"ok": 1.0}).is_err(), "a reply without a count is none");
    }

    #[test]
    fn only_a_repeated_id_is_no_error() {
        let error = |error: Document| {
            let reply = doc! {"n": 1, "writeErrors": [error]};
            WriteReply::read("append", &reply).expect("a reply").errors.remove(0)
        };
        for known in ["event_id", "_id"] {
            assert!(error(doc! {"index": 1, "code": 11000, "keyPattern": {known: 1}}).is_repeated_id());
        }
        for known in ["event_id_1", "_id_"] {
            let message = format!("E11000 duplicate key error collection: d.c index: {known} dup key: {{ x }}");
            assert!(error(doc! {"index": 1, "code": 11000, "errmsg": message}).is_repeated_id());
        }
        assert!(!error(doc! {"index": 1, "code": 11000, "keyPattern": {"created_at": 1}}).is_repeated_id());
        assert!(!error(doc! {"index": 1, "code": 121}).is_repeated_id());
    }
}
