//! `GET /count`: a number.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::operation::Operation;
use crate::api::response::json;
use crate::api::state::ApiState;

pub(crate) async fn count(State(api): State<Arc<ApiState>>, request: Request) -> Result<Response, ApiError> {
    let reading = Admitted::admit(api, &Operation::COUNT, request.into_parts().0).await?;
    let asked = reading.params()?;
    let filter = reading.confine(&asked).await?;
    let count = reading.count(&filter).await?;
    reading.record(reading.access_event().asked(&asked).count(count)).await?;
    Ok(json(format!("{count}\n")))
}
