//! The API and the viewer for an operator without an app: on this machine only, behind a token.
//!
//! It never listens on another address than 127.0.0.1: there is one token for all that is in the log, no user and no
//! encryption. Whoever needs it from afar forwards the port through ssh, which has all of these.

mod access_token;
mod app;
mod host_check;

pub(crate) use access_token::AccessToken;
pub(crate) use app::app;
pub(crate) use host_check::Host;
