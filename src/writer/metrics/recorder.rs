//! Calls of the app's recorder.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};

use super::names::{ALL, Description, Kind};
use crate::writer::catch_panic::catch_panic;

static METADATA: Metadata<'static> = Metadata::new("tower_audit", Level::INFO, Some("tower_audit"));

/// Describes all metrics to the recorder.
pub(super) fn describe_all() {
    catch_panic(|| {
        metrics::with_recorder(|recorder| {
            for Description { name, kind, unit, help } in ALL {
                let (name, unit, help) = ((*name).into(), Some(*unit), (*help).into());
                match kind {
                    Kind::Counter => recorder.describe_counter(name, unit, help),
                    Kind::Gauge => recorder.describe_gauge(name, unit, help),
                    Kind::Histogram => recorder.describe_histogram(name, unit, help),
                }
            }
        });
    });
}

pub(super) fn counter(name: &'static str, labels: Vec<Label>) -> Counter {
    register(name, labels, |recorder, key| recorder.register_counter(key, &METADATA)).unwrap_or_else(Counter::noop)
}

pub(super) fn gauge(name: &'static str, labels: Vec<Label>) -> Gauge {
    register(name, labels, |recorder, key| recorder.register_gauge(key, &METADATA)).unwrap_or_else(Gauge::noop)
}

pub(super) fn histogram(name: &'static str, labels: Vec<Label>) -> Histogram {
    register(name, labels, |recorder, key| recorder.register_histogram(key, &METADATA)).unwrap_or_else(Histogram::noop)
}

/// Returns the handle; none if the recorder panicked.
fn register<T>(name: &'static str, labels: Vec<Label>, make: impl FnOnce(&dyn Recorder, &Key) -> T) -> Option<T> {
    let mut handle = None;
    catch_panic(|| handle = Some(metrics::with_recorder(|recorder| make(recorder, &Key::from_parts(name, labels)))));
    handle
}
