//! `GET /count`: a number.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::answer::json;
use super::api::Api;
use super::operation::Operation;
use super::reading::Reading;
use super::record::Record;
use super::refusal::Refusal;

pub(super) async fn count(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let reading = Reading::admit(api, &Operation::COUNT, request.into_parts().0).await?;
    let asked = reading.asked()?;
    let filter = reading.confine(&asked).await?;
    let count = reading.count(&filter).await?;
    reading.record(Record::of(&reading).asked(&asked).count(count)).await?;
    Ok(json(format!("{count}\n")))
}
