//! `GET /{id}`: an event.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;

use super::answer::json;
use super::api::Api;
use super::operation::Operation;
use super::reading::Reading;
use super::record::Record;
use super::refusal::Refusal;
use crate::event::EventId;
use crate::export::to_json;

pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    // Bytes that are not UTF-8 are looked at when it is their turn, after who is asking.
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let reading = Reading::admit(api, &Operation::GET, request.into_parts().0).await?;
    reading.asked()?;
    let id = id(params)?;
    let record = Record::of(&reading).detail("event_id", id.to_string());
    let Some(event) = reading.get(id).await? else {
        reading.record(record.refused(Refusal::NotFound.status())).await?;
        return Err(Refusal::NotFound);
    };
    reading.record(record.count(1)).await?;
    Ok(json(to_json(&event).map_err(|_| Refusal::StoreFailed)? + "\n"))
}

pub(crate) fn id(params: Result<RawPathParams, RawPathParamsRejection>) -> Result<EventId, Refusal> {
    let params = params.map_err(|_| Refusal::Malformed("event_id: it is not UTF-8: expected a UUID".into()))?;
    let text = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
    text.parse().map_err(|error| Refusal::Malformed(format!("{error}")))
}
