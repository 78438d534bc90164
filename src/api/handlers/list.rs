//! `GET /`: a page of events.

use axum::response::Response;
use http::header::LINK;
use http::{HeaderName, HeaderValue};

use crate::api::error::ApiError;
use crate::api::read_access::{Admitted, Recorded};
use crate::api::response::json;
use crate::export::{EventFormat as _, JsonArray};

/// The header with the cursor of the next page. The last page has none.
pub const AUDIT_NEXT_CURSOR: HeaderName = HeaderName::from_static("audit-next-cursor");

/// The header with the names of the filters that the store has no index for. Absent if there are none.
pub const AUDIT_UNINDEXED: HeaderName = HeaderName::from_static("audit-unindexed");

/// Returns a page of events.
pub(crate) async fn list(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let request = request.confine(&params).await?;
    // One more event than the page has tells whether there is another page.
    let query = request.filter().page(params.limit() + 1).after(params.after).skip(params.skip);
    let mut events = request.query(&query).await?;
    let has_more = events.len() > params.limit();
    events.truncate(params.limit());
    let access = request.access_event().params(&params).count(events.len() as u64);
    let events = request.record(access, events).await?;

    events.try_map(|events| {
        let mut body = Vec::new();
        let mut format = JsonArray::default();
        format
            .write_page(&events, &mut body)
            .and_then(|()| format.finish(&mut body))
            .map_err(|_| ApiError::StoreFailed)?;
        let mut response = json(body);
        let unindexed = request.unindexed().join(", ");
        if !unindexed.is_empty() {
            let value = HeaderValue::try_from(unindexed).expect("names are visible ASCII");
            response.headers_mut().insert(AUDIT_UNINDEXED, value);
        }
        if let Some(last) = events.last().filter(|_| has_more) {
            let cursor = params.cursor_after(last, request.caller());
            // Relative to the request, so that it holds below any prefix.
            let link = format!("<?{}>; rel=\"next\"", params.query_at(&cursor));
            for (name, value) in [(LINK, link), (AUDIT_NEXT_CURSOR, cursor)] {
                let value = HeaderValue::try_from(value).expect("both are made of visible ASCII");
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    })
}
