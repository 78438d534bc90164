//! Servers, clients, load and traces for the tests.

mod build;
mod database;
mod exclusive;
mod folder;
mod http;
mod load;
mod log_contents;
#[cfg(feature = "postgres")]
mod multi_server_load;
mod namespace;
mod run_command;
mod server;
pub(crate) mod strace;
mod wait;

pub(crate) use build::reference;
pub(crate) use database::{Database, integrity};
pub(crate) use exclusive::{alone, beside_others};
pub(crate) use folder::{Folder, beside, url};
pub(crate) use http::{Answer, Client, Request};
pub(crate) use load::{Kind, Shot, fire, load_while};
pub(crate) use log_contents::Record;
#[cfg(feature = "postgres")]
pub(crate) use multi_server_load::{Place, load_everywhere_while};
pub(crate) use namespace::{in_own_namespace, in_own_network, is_root};
pub(crate) use run_command::{run, try_run};
pub(crate) use server::{Exit, Server, Settings};
pub(crate) use wait::{SOON, until};
