//! Ids of records that have none.

use sha2::{Digest as _, Sha256};

use super::ImportFormat;
use crate::event::{EventId, Timestamp};

/// The first line of what is hashed: it names the rule, so that another rule gives other ids.
const NAMESPACE: &str = "tower-audit/import/v1\n";

/// Returns the id of a record: a UUID of version 8 (RFC 9562) that begins with the milliseconds of its time, as version 7 does.
/// The other 74 bits are the first of SHA-256 over namespace, format, record and the record's number among equal ones.
pub(super) fn derived_id(format: ImportFormat, at: Timestamp, record: &[u8], number: u64) -> EventId {
    let mut hash = Sha256::new();
    hash.update(NAMESPACE);
    hash.update(format.as_str());
    hash.update(b"\n");
    hash.update((record.len() as u64).to_be_bytes());
    hash.update(record);
    hash.update(number.to_be_bytes());
    let digest = hash.finalize();
    let bits = u128::from_be_bytes(std::array::from_fn(|byte| digest[byte]));
    let millis = u128::try_from(at.as_micros().div_euclid(1000)).unwrap_or(0) & 0xffff_ffff_ffff;
    let (high, low) = ((bits >> 64) & 0xfff, bits & 0x3fff_ffff_ffff_ffff);
    EventId::from_u128(millis << 80 | 8 << 76 | high << 64 | 2 << 62 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These ids never change: an import that is repeated with a later version would double its events.
    #[test]
    fn the_rule_is_pinned() {
        let at = "2018-10-20T13:45:30.249Z".parse().unwrap();
        let id = derived_id(ImportFormat::Iq, at, b"{}", 0);
        assert_eq!(id.to_string(), PINNED);
        assert_eq!(id.as_u128() >> 80, u128::try_from(at.as_micros() / 1000).unwrap());
        let others = [
            derived_id(ImportFormat::Ivre, at, b"{}", 0),
            derived_id(ImportFormat::Iq, at, b"{ }", 0),
            derived_id(ImportFormat::Iq, at, b"{}", 1),
        ];
        assert!(others.iter().all(|other| *other != id));
        assert_eq!(derived_id(ImportFormat::Iq, Timestamp::MIN, b"{}", 0).as_u128() >> 80, 0);
    }

    /// Computed by another program.
    const PINNED: &str = "016691b945898fa688fc1f061907cf49";
}
