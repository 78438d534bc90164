//! Making a text fit.

use tower_audit::event::{truncate, truncate_bytes};

use super::choices::Choices;

/// Less has no room for the note of a cut.
const LEAST: usize = 128;

/// A truncated text fits, has no U+0000, and is unchanged by a second truncation. A text that fits is unchanged.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let limit = LEAST + choices.below(256);
    // Sizes near the limit matter, and a fuzzer's inputs are short.
    let times = 1 + choices.below(8);
    let bytes = choices.0.repeat(times);

    check(&truncate_bytes(&bytes, limit), &bytes, limit);
    if let Ok(text) = std::str::from_utf8(&bytes) {
        let clipped = truncate(text, limit);
        check(&clipped, &bytes, limit);
        assert_eq!(truncate_bytes(&bytes, limit), clipped);
    }
}

fn check(clipped: &str, given: &[u8], limit: usize) {
    assert!(clipped.len() <= limit, "{} bytes, {limit} at the most", clipped.len());
    assert!(!clipped.contains('\0'), "U+0000");
    assert_eq!(truncate(clipped, limit), clipped);
    assert_eq!(truncate_bytes(clipped.as_bytes(), limit), clipped);
    if given.len() > limit {
        assert!(clipped.contains(&format!("…[cut: {} bytes, sha256 ", given.len())), "{clipped:?}");
    } else if !given.contains(&0) && std::str::from_utf8(given).is_ok() {
        assert_eq!(clipped.as_bytes(), given);
    }
}
