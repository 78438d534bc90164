//! Records of other logs, and of exports.

use tower_audit::AuditEvent;
use tower_audit::import::{ImportFormat, Records};

/// Any bytes are read to their end, and each event is within its limits, comes back from JSON and is the same when the bytes
/// are read again. Lines are those of the input, in their order.
pub fn run(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let format = ImportFormat::ALL[usize::from(*first) % ImportFormat::ALL.len()];
    let read = || Records::new(format, data).map(|record| record.expect("memory can be read")).collect::<Vec<_>>();
    let (once, again) = (read(), read());
    assert_eq!(once.len(), again.len());
    let most = data.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    assert!(once.is_sorted_by_key(|record| record.line) && once.iter().all(|record| (1..=most).contains(&record.line)));
    for (record, other) in once.iter().zip(&again) {
        let (Ok(event), Ok(other)) = (&record.event, &other.event) else {
            assert!(record.event.is_err() && other.event.is_err());
            continue;
        };
        assert_eq!(event, other);
        let mut cut = event.clone();
        cut.truncate_to_limits();
        assert_eq!(&cut, event);
        let json = serde_json::to_string(event).expect("an event is JSON");
        assert_eq!(&serde_json::from_str::<AuditEvent>(&json).expect("an event"), event);
    }
}
