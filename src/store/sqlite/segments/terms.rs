//! Terms: values of events that are searched as a whole, each kept as a digest with its row.
//!
//! Request ids, trace ids, targets and details are nearly all different. So the list of a segment has no values, but 64
//! bits of a keyed digest and 16 bits of a row for each, in the order of the digests. The key is random and is kept in
//! the file: a client that cannot read the file can make no two values with one digest, and of a billion searches one may
//! find a row too many by chance.

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use sqlx::sqlite::SqliteConnection;

use super::postings::Block;
use crate::query::Field;
use crate::store::StoreError;
use crate::store::sqlite::error::DuringOperation as _;
use crate::store::sqlite::event_columns::EventColumns;

/// The secret of the digests of a file.
#[derive(Clone)]
pub(crate) struct TermKey(SipHasher13);

impl std::fmt::Debug for TermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TermKey").finish_non_exhaustive()
    }
}

impl TermKey {
    /// Reads the key of the file, in the transaction in which it is used: another process may have recreated the tables.
    pub(crate) async fn load(db: &mut SqliteConnection) -> Result<Self, StoreError> {
        let key: Vec<u8> = sqlx::query_scalar("SELECT CAST(term_key AS BLOB) FROM audit_version WHERE one = 1")
            .fetch_one(db)
            .await
            .during(DOING)?;
        let key = <[u8; 16]>::try_from(key.as_slice())
            .map_err(|_| sqlx::Error::Decode("`term_key` in `audit_version` is no key of 16 bytes".into()));
        Ok(Self(SipHasher13::new_with_key(&key.during(DOING)?)))
    }

    /// Returns the digest of a field's value.
    pub(crate) fn field(&self, field: Field, value: &str) -> u64 {
        self.digest(field.as_str(), "", &[value])
    }

    /// Returns the digest of a target: that of its text form.
    fn target(&self, target_type: &str, id: &str) -> u64 {
        self.digest(Field::Target.as_str(), "", &[target_type, "/", id])
    }

    /// Returns the digest of a detail.
    pub(crate) fn detail(&self, key: &str, value: &str) -> u64 {
        self.digest("detail", key, &[value])
    }

    fn digest(&self, name: &str, key: &str, value: &[&str]) -> u64 {
        // No event has U+0000, so that no two lists of parts read the same.
        let mut text = SmallVec::<[u8; 256]>::new();
        for part in [name, "\0", key, "\0"].iter().chain(value) {
            text.extend_from_slice(part.as_bytes());
        }
        self.0.hash(&text)
    }
}

/// The terms of some rows.
#[derive(Debug, Default)]
pub(crate) struct TermList {
    terms: Vec<(u64, u16)>,
}

impl TermList {
    /// Adds the terms of an event that becomes this row.
    pub(crate) fn add(&mut self, key: &TermKey, event: &EventColumns<'_>, row: u32) {
        let row = u16::try_from(row).unwrap_or(u16::MAX);
        for field in [Field::RequestId, Field::TraceId] {
            if let Some(value) = event.value(field) {
                self.terms.push((key.field(field, &value), row));
            }
        }
        self.terms.extend(event.targets.iter().map(|target| (key.target(&target.target_type, &target.id), row)));
        event.each_detail(|name, value| self.terms.push((key.detail(name, value), row)));
    }

    /// Adds the terms of a block.
    pub(crate) fn add_block(&mut self, body: &[u8]) -> Result<(), sqlx::Error> {
        read(body, |digest, row| self.terms.push((digest, row)))
    }

    /// Returns the terms: digests, each with a row.
    pub(crate) fn into_terms(self) -> Vec<(u64, u16)> {
        self.terms
    }

    /// Returns the blocks, each of which begins with a term that no other has.
    pub(crate) fn into_blocks(mut self, bytes: usize) -> Vec<Block> {
        self.terms.sort_unstable();
        self.terms.dedup();
        let blocks = self.terms.chunks((bytes / TERM_BYTES).max(1)).enumerate();
        blocks
            .map(|(n, terms)| {
                let body = terms.iter().flat_map(encode).collect::<Vec<u8>>();
                Block { first: if n == 0 { Vec::new() } else { body[..TERM_BYTES].to_vec() }, body }
            })
            .collect()
    }
}

/// Returns the number of terms in a block.
pub(crate) fn count(body: &[u8]) -> u64 {
    (body.len() / TERM_BYTES) as u64
}

/// Returns the key of the first term of a block.
pub(crate) fn first_key(body: &[u8]) -> Option<&[u8]> {
    body.get(..TERM_BYTES)
}

/// Decodes a block: gives each digest to `visit`, with its row.
///
/// # Errors
/// If the block is not one.
pub(crate) fn read(body: &[u8], mut visit: impl FnMut(u64, u16)) -> Result<(), sqlx::Error> {
    let (terms, rest) = body.as_chunks::<TERM_BYTES>();
    if !rest.is_empty() {
        return Err(sqlx::Error::Decode("a block of the index of a segment is damaged".into()));
    }
    for term in terms {
        let mut digest = [0; 8];
        digest.copy_from_slice(&term[..8]);
        visit(u64::from_be_bytes(digest), u16::from_be_bytes([term[8], term[9]]));
    }
    Ok(())
}

/// Returns the first key that a block with the digest can have, and the first after it that it cannot.
pub(crate) fn span(digest: u64) -> (Vec<u8>, Vec<u8>) {
    let end = digest.checked_add(1).map_or_else(|| vec![u8::MAX; TERM_BYTES + 1], |next| next.to_be_bytes().to_vec());
    (digest.to_be_bytes().to_vec(), end)
}

fn encode((digest, row): &(u64, u16)) -> [u8; TERM_BYTES] {
    let mut bytes = [0; TERM_BYTES];
    bytes[..8].copy_from_slice(&digest.to_be_bytes());
    bytes[8..].copy_from_slice(&row.to_be_bytes());
    bytes
}

const TERM_BYTES: usize = 10;
const DOING: &str = "reading the index";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_found_in_the_blocks_of_its_span(
            terms in prop::collection::vec((prop_oneof![0..4_u64, any::<u64>(), Just(u64::MAX)], any::<u16>()), 0..200),
            asked in prop_oneof![0..5_u64, Just(u64::MAX)],
        ) {
            let blocks = TermList { terms: terms.clone() }.into_blocks(40);
            let (first, end) = span(asked);
            // As the statement chooses them: from the last that begins at or before `first`, to before `end`.
            let begin = blocks.iter().map(|block| &block.first).filter(|key| **key <= first).max().cloned();
            let chosen = blocks.iter().filter(|block| begin.as_ref().is_some_and(|begin| block.first >= *begin));
            let mut found = Vec::new();
            for block in chosen.filter(|block| block.first < end) {
                read(&block.body, |digest, row| if digest == asked { found.push(row) }).unwrap();
            }
            let mut right: Vec<u16> = terms.iter().filter(|(digest, _)| *digest == asked).map(|(_, row)| *row).collect();
            right.sort_unstable();
            right.dedup();
            prop_assert_eq!(found, right);
            let firsts: std::collections::HashSet<_> = blocks.iter().map(|block| block.first.clone()).collect();
            prop_assert_eq!(firsts.len(), blocks.len());
        }
    }
}
