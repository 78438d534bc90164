//! JSON as PostgreSQL's `text`, written right where the message to the server is made.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, Postgres};
use sqlx::{Encode, Type};

use crate::event::WriteJson;

/// A parameter that is serialized as JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonText<'a, T>(pub(super) &'a T);

impl<T> Type<Postgres> for JsonText<'_, T> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<T> PgHasArrayType for JsonText<'_, T> {
    fn array_type_info() -> PgTypeInfo {
        <&str as PgHasArrayType>::array_type_info()
    }
}

impl<T: WriteJson> Encode<'_, Postgres> for JsonText<'_, T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.0.write_json(buffer)?;
        Ok(IsNull::No)
    }
}
