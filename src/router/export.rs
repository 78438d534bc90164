//! `GET /export`: every event that passes, as a stream.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use tokio::task::JoinSet;

use super::api::Api;
use super::operation::Operation;
use super::reading::Reading;
use super::record::{ExportRecord, Record};
use super::refusal::Refusal;
use crate::event::AuditEvent;
use crate::export::{Csv, JsonArray, JsonLines, Listing};
use crate::query::{Cursor, Query};

/// How many events a page has; two pages are in memory at a time. An event has 64 KiB at the most, and half a KiB usually.
const PAGE_EVENTS: usize = 1000;

pub(crate) async fn export(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Refusal> {
    let reading = Reading::admit(api, &Operation::EXPORT, request.into_parts().0).await?;
    let asked = reading.asked()?;
    let query = Query::new(reading.confine(&asked).await?, PAGE_EVENTS);
    let (listing, content_type, disposition): (Box<dyn Listing + Send>, _, _) = match asked.format {
        "csv" => {
            (Box::new(Csv::new()), "text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\"")
        }
        "json" => (Box::<JsonArray>::default(), "application/json", "attachment; filename=\"audit.json\""),
        _ => (Box::new(JsonLines), "application/x-ndjson", "attachment; filename=\"audit.ndjson\""),
    };
    // A store that cannot be read at all says so in the status.
    let first = reading.query(&query).await?;
    let record = match reading.readings() {
        Some(log) => {
            let record = Record::of(&reading).asked(&asked).detail("format", asked.format);
            Some(ExportRecord::begin(log, record).await.map_err(|_| Refusal::Unrecorded)?)
        }
        None => None,
    };
    let mut pages = Pages { reading: Arc::new(reading), query, listing, record, ahead: JoinSet::new(), next: None };
    pages.next = Some(pages.read_ahead(first));
    let body = Body::from_stream(stream::try_unfold(pages, Pages::chunk));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    Ok(response)
}

/// What is left of an export. It goes on only as fast as the client takes it: one page is written while the next is
/// read, so that the store and the server both have work.
struct Pages {
    reading: Arc<Reading>,
    query: Query,
    listing: Box<dyn Listing + Send>,
    record: Option<ExportRecord>,
    /// The page that is being read; a reading ends with the export.
    ahead: JoinSet<Result<Vec<AuditEvent>, Refusal>>,
    /// The page to write now; none: the one that is being read.
    next: Option<Vec<AuditEvent>>,
}

impl Pages {
    /// Begins to read what comes after a page, if anything does.
    fn read_ahead(&mut self, page: Vec<AuditEvent>) -> Vec<AuditEvent> {
        if page.len() == self.query.limit {
            self.query.after = page.last().map(Cursor::of);
            let (reading, query) = (Arc::clone(&self.reading), self.query.clone());
            self.ahead.spawn(async move { reading.query(&query).await });
        }
        page
    }

    /// The next page, and what is left after it. After an error the stream ends without an end, so that a client can
    /// tell that something is missing.
    async fn chunk(mut self) -> Result<Option<(Bytes, Self)>, Broken> {
        match self.write().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, self))),
            Err(broken) => {
                if let Some(record) = &mut self.record {
                    record.abandon("error");
                }
                Err(broken)
            }
        }
    }

    async fn write(&mut self) -> Result<Option<Bytes>, Broken> {
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
                Some(_) => return Err(Broken),
            },
        };
        let mut chunk = Vec::new();
        self.listing.page(&page, &mut chunk)?;
        let is_last = self.ahead.is_empty();
        if let Some(record) = &mut self.record {
            record.release(page.len());
        }
        if is_last {
            self.listing.end(&mut chunk)?;
            if let Some(record) = &mut self.record {
                record.complete().await.map_err(|_| Broken)?;
            }
        }
        Ok(Some(chunk.into()))
    }
}

/// The stream broke off. Its text goes to the server's own log at most, and names no cause.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the export of the audit log broke off")
    }
}

impl std::error::Error for Broken {}

/// Writing to memory does not fail, nor does the JSON of an event.
impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}
