//! Links between the pages: relative, so that they hold under every mount and behind every proxy.

use axum::extract::OriginalUri;
use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;

use crate::api::authorized::Recorded;
use crate::api::error::ApiError;
use crate::api::form_urlencoded::encode_into;
use crate::api::params::Params;

/// Links from one page to the others.
#[derive(Debug, Clone)]
pub(super) struct Links {
    root: String,
}

impl Links {
    /// From a page that is right below the mount.
    pub(super) const HERE: &str = "./";
    /// From a page that is one folder deeper.
    pub(super) const ABOVE: &str = "../";

    pub(super) fn from(root: &str) -> Self {
        Self { root: root.to_owned() }
    }

    /// From the mount itself, which may be asked for with a slash at its end or without.
    pub(super) fn from_mount(head: &Parts) -> Self {
        // What the outermost router saw: within a nested one the path is shorter than what the browser shows.
        let uri = head.extensions.get::<OriginalUri>().map_or(&head.uri, |OriginalUri(uri)| uri);
        match uri.path().rsplit_once('/') {
            Some((_, last)) if !last.is_empty() => Self { root: format!("./{last}/") },
            _ => Self::from(Self::HERE),
        }
    }

    /// The mount.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The table of events, through these filters.
    pub(super) fn list<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        self.to("", pairs)
    }

    /// The page of an event.
    pub(super) fn event(&self, id: crate::EventId) -> String {
        format!("{}events/{id}", self.root)
    }

    /// A page below the mount.
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

/// The filters as they were given.
pub(super) fn raw_filters(asked: &Params) -> impl Iterator<Item = (&str, &str)> {
    asked.raw_filters.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Redirects to the same page without the fields that were left empty.
pub(super) fn redirect(location: &str) -> Result<Recorded<Response>, ApiError> {
    let location =
        HeaderValue::try_from(location).map_err(|_| ApiError::BadRequest("the query is not ASCII".into()))?;
    Ok(Recorded::redirection(location))
}
