//! Retention through the public surface: plans, rules, floors, and the events that record a purge.

mod docs;
mod erasing;
mod open_events;
mod plans;
mod python_patterns;
mod rules;
mod support;
mod under_writing;
