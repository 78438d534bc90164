//! `GET /export`: every event that passes the filters, as a stream.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use tokio::task::JoinSet;

use crate::api::access_log::ExportAccess;
use crate::api::confined_filter::ConfinedQuery;
use crate::api::error::ApiError;
use crate::api::query_params::Params;
use crate::api::read_access::{Admitted, Confined, Recorded};
use crate::event::AuditEvent;
use crate::export::{Csv, EventFormat, EventSource, JsonArray, Jsonl, ProfileFormat};
use crate::query::Cursor;
use crate::store::StoredPage;

/// The events of a page; two pages are in memory at a time. An event has at most 128 KiB, and usually half a KiB.
const PAGE_EVENTS: usize = 1000;

/// Streams every event that passes the filters.
pub(crate) async fn export(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let request = request.confine(&params).await?;
    let Form { format, content_type, disposition } = Form::of(&params)?;
    let query = request.filter().page(PAGE_EVENTS);
    // A failing store is an error status, as long as no byte is sent.
    let first = Page::read(&request, &query, format.takes_json()).await?;
    let access = request.access_event().params(&params).detail("format", params.format);
    let access = match params.profile {
        Some(profile) => access.detail("profile", profile.as_str()),
        None => access,
    };
    let access = request.record_export(access).await?;
    Ok(access.map(|access| {
        let mut pages =
            ExportPages { request: Arc::new(request), query, format, access, ahead: JoinSet::new(), next: None };
        pages.next = Some(pages.read_ahead(first));
        let mut response = Response::new(Body::from_stream(stream::try_unfold(pages, ExportPages::chunk)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
        response
    }))
}

/// The format of an export, and what the headers say of it.
struct Form {
    format: Box<dyn EventFormat + Send>,
    content_type: &'static str,
    disposition: &'static str,
}

impl Form {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let (csv, json, jsonl, text) = (
            "attachment; filename=\"audit.csv\"",
            "attachment; filename=\"audit.json\"",
            "attachment; filename=\"audit.jsonl\"",
            "attachment; filename=\"audit.log\"",
        );
        let (format, content_type, disposition): (Box<dyn EventFormat + Send>, _, _) =
            match (params.format, params.profile) {
                ("csv", None) => (Box::new(Csv::new()), "text/csv; charset=utf-8; header=present", csv),
                ("json", None) => (Box::<JsonArray>::default(), "application/json", json),
                (_, None) => (Box::new(Jsonl), "application/jsonl", jsonl),
                ("csv", Some(profile)) => {
                    let why = format!("profile: {profile} has no CSV: expected the format jsonl, or no profile");
                    return Err(ApiError::BadRequest(why));
                }
                ("json", Some(profile)) => match ProfileFormat::array(profile, EventSource::default()) {
                    Some(array) => (Box::new(array), profile.array_content_type(), json),
                    None => {
                        let why = format!("profile: {profile} is lines of text: expected the format jsonl");
                        return Err(ApiError::BadRequest(why));
                    }
                },
                (_, Some(profile)) => {
                    let lines = ProfileFormat::lines(profile, EventSource::default());
                    (Box::new(lines), profile.content_type(), if profile.is_json() { jsonl } else { text })
                }
            };
        Ok(Self { format, content_type, disposition })
    }
}

/// The pages of an export that are not sent yet. One page is sent while the next is read, as fast as the client takes
/// them.
struct ExportPages {
    request: Arc<Confined>,
    query: ConfinedQuery,
    format: Box<dyn EventFormat + Send>,
    access: Option<ExportAccess>,
    /// The page that is being read; dropping the export cancels the read.
    ahead: JoinSet<Result<Page, ApiError>>,
    /// The page to send next, unless it is still being read.
    next: Option<Page>,
}

/// A page of an export.
enum Page {
    Events(Vec<AuditEvent>),
    /// As the store keeps it, and the query that it answers.
    Stored(StoredPage, Box<ConfinedQuery>),
}

impl Page {
    async fn read(request: &Confined, query: &ConfinedQuery, takes_json: bool) -> Result<Self, ApiError> {
        if takes_json && let Some(page) = request.query_stored(query).await? {
            return Ok(Self::Stored(page, Box::new(query.clone())));
        }
        request.query(query).await.map(Self::Events)
    }

    fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Stored(page, _) => page.len(),
        }
    }

    fn last(&self) -> Option<Cursor> {
        match self {
            Self::Events(events) => events.last().map(Cursor::of),
            Self::Stored(page, _) => page.last(),
        }
    }
}

impl ExportPages {
    /// Starts reading the page after this one. A page with fewer events than its limit is the last.
    fn read_ahead(&mut self, page: Page) -> Page {
        if page.len() == self.query.limit {
            self.query = self.query.clone().after(page.last());
            let (request, query) = (Arc::clone(&self.request), self.query.clone());
            let takes_json = self.format.takes_json();
            self.ahead.spawn(async move { Page::read(&request, &query, takes_json).await });
        }
        page
    }

    /// Returns the next chunk. After an error the body ends as incomplete, so that the client notices.
    async fn chunk(mut self) -> Result<Option<(Bytes, Self)>, ExportAborted> {
        match self.write().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, self))),
            Err(broken) => {
                if let Some(access) = &mut self.access {
                    access.abandon("error");
                }
                Err(broken)
            }
        }
    }

    /// Writes the events of a page and returns their number.
    async fn write_page(&mut self, page: &Page, chunk: &mut Vec<u8>) -> Result<usize, ExportAborted> {
        match page {
            Page::Events(events) => self.format.write_page(events, chunk)?,
            Page::Stored(page, query) => match page.check(&query.filter) {
                Some(texts) => {
                    for json in texts {
                        self.format.write_json(json, chunk)?;
                    }
                }
                // One of them is to be shown otherwise.
                None => {
                    let events = read_again(&self.request, page, query).await.map_err(|_| ExportAborted)?;
                    self.format.write_page(&events, chunk)?;
                    return Ok(events.len());
                }
            },
        }
        Ok(page.len())
    }

    async fn write(&mut self) -> Result<Option<Bytes>, ExportAborted> {
        let page = match self.next.take() {
            Some(first) => first,
            None => match self.ahead.join_next().await {
                None => return Ok(None),
                Some(Ok(Ok(page))) => {
                    let page = self.read_ahead(page);
                    // Lets the task of the next page start before this page is formatted.
                    tokio::task::yield_now().await;
                    page
                }
                Some(_) => return Err(ExportAborted),
            },
        };
        let mut chunk = Vec::new();
        let written = self.write_page(&page, &mut chunk).await?;
        let is_last = self.ahead.is_empty();
        if let Some(access) = &mut self.access {
            access.release(written);
        }
        if is_last {
            self.format.finish(&mut chunk)?;
            if let Some(access) = &mut self.access {
                access.complete().await.map_err(|_| ExportAborted)?;
            }
        }
        Ok(Some(chunk.into()))
    }
}

/// Reads the events from the first to the last of a page. The page after it is read already, so whatever was appended meanwhile
/// must not move the end:
///
/// t0: the page is read, events 2000 to 1001; the next page begins after event 1001.
/// t1: event 2001 is appended, which records this export.
/// t2: the same query now ends with event 1002.
async fn read_again(request: &Confined, page: &StoredPage, query: &ConfinedQuery) -> Result<Vec<AuditEvent>, ApiError> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Vec::new()) };
    let mut query = query.clone().after(first.just_before());
    let mut events = Vec::with_capacity(page.len());
    // More than one page if events were appended between those of this one.
    loop {
        let read = request.query(&query).await?;
        let end = read.last().filter(|_| read.len() == query.limit).map(Cursor::of);
        events.extend(read.into_iter().take_while(|event| Cursor::of(event) >= last));
        match end {
            Some(end) if end > last => query = query.after(Some(end)),
            _ => return Ok(events),
        }
    }
}

/// The export broke off. The text names no cause: the server may log it.
#[derive(Debug)]
struct ExportAborted;

impl fmt::Display for ExportAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the export of the audit log broke off")
    }
}

impl std::error::Error for ExportAborted {}

/// Writing to memory does not fail, nor does the JSON of an event.
impl From<io::Error> for ExportAborted {
    fn from(_: io::Error) -> Self {
        Self
    }
}
