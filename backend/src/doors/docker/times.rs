//! Times as Docker writes and reads them. Inside, a time is nanoseconds since 1970.

use jiff::Timestamp;

use super::error::DockerError;
use super::filters::Filters;

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

/// The moment of a prune's `until` filter: a time in seconds, a date, or a duration back from now (`24h`, `1h30m`).
///
/// # Errors
/// 400 when it is none of these, or given twice.
pub fn until(filters: &Filters) -> Result<Option<i64>, DockerError> {
    match filters.get("until") {
        [] => Ok(None),
        [text] => moment(text, now_ns())
            .map(Some)
            .ok_or_else(|| DockerError::invalid(format!("invalid filter 'until={text}'"))),
        _ => Err(DockerError::invalid("more than one until filter specified")),
    }
}

/// The time of day, nanoseconds since 1970.
pub fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

fn moment(text: &str, now_ns: i64) -> Option<i64> {
    if let Some(back) = go_duration(text) {
        return now_ns.checked_sub(back);
    }
    if let Ok(Some(at)) = parse_unix(text, "until") {
        return Some(at);
    }
    let nanoseconds = |time: Timestamp| i64::try_from(time.as_nanosecond()).ok();
    if let Ok(time) = text.parse::<Timestamp>() {
        return nanoseconds(time);
    }
    // A date, or a date and a time of day, of this host.
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .ok()
        .or_else(|| text.parse::<jiff::civil::Date>().ok().map(|date| date.at(0, 0, 0, 0)))?;
    nanoseconds(civil.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp())
}

/// Go's form of a duration: numbers with units, `1h30m`, `1.5h`, `300ms`.
fn go_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..units] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[units..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a cast of f64 saturates, which is far enough back")]
    (!text.is_empty()).then_some(total as i64)
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
    fn moments_are_seconds_dates_or_durations_back() {
        let now = 10_000_000_000_000;
        assert_eq!(moment("1h30m", now), Some(now - 5_400_000_000_000));
        assert_eq!(moment("1.5s", now), Some(now - 1_500_000_000));
        assert_eq!(moment("12", now), Some(12_000_000_000));
        assert_eq!(moment("1970-01-01T00:00:02Z", now), Some(2_000_000_000));
        assert!(moment("2026-01-02", now).is_some());
        assert_eq!(moment("soon", now), None);
        assert_eq!(moment("5parsecs", now), None);
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
