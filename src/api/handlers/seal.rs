//! `GET /{id}/seal`: the state of an event in the seal.

use axum::response::Response;

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};
use crate::api::response::json;
use crate::export::to_json;

/// Returns the state of one event.
pub(crate) async fn seal(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let id = request.id()?;
    let request = request.confine(&params).await?;
    let access = request.access_event().detail("event_id", id.to_string());
    let event = request.find(id, &access).await?;
    let state = request.seal_state(&event).await?;
    let state = request.record(access.count(1), state).await?;
    state.try_map(|state| Ok(json(to_json(&state).map_err(|_| ApiError::StoreFailed)? + "\n")))
}
