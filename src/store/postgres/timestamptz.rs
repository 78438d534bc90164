//! A time as PostgreSQL's own `timestamptz`, in binary: no text, no session time zone, no rounding.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
use sqlx::{Decode, Encode, Type};

use crate::event::Timestamp;

/// A moment, as a parameter or in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamptz(pub(super) Timestamp);

/// The numbers of the types are fixed in PostgreSQL's catalog.
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
/// From 1970 to 2000, where PostgreSQL begins to count.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

impl Type<Postgres> for Timestamptz {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Timestamptz {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Timestamptz {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&(self.0.as_micros() - EPOCH_MICROS).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Timestamptz {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        StoredTime::decode(value).map(|stored| Self(stored.time))
    }
}

/// A time in a row. PostgreSQL has times that no event can have, `infinity` and years B.C. among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredTime {
    /// The nearest time that an event can have.
    pub(super) time: Timestamp,
    /// True if the row has another time.
    pub(super) is_clamped: bool,
}

impl Type<Postgres> for StoredTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Decode<'_, Postgres> for StoredTime {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a time that is not in binary".into());
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?).saturating_add(EPOCH_MICROS);
        let time = Timestamp::from_micros_clamped(micros);
        Ok(Self { time, is_clamped: time.as_micros() != micros })
    }
}
