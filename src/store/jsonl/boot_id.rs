//! The number of this start of the machine.

use std::sync::OnceLock;

/// Returns a number that is another one after the machine has started again; 0 where there is none (Linux alone has it).
///
/// The files of the state are not synced: after a power loss they are as the disk had them some seconds before.
pub(super) fn boot_id() -> u64 {
    static BOOT_ID: OnceLock<u64> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).unwrap_or(0)
    })
}
