//! `GET /count`: a number.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::access_log::AccessEvent;
use super::authorized::Admitted;
use super::error::ApiError;
use super::operation::Operation;
use super::response::json;
use super::router::ApiState;

pub(super) async fn count(State(api): State<Arc<ApiState>>, request: Request) -> Result<Response, ApiError> {
    let reading = Admitted::admit(api, &Operation::COUNT, request.into_parts().0).await?;
    let asked = reading.params()?;
    let filter = reading.confine(&asked).await?;
    let count = reading.count(&filter).await?;
    reading.record(AccessEvent::of(&reading).asked(&asked).count(count)).await?;
    Ok(json(format!("{count}\n")))
}
