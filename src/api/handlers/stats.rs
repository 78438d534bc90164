//! `GET /stats`: counts by value and over time.

use axum::response::Response;

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};
use crate::api::response::json;
use crate::export::to_json;

/// Counts the events by value and over time.
pub(crate) async fn stats(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let (since, until) = params.span()?;
    let request = request.confine(&params).await?;
    let filter = request.filter().with(|filter| (filter.since, filter.until) = (Some(since), Some(until)));
    let statistics = request.statistics(&filter, &params.by, params.top, params.buckets).await?;
    let access = request.access_event().params(&params).count(statistics.total);
    let statistics = request.record(access, statistics).await?;
    statistics.try_map(|statistics| Ok(json(to_json(&statistics).map_err(|_| ApiError::StoreFailed)? + "\n")))
}
