//! `GET /`: a page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::LINK;
use http::{HeaderName, HeaderValue};

use super::answer::json;
use super::api::Api;
use super::operation::Operation;
use super::reading::Reading;
use super::record::Record;
use super::refusal::Refusal;
use crate::export::{JsonArray, Listing as _};
use crate::query::Query;

/// The header of a page that is followed by another: the cursor to ask with. There is none on the last page.
pub const AUDIT_NEXT_CURSOR: HeaderName = HeaderName::from_static("audit-next-cursor");

pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let reading = Reading::admit(api, &Operation::LIST, request.into_parts().0).await?;
    let asked = reading.asked()?;
    let filter = reading.confine(&asked).await?;
    // One more than is shown tells whether there is another page.
    let query = Query { filter, after: asked.after, skip: asked.skip, limit: asked.limit() + 1 };
    let mut events = reading.query(&query).await?;
    let is_followed = events.len() > asked.limit();
    events.truncate(asked.limit());
    reading.record(Record::of(&reading).asked(&asked).count(events.len() as u64)).await?;

    let mut body = Vec::new();
    let mut listing = JsonArray::default();
    listing.page(&events, &mut body).and_then(|()| listing.end(&mut body)).map_err(|_| Refusal::StoreFailed)?;
    let mut response = json(body).into_response();
    if let Some(last) = events.last().filter(|_| is_followed) {
        let cursor = asked.cursor_after(last, &reading.caller);
        // Relative to the request, wherever proxies and mounts have put the API.
        let link = format!("<?{}>; rel=\"next\"", asked.following(&cursor));
        for (name, value) in [(LINK, link), (AUDIT_NEXT_CURSOR, cursor)] {
            let value = HeaderValue::try_from(value).expect("both are made of visible ASCII");
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
