//! Times and ages as a reader of the log writes them.

use std::time::Duration;

use tower_audit::query::{cutoff, parse_duration, parse_time};
use tower_audit::{EventId, Timestamp};

use super::choices::Choices;

/// A time that is read lies in the range of all times, is the same when it is written and read again, and, where both
/// ways to read it take it, is the same by both. An age that is read reaches back, and is the same in seconds. What is
/// refused is named, at no length.
pub fn run(data: &[u8]) {
    let text = Choices(data).rest();
    let now = Timestamp::from_micros(1_779_710_400_500_000).expect("in range");

    let when = parse_time(&text, now);
    match &when {
        Ok(when) => {
            assert!((Timestamp::MIN..=Timestamp::MAX).contains(when));
            assert_eq!(parse_time(&when.to_string(), now), Ok(*when));
            if let Ok(micros) = u64::try_from(when.as_micros()) {
                let unix = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                assert_eq!(parse_time(&unix, now), Ok(*when));
            }
        }
        Err(error) => assert_is_short(error),
    }
    match text.parse::<Timestamp>() {
        Ok(time) => {
            assert_eq!(time.to_string().parse(), Ok(time));
            // A WHEN does not name a time zone.
            assert!(text.contains('[') || when == Ok(time), "{time} {when:?}");
        }
        Err(error) => assert_is_short(&error),
    }
    match parse_duration(&text) {
        Ok(age) => {
            assert!(age >= Duration::from_secs(1));
            assert_eq!(parse_duration(&age.as_secs().to_string()), Ok(age));
            match cutoff(age, now) {
                Ok(cutoff) => assert_eq!(Ok(cutoff), parse_time(&format!("{}s", age.as_secs()), now)),
                Err(error) => assert_is_short(&error),
            }
        }
        Err(error) => assert_is_short(&error),
    }
    match text.parse::<EventId>() {
        Ok(id) => assert_eq!(id.to_string().parse(), Ok(id)),
        Err(error) => assert_is_short(&error),
    }
}

fn assert_is_short(error: &impl std::error::Error) {
    let error = error.to_string();
    // 80 characters, each perhaps as an escape of ten, and what would be right.
    assert!(!error.is_empty() && error.len() < 1200, "{error}");
}
