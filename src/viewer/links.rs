//! Relative links between the pages, valid under every prefix and behind every proxy.

use axum::extract::OriginalUri;
use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;

use crate::api::error::ApiError;
use crate::api::form_urlencoded::encode_into;
use crate::api::query_params::Params;
use crate::api::read_access::Recorded;

/// Links from one page to the others.
#[derive(Debug, Clone)]
pub(super) struct Links {
    root: String,
}

impl Links {
    /// The root as seen from a page directly below it.
    pub(super) const HERE: &str = "./";
    /// The root as seen from a page one folder deeper.
    pub(super) const ABOVE: &str = "../";

    pub(super) fn from(root: &str) -> Self {
        Self { root: root.to_owned() }
    }

    /// Links from the root itself, requested with or without a slash at its end.
    pub(super) fn from_mount(head: &Parts) -> Self {
        // The path as the browser shows it: a nested router has a shorter one.
        let uri = head.extensions.get::<OriginalUri>().map_or(&head.uri, |OriginalUri(uri)| uri);
        match uri.path().rsplit_once('/') {
            Some((_, last)) if !last.is_empty() => Self { root: format!("./{last}/") },
            _ => Self::from(Self::HERE),
        }
    }

    /// Returns the root.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Returns the link to the events that pass these filters.
    pub(super) fn list<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        self.to("", pairs)
    }

    /// Returns the link to an event.
    pub(super) fn event(&self, id: crate::EventId) -> String {
        format!("{}events/{id}", self.root)
    }

    /// Returns the link to a page with these parameters.
    pub(super) fn to<'a>(&self, page: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut link = format!("{}{page}", self.root);
        for (n, (name, value)) in pairs.into_iter().enumerate() {
            link.push(if n == 0 { '?' } else { '&' });
            link.push_str(name);
            link.push('=');
            encode_into(&mut link, value);
        }
        link
    }
}

/// Returns the filters as given.
pub(super) fn raw_filters(params: &Params) -> impl Iterator<Item = (&str, &str)> {
    params.raw_filters.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Redirects to the same page without the fields that were left empty.
pub(super) fn redirect(location: &str) -> Result<Recorded<Response>, ApiError> {
    let location =
        HeaderValue::try_from(location).map_err(|_| ApiError::BadRequest("the query is not ASCII".into()))?;
    Ok(Recorded::redirection(location))
}
