//! The history of an object: its events, newest first, each with what it changed.

use askama::Template;
use axum::response::Response;

use super::PageRequest;
use super::events::LoadedPage;
use crate::api::Caller;
use crate::api::error::ApiError;
use crate::api::query_params::Params;
use crate::api::read_access::Recorded;
use crate::query::Cursor;
use crate::viewer::assets;
use crate::viewer::change_rows::ChangeRows;
use crate::viewer::event_row::EventRow;
use crate::viewer::links::{Links, raw_filters, redirect};
use crate::viewer::response::page as answer;
use crate::viewer::safe_html::SafeText;

#[derive(Template)]
#[template(path = "history.html", config = "src/viewer/askama.toml")]
struct HistoryPage<'a> {
    root: &'a str,
    style: &'static str,
    caller: SafeText<'a>,
    is_admin: bool,
    objects: Vec<SafeText<'a>>,
    list: String,
    /// The link to the other way of folding.
    turned: String,
    is_folded: bool,
    items: Vec<HistoryItem<'a>>,
    newest: Option<String>,
    older: Option<String>,
}

struct HistoryItem<'a> {
    row: EventRow<'a>,
    changes: ChangeRows<'a>,
}

/// Shows the events of the objects that the filter `target` names. Without one, it is the list.
pub(in crate::viewer) async fn history(request: PageRequest) -> Result<Recorded<Response>, ApiError> {
    let PageRequest { admitted, links } = request;
    let params = admitted.params()?.folded_by_default();
    if params.filter.target.is_empty() {
        return redirect(&links.list(raw_filters(&params)));
    }
    let request = admitted.confine(&params).await?;
    let loaded = LoadedPage::read(&request, &params).await?;
    let access = request.access_event().params(&params).count(loaded.events.len() as u64);
    let loaded = request.record(access, loaded).await?;
    loaded.try_map(|loaded| render(&loaded, &params, request.caller(), &links))
}

fn render(loaded: &LoadedPage, params: &Params, caller: &Caller, links: &Links) -> Result<Response, ApiError> {
    let limit = params.explicit_limit().map(|limit| limit.to_string());
    let link = |more: &[(&str, &str)]| {
        let limit = limit.as_deref().map(|limit| ("limit", limit));
        links.to("history", raw_filters(params).chain(limit).chain(more.iter().copied()))
    };
    let others = raw_filters(params).filter(|(name, _)| *name != "folded");
    let turned = others.chain(params.filter.folded.then_some(("folded", "false")));
    let item = |event| HistoryItem { row: EventRow::of(event, links, params.now), changes: ChangeRows::of(event) };
    let older = loaded.events.last().filter(|_| loaded.is_followed).map(Cursor::of);
    let objects = raw_filters(params).filter(|(name, _)| *name == "target");
    answer(&HistoryPage {
        root: links.root(),
        style: assets::style_name(),
        caller: SafeText::line(caller.name()),
        is_admin: caller.is_admin(),
        objects: objects.map(|(_, value)| SafeText::line(value)).collect(),
        list: links.list(raw_filters(params)),
        turned: links.to("history", turned),
        is_folded: params.filter.folded,
        items: loaded.events.iter().map(item).collect(),
        newest: loaded.is_preceded.then(|| link(&[])),
        older: older.map(|place| link(&[("cursor", &params.cursor_at(place, caller))])),
    })
}
