//! Events in the formats of other systems, as parsers and schemas of those systems read them.

mod cef;
mod cloud_events;
mod corpus;
mod ecs;
mod foreign_packages;
mod ocsf;
mod otlp;
mod read_back;
