//! Times as Docker writes and reads them. Inside, a time is nanoseconds since 1970.

use jiff::Timestamp;

use super::error::DockerError;

/// What Docker writes for "never".
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 with as many digits as needed, at most nine: `2026-01-02T03:04:05.5Z`.
pub fn rfc3339(at_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(at_ns)).map_or_else(|_| NEVER.to_owned(), |time| time.to_string())
}

/// As [`rfc3339`], or [`NEVER`].
pub fn rfc3339_or_never(at_ns: Option<i64>) -> String {
    at_ns.map_or_else(|| NEVER.to_owned(), rfc3339)
}

/// RFC 3339 with exactly nine digits, as before lines of a log.
pub fn rfc3339_fixed(at_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(at_ns)).map_or_else(|_| NEVER.to_owned(), |time| format!("{time:.9}"))
}

/// Reads `since` and `until`: seconds since 1970 with up to nine digits after the point; empty and `0` are "not given".
///
/// # Errors
/// 400 when it is not such a number. Docker's clients turn durations and dates into it themselves.
pub fn parse_unix(text: &str, parameter: &str) -> Result<Option<i64>, DockerError> {
    let refused =
        || DockerError::invalid(format!("invalid value for \"{parameter}\": {text:?} is not a time in seconds"));
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| refused())?;
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| refused())?;
    seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(fraction)).map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_docker_writes_them() {
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(1_000_000_000), "1970-01-01T00:00:01Z");
        assert_eq!(rfc3339_fixed(1_500_000_000), "1970-01-01T00:00:01.500000000Z");
        assert_eq!(rfc3339_or_never(None), NEVER);
    }

    #[test]
    fn seconds_with_a_fraction_are_read() {
        assert_eq!(parse_unix("12.000000001", "since").unwrap(), Some(12_000_000_001));
        assert_eq!(parse_unix("12.5", "since").unwrap(), Some(12_500_000_000));
        assert_eq!(parse_unix("", "since").unwrap(), None);
        for text in ["x", "1.x", "1.0000000001", "99999999999999"] {
            assert_eq!(parse_unix(text, "since").unwrap_err().status, 400, "{text}");
        }
    }
}
