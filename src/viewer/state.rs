//! The state of the viewer's routes.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use crate::api::state::ApiState;

/// The state of the pages.
#[derive(Debug)]
pub(super) struct ViewerState {
    pub(super) api: Arc<ApiState>,
    /// The URL of the app's sign-in page.
    pub(super) sign_in: Option<String>,
}

/// The state of the router.
#[derive(Debug, Clone)]
pub(super) struct SharedState(Arc<ViewerState>);

impl SharedState {
    pub(super) fn new(viewer: ViewerState) -> Self {
        Self(Arc::new(viewer))
    }
}

impl Deref for SharedState {
    type Target = ViewerState;

    fn deref(&self) -> &ViewerState {
        &self.0
    }
}

/// The JSON of an event and the exports are answered as the API does.
impl FromRef<SharedState> for Arc<ApiState> {
    fn from_ref(shared: &SharedState) -> Self {
        shared.api.clone()
    }
}
