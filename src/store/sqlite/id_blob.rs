//! Ids as SQLite stores them: blobs of 16 bytes, the highest first, so that they sort as the ids do.

/// Reads an id from a blob.
///
/// # Errors
/// If the blob has not 16 bytes.
pub(super) fn id_of(bytes: &[u8]) -> Result<u128, sqlx::Error> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(u128::from_be_bytes(bytes))
}

/// Returns the blob of an id, to be bound.
pub(super) fn id_bytes(id: u128) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}
