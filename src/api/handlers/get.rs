//! `GET /{id}`: an event.

use axum::response::Response;

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};
use crate::api::response::json;
use crate::export::to_json;

/// Returns one event.
pub(crate) async fn get(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let id = request.id()?;
    let request = request.confine(&params).await?;
    let access = request.access_event().detail("event_id", id.to_string());
    let event = request.find(id, &access).await?;
    let event = request.record(access.count(1), event).await?;
    event.try_map(|event| Ok(json(to_json(&event).map_err(|_| ApiError::StoreFailed)? + "\n")))
}
