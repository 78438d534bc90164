//! `GET /{id}/proof`: the proof that an event is in the log.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};

/// Returns the proof of one event, for a `.tlog-proof` file.
pub(crate) async fn proof(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let id = request.id()?;
    let request = request.confine(&params).await?;
    let access = request.access_event().detail("event_id", id.to_string());
    let event = request.find(id, &access).await?;
    let Some(proof) = request.prove(&event).await? else {
        // The caller may see the event, so the answer tells nothing of events of others.
        request.record(access.rejected(ApiError::NoProof.status()), ()).await?;
        return Err(ApiError::NoProof);
    };
    let proof = request.record(access.count(1), proof).await?;
    proof.try_map(|proof| {
        let mut response = Response::new(Body::from(proof.to_string()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let name = format!("attachment; filename=\"{id}.tlog-proof\"");
        let name = HeaderValue::try_from(name).map_err(|_| ApiError::StoreFailed)?;
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
        Ok(response)
    })
}
