//! `GET /`: a page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::LINK;
use http::{HeaderName, HeaderValue};

use crate::api::authorized::Admitted;
use crate::api::error::ApiError;
use crate::api::operation::Operation;
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::export::{EventFormat as _, JsonArray};
use crate::query::PageQuery;

/// The header of a page that is followed by another: the cursor to ask with. There is none on the last page.
pub const AUDIT_NEXT_CURSOR: HeaderName = HeaderName::from_static("audit-next-cursor");

pub(crate) async fn list(State(api): State<Arc<ApiState>>, request: Request) -> Result<Response, ApiError> {
    let reading = Admitted::admit(api, &Operation::LIST, request.into_parts().0).await?;
    let asked = reading.params()?;
    let filter = reading.confine(&asked).await?;
    // One more than is shown tells whether there is another page.
    let query = PageQuery { filter, after: asked.after, skip: asked.skip, limit: asked.limit() + 1 };
    let mut events = reading.query(&query).await?;
    let is_followed = events.len() > asked.limit();
    events.truncate(asked.limit());
    reading.record(reading.access_event().asked(&asked).count(events.len() as u64)).await?;

    let mut body = Vec::new();
    let mut listing = JsonArray::default();
    listing
        .write_page(&events, &mut body)
        .and_then(|()| listing.finish(&mut body))
        .map_err(|_| ApiError::StoreFailed)?;
    let mut response = json(body).into_response();
    if let Some(last) = events.last().filter(|_| is_followed) {
        let cursor = asked.cursor_after(last, &reading.caller);
        // Relative to the request, wherever proxies and mounts have put the API.
        let link = format!("<?{}>; rel=\"next\"", asked.query_at(&cursor));
        for (name, value) in [(LINK, link), (AUDIT_NEXT_CURSOR, cursor)] {
            let value = HeaderValue::try_from(value).expect("both are made of visible ASCII");
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
