//! How long, and how long ago, as people write it. Knows no option.

use std::time::Duration;

use humantime::DurationError;
use jiff::Timestamp;

/// How long.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("expected a duration such as 5m or 90s, found {text:?}"))
}

/// How long ago. A number that is too large is an age that nothing has.
pub fn ago(text: &str) -> Option<Duration> {
    match humantime::parse_duration(text) {
        Err(DurationError::NumberOverflow) => Some(Duration::MAX),
        parsed => parsed.ok(),
    }
}

/// When that was; the beginning of time, if it is longer ago.
pub fn before_now(ago: Duration) -> Timestamp {
    Timestamp::now().saturating_sub(ago).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_that_nothing_has_is_from_the_beginning() {
        for text in ["100000y", "500000000000y", "99999999999999999999999d"] {
            assert_eq!(before_now(ago(text).unwrap()), Timestamp::MIN, "{text}");
        }
        assert!(before_now(ago("5m").unwrap()) < Timestamp::now());
        assert!(ago("nonsense").is_none() && ago("").is_none());
    }
}
