//! The label that tells the logs of a process apart.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::Label;

/// The value of the label `log` of one log, unique in the process while the log lives: `orders`, or `orders-2` for a second log of
/// that name.
#[derive(Debug)]
pub(super) struct LogLabel(String);

static LIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<String>> {
    // Nothing under this lock panics half way through a change.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogLabel {
    pub(super) fn new(name: &str) -> Self {
        let mut live = live();
        let mut label = name.to_owned();
        let mut number = 1_u64;
        while !live.insert(label.clone()) {
            number += 1;
            label = format!("{name}-{number}");
        }
        Self(label)
    }

    pub(super) fn label(&self) -> Label {
        Label::new("log", self.0.clone())
    }
}

impl Drop for LogLabel {
    fn drop(&mut self) {
        live().remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_free_again_when_its_log_is_gone() {
        let name = "a test of labels";
        let first = LogLabel::new(name);
        let second = LogLabel::new(name);
        assert_eq!((first.0.as_str(), second.0.as_str()), (name, "a test of labels-2"));
        drop(first);
        assert_eq!(LogLabel::new(name).0, name);
    }
}
