//! `GET /{id}`: an event.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;

use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::operation::Operation;
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::event::EventId;
use crate::export::to_json;

pub(crate) async fn get(
    State(api): State<Arc<ApiState>>,
    // Bytes that are not UTF-8 are looked at when it is their turn, after who is asking.
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let reading = Admitted::admit(api, &Operation::GET, request.into_parts().0).await?;
    reading.params()?;
    let id = id(params)?;
    let record = reading.access_event().detail("event_id", id.to_string());
    let Some(event) = reading.get(id).await? else {
        reading.record(record.rejected(ApiError::NotFound.status())).await?;
        return Err(ApiError::NotFound);
    };
    reading.record(record.count(1)).await?;
    Ok(json(to_json(&event).map_err(|_| ApiError::StoreFailed)? + "\n"))
}

pub(crate) fn id(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<EventId, ApiError> {
    let params = params.map_err(|_| ApiError::BadRequest("event_id: it is not UTF-8: expected a UUID".into()))?;
    let text = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
    text.parse().map_err(|error| ApiError::BadRequest(format!("{error}")))
}
