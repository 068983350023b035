//! Times as REST says them: RFC 3339 in UTC.

use jiff::Timestamp;

use super::Problem;

/// A time of the database.
pub fn text(at_ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A time as it was asked for: RFC 3339, or seconds since 1970.
pub fn parse(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let seconds = || text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000_000_000));
    let stamp = || text.parse::<Timestamp>().ok().and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok());
    match seconds().or_else(stamp) {
        Some(at_ns) => Ok(Some(at_ns)),
        None => Err(Problem::invalid(format!(
            "{name} is {text:?}, but must be a time such as 2026-11-24T18:00:00Z or seconds since 1970"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_and_read() {
        assert_eq!(text(1_000_000_000), "1970-01-01T00:00:01Z");
        assert_eq!(parse("since", Some("1970-01-01T00:00:01Z")).unwrap(), Some(1_000_000_000));
        assert_eq!(parse("since", Some("1")).unwrap(), Some(1_000_000_000));
        assert_eq!(parse("since", None).unwrap(), None);
        assert!(parse("since", Some("yesterday")).is_err());
        assert!(parse("since", Some("9223372036854775807")).is_err());
    }
}
