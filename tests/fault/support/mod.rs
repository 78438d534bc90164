//! Servers, clients, load and traces for the tests.

mod build;
mod database;
mod exclusive;
mod folder;
mod http;
mod load;
mod log_contents;
mod namespace;
mod program;
mod server;
#[cfg(feature = "postgres")]
mod store_urls;
pub(crate) mod strace;
mod wait;

pub(crate) use build::reference;
pub(crate) use database::{Database, integrity};
pub(crate) use exclusive::{alone, beside_others};
pub(crate) use folder::{Folder, beside, url};
pub(crate) use http::{Answer, Client, Request};
pub(crate) use load::{Kind, Shot, fire, load_while};
pub(crate) use log_contents::Record;
pub(crate) use namespace::{in_own_namespace, in_own_network, is_root};
pub(crate) use program::{run, try_run};
pub(crate) use server::{Exit, Server, Settings};
#[cfg(feature = "postgres")]
pub(crate) use store_urls::{Place, load_everywhere_while};
pub(crate) use wait::{SOON, until};
