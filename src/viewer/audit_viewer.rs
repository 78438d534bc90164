//! The router of the viewer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{map_response, map_response_with_state};
use axum::response::IntoResponse as _;
use axum::routing::{self, MethodRouter};
use http::request::Parts;

use super::links::Links;
use super::operations::{EVENT, EVENTS, HISTORY, OVERVIEW};
use super::pages::{PageRequest, error_page};
use super::state::{SharedState, ViewerState};
use super::{assets, pages, response};
use crate::AuditLog;
use crate::api::audit_api::read_route;
use crate::api::operation::Operation;
use crate::api::read_access::{Admitted, ReadHandler};
use crate::api::response::reject_method;
use crate::api::state::ApiState;
use crate::api::{AuditApi, Gate, handlers};
use crate::store::{AuditStore, StoreError};

/// The viewer of a store, behind a gate; see [the module](super).
#[derive(Debug)]
pub struct AuditViewer {
    api: ApiState,
    sign_in: Option<String>,
}

impl AuditViewer {
    /// The default timeout of the gate and of each query, the API's.
    pub const DEFAULT_TIMEOUT: Duration = AuditApi::DEFAULT_TIMEOUT;

    /// The viewer of the store of this log. If auditing is off or the store cannot be read, every page is a 501.
    pub fn new(log: &AuditLog, gate: impl Gate) -> Self {
        Self { api: ApiState::new(log.store().cloned(), gate), sign_in: None }
    }

    /// The viewer of a store without a log, such as one that another service writes.
    pub fn from_store(store: Arc<dyn AuditStore>, gate: impl Gate) -> Self {
        Self { api: ApiState::new(Some(store), gate), sign_in: None }
    }

    /// Records every read in `log` before anything is shown, as [`AuditApi::record_reads`] does. `details.read` is
    /// `view_list`, `view_get`, `view_history` or `view_stats`; downloads have the names of the API.
    #[must_use]
    pub fn record_reads(mut self, log: &AuditLog) -> Self {
        self.api.read_log = Some(log.clone());
        self
    }

    /// Sets the timeout of the gate and of each query, after which the response is 503.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.api.timeout = timeout;
        self
    }

    /// Sets the app's sign-in page, such as `/login`, linked for callers that the gate does not know. It may be
    /// relative to the page.
    #[must_use]
    pub fn sign_in_url(mut self, place: impl Into<String>) -> Self {
        self.sign_in = Some(place.into());
        self
    }

    /// Checks that the store's account may read events, as [`AuditApi::check`] does.
    ///
    /// # Errors
    /// The account may not read, and the error names the missing right; or the store fails.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.api.check_access().await
    }

    /// Returns the routes below `at`: `/audit/ui`, or an empty text for the root. Merge them into the app's router, which
    /// may be nested under any prefix and behind a proxy with a prefix of its own: every link is relative.
    ///
    /// # Panics
    /// If `at` does not begin with `/` or is not a valid path of axum.
    pub fn router<S>(self, at: &str) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let at = at.trim_end_matches('/');
        let api = Arc::new(self.api);
        api.warn_if_denied("viewer");
        let shared = SharedState::new(ViewerState { api, sign_in: self.sign_in });
        let page = |route: MethodRouter<SharedState>, root: &'static str| -> MethodRouter<SharedState> {
            route.layer(map_response_with_state(shared.clone(), pages::reject_method(root)))
        };
        let download = |route: MethodRouter<SharedState>| -> MethodRouter<SharedState> {
            route.layer(map_response(reject_method))
        };
        let list = || page(page_route(&EVENTS, Links::from_mount, pages::events), Links::HERE);
        let overview = page_route(&OVERVIEW, |_| Links::from(Links::HERE), pages::overview);
        let history = page_route(&HISTORY, |_| Links::from(Links::HERE), pages::history);
        let event = page_route(&EVENT, |_| Links::from(Links::ABOVE), pages::event);
        let mut router = Router::new();
        if !at.is_empty() {
            router = router.route(at, list());
        }
        #[cfg(feature = "seal")]
        {
            let proof = download(read_route(&Operation::PROOF, handlers::proof));
            router = router.route(&format!("{at}{}/proof", EVENT.path), proof);
        }
        router
            .route(&format!("{at}{}", EVENTS.path), list())
            .route(&format!("{at}{}", OVERVIEW.path), page(overview, Links::HERE))
            .route(&format!("{at}{}", HISTORY.path), page(history, Links::HERE))
            .route(&format!("{at}{}", EVENT.path), page(event, Links::ABOVE))
            .route(&format!("{at}{}/json", EVENT.path), download(read_route(&Operation::GET, handlers::get)))
            .route(&format!("{at}/export"), download(read_route(&Operation::EXPORT, handlers::export)))
            .route(&format!("{at}/{}", assets::style_name()), routing::get(assets::style))
            .route(&format!("{at}/{}", assets::ICON_NAME), routing::get(assets::icon))
            .layer(map_response(response::with_security_headers))
            .with_state(shared)
    }
}

/// A route of a page. The gate comes first, and only a recorded response leaves; an error becomes a page, too.
fn page_route(
    operation: &'static Operation,
    links: fn(&Parts) -> Links,
    handler: impl ReadHandler<PageRequest>,
) -> MethodRouter<SharedState> {
    routing::get(async move |State(viewer): State<SharedState>, request: Request| {
        let head = request.into_parts().0;
        let links = links(&head);
        let response = match Admitted::admit(viewer.api.clone(), operation, head).await {
            Ok(admitted) => handler.call(PageRequest { admitted, links: links.clone() }).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => response.into_response(),
            Err(error) => error_page(&viewer, &links, error),
        }
    })
}
