//! The context as an axum extractor.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::audit_context::AuditContext;
use super::head_pool::KeptHead;
use super::request_target::sent;
use super::scope;

/// Always succeeds: see [`AuditContext`].
impl<S: Send + Sync> FromRequestParts<S> for AuditContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let context = parts.extensions.get::<Self>().cloned().or_else(scope::current).unwrap_or_else(Self::idle);
        let mut attempts = context.lock();
        let attempt = &mut attempts[context.attempt()];
        if attempt.head.is_none() {
            let target = sent(&parts.uri, &parts.extensions);
            attempt.head = Some(KeptHead::of(&parts.method, target, &parts.headers, &parts.extensions));
        }
        drop(attempts);
        context.find_actor(&parts.extensions);
        Ok(context)
    }
}
