//! Servers, clients, load and traces for the tests.

mod build;
mod database;
mod folder;
mod http;
mod load;
mod namespace;
#[cfg(feature = "postgres")]
mod places;
mod program;
mod record;
mod server;
pub(crate) mod strace;
mod turn;
mod wait;

pub(crate) use build::reference;
pub(crate) use database::{Database, integrity};
pub(crate) use folder::{Folder, beside, url};
pub(crate) use http::{Answer, Client, Request};
pub(crate) use load::{Kind, Shot, fire, load_while};
pub(crate) use namespace::{in_own_namespace, is_root};
#[cfg(feature = "postgres")]
pub(crate) use places::{Place, load_everywhere_while};
pub(crate) use program::{run, try_run};
pub(crate) use record::Record;
pub(crate) use server::{Exit, Server, Settings};
pub(crate) use turn::{alone, beside_others};
pub(crate) use wait::{SOON, until};
