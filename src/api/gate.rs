//! The gate: the app's authentication of readers.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use http::request::Parts;

use super::Caller;

/// An error of a gate. For the operator's log, never for a response.
pub type GateError = Box<dyn Error + Send + Sync>;

/// The future of a gate, boxed so that gates are trait objects.
pub type GateFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Caller>, GateError>> + Send + 'a>>;

/// Authenticates the callers of the read API. The app implements it.
///
/// It is called once for each request, before anything is read. It fails closed: if it returns an error, panics or times
/// out, the response is 503 and shows nothing. A gate that cannot find out if a user is an administrator returns the error.
///
/// A gate that only reads extensions of the request is a function: [`gate_fn`].
///
/// ```
/// use http::request::Parts;
/// use tower_audit::api::{Caller, Gate, GateFuture};
///
/// struct Sessions;
///
/// impl Gate for Sessions {
///     fn caller<'a>(&'a self, head: &'a Parts) -> GateFuture<'a> {
///         Box::pin(async move {
///             let Some(token) = head.headers.get("authorization") else { return Ok(None) };
///             // Here a database would be asked.
///             Ok((token == "Bearer alice-token").then(|| Caller::user("alice@example.org")))
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a gate of the read API",
    label = "expected a gate, such as `gate_fn(|head| Ok(None))`",
    note = "a function of the request's head becomes a gate by `gate_fn`; a gate with I/O implements `Gate`"
)]
pub trait Gate: Send + Sync + 'static {
    /// Returns the caller, or `None` for an anonymous request.
    fn caller<'a>(&'a self, head: &'a Parts) -> GateFuture<'a>;

    /// Returns the header `www-authenticate` of a 401: `Bearer` unless overridden.
    fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static("Bearer")
    }
}

impl<G: Gate + ?Sized> Gate for Arc<G> {
    fn caller<'a>(&'a self, head: &'a Parts) -> GateFuture<'a> {
        (**self).caller(head)
    }

    fn challenge(&self) -> HeaderValue {
        (**self).challenge()
    }
}

/// Makes a gate of a function of the request's head.
///
/// ```
/// use tower_audit::api::{Caller, gate_fn};
///
/// /// Put into the request by the app's own authentication.
/// #[derive(Clone)]
/// struct User { email: String, is_admin: bool }
///
/// let gate = gate_fn(|head| {
///     let Some(user) = head.extensions.get::<User>() else { return Ok(None) };
///     let make = if user.is_admin { Caller::admin } else { Caller::user };
///     Ok(Some(make(user.email.clone())))
/// });
/// # let _ = gate;
/// ```
pub fn gate_fn<F>(gate: F) -> GateFn<F>
where
    F: Fn(&Parts) -> Result<Option<Caller>, GateError> + Send + Sync + 'static,
{
    GateFn(gate)
}

/// A [`Gate`] made by [`gate_fn`].
#[derive(Clone, Copy)]
pub struct GateFn<F>(F);

impl<F> std::fmt::Debug for GateFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GateFn")
    }
}

impl<F> Gate for GateFn<F>
where
    F: Fn(&Parts) -> Result<Option<Caller>, GateError> + Send + Sync + 'static,
{
    fn caller<'a>(&'a self, head: &'a Parts) -> GateFuture<'a> {
        Box::pin(async move { (self.0)(head) })
    }
}
