//! Whole numbers within their limits.

pub(super) fn whole_number(text: &str) -> Result<u64, &'static str> {
    const RIGHT: &str = "expected a whole number, 0 or more";
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| RIGHT) } else { Err(RIGHT) }
}

pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    const RIGHT: &str = "expected a port from 0 to 65535";
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| RIGHT) } else { Err(RIGHT) }
}

pub(super) fn top(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(top @ 1..=1000) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(top),
        _ => Err("expected a whole number from 1 to 1000"),
    }
}

/// They are held in memory before the oldest is printed.
pub(super) fn tail_limit(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(limit @ 0..=100_000) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(limit),
        _ => Err("expected a whole number from 0 to 100000; `query` prints more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole() {
        assert_eq!(whole_number("0"), Ok(0));
        for text in ["", "-1", "+1", "1.5", "all", "99999999999999999999"] {
            assert!(whole_number(text).is_err(), "{text}");
        }
    }
}
