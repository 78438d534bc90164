//! `GET /export`: every event that passes, as a stream.

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
use crate::api::authorized::{Admitted, Confined, Recorded};
use crate::api::confined_filter::ConfinedQuery;
use crate::api::error::ApiError;
use crate::event::AuditEvent;
use crate::export::{Csv, EventFormat, JsonArray, Jsonl};
use crate::query::Cursor;

/// How many events a page has; two pages are in memory at a time. An event has 64 KiB at the most, and half a KiB usually.
const PAGE_EVENTS: usize = 1000;

/// Streams every event that passes the filters.
pub(crate) async fn export(request: Admitted) -> Result<Recorded<Response>, ApiError> {
    let params = request.params()?;
    let request = request.confine(&params).await?;
    let (format, content_type, disposition): (Box<dyn EventFormat + Send>, _, _) = match params.format {
        "csv" => {
            (Box::new(Csv::new()), "text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\"")
        }
        "json" => (Box::<JsonArray>::default(), "application/json", "attachment; filename=\"audit.json\""),
        _ => (Box::new(Jsonl), "application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
    };
    let query = request.filter().page(PAGE_EVENTS);
    // A store that cannot be read at all says so in the status.
    let first = request.query(&query).await?;
    let access = request.access_event().asked(&params).detail("format", params.format);
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

/// What is left of an export. It goes on only as fast as the client takes it: one page is written while the next is
/// read, so that the store and the server both have work.
struct ExportPages {
    request: Arc<Confined>,
    query: ConfinedQuery,
    format: Box<dyn EventFormat + Send>,
    access: Option<ExportAccess>,
    /// The page that is being read; a reading ends with the export.
    ahead: JoinSet<Result<Vec<AuditEvent>, ApiError>>,
    /// The page to write now; none: the one that is being read.
    next: Option<Vec<AuditEvent>>,
}

impl ExportPages {
    /// Begins to read what comes after a page, if anything does.
    fn read_ahead(&mut self, page: Vec<AuditEvent>) -> Vec<AuditEvent> {
        if page.len() == self.query.limit {
            self.query = self.query.clone().after(page.last().map(Cursor::of));
            let (request, query) = (Arc::clone(&self.request), self.query.clone());
            self.ahead.spawn(async move { request.query(&query).await });
        }
        page
    }

    /// The next page, and what is left after it. After an error the stream ends without an end, so that a client can
    /// tell that something is missing.
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

    async fn write(&mut self) -> Result<Option<Bytes>, ExportAborted> {
        let page = match self.next.take() {
            Some(first) => first,
            None => match self.ahead.join_next().await {
                None => return Ok(None),
                Some(Ok(Ok(page))) => {
                    let page = self.read_ahead(page);
                    // The reading begins on this thread, and would wait for the writing of this page to be over.
                    tokio::task::yield_now().await;
                    page
                }
                Some(_) => return Err(ExportAborted),
            },
        };
        let mut chunk = Vec::new();
        self.format.write_page(&page, &mut chunk)?;
        let is_last = self.ahead.is_empty();
        if let Some(access) = &mut self.access {
            access.release(page.len());
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

/// The stream broke off. Its text goes to the server's own log at most, and names no cause.
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
