//! `GET /count`: a number.

use axum::response::Response;

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};
use crate::api::response::json;

/// Counts the events that pass the filters.
pub(crate) async fn count(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let request = request.confine(&params).await?;
    let count = request.count(request.filter()).await?;
    let count = request.record(request.access_event().params(&params).count(count), count).await?;
    Ok(count.map(|count| json(format!("{count}\n"))))
}
