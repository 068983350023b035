//! `HEALTHCHECK`: `NONE`, or options and `CMD`.

use super::{invalid, list};
use crate::images::{HealthCheck, ImageError};

/// Docker's shortest interval and time: a millisecond.
const LEAST_NS: i64 = 1_000_000;

pub(super) fn parse(text: &str) -> Result<HealthCheck, ImageError> {
    let mut probe = HealthCheck::default();
    let mut rest = text.trim();
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (name, value) = option.split_once('=').ok_or_else(|| invalid(format!("--{option} needs a value")))?;
        match name {
            "interval" => probe.interval = duration(name, value)?,
            "timeout" => probe.timeout = duration(name, value)?,
            "start-period" => probe.start_period = duration(name, value)?,
            "start-interval" => probe.start_interval = duration(name, value)?,
            "retries" => {
                probe.retries = value
                    .parse::<u32>()
                    .map(i64::from)
                    .map_err(|_| invalid(format!("HEALTHCHECK --retries={value}: it must be a whole number")))?;
            }
            other => return Err(invalid(format!("HEALTHCHECK has no option --{other}"))),
        }
        rest = after.trim_start();
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    probe.test = match (word.to_ascii_uppercase().as_str(), command) {
        ("NONE", "") if probe == HealthCheck::default() => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match list(command) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err(invalid("HEALTHCHECK needs NONE, or CMD and a command")),
    };
    Ok(probe)
}

/// Go's form of a duration: `30s`, `1m30s`, `1.5h`.
fn duration(name: &str, text: &str) -> Result<i64, ImageError> {
    let wrong = || invalid(format!("HEALTHCHECK --{name}={text}: it must be a duration such as 30s"));
    let (mut rest, mut total) = (text, 0_f64);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a cast of f64 saturates")]
    let nanoseconds = total as i64;
    if nanoseconds != 0 && nanoseconds < LEAST_NS || text.is_empty() {
        return Err(wrong());
    }
    Ok(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_before_the_command() {
        let probe = parse("--interval=1m30s --retries=4 CMD curl -f http://localhost || exit 1").unwrap();
        assert_eq!((probe.interval, probe.retries), (90_000_000_000, 4));
        assert_eq!(probe.test, ["CMD-SHELL", "curl -f http://localhost || exit 1"]);
        assert_eq!(parse(r#"CMD ["a", "b"]"#).unwrap().test, ["CMD", "a", "b"]);
        assert_eq!(parse("none").unwrap().test, ["NONE"]);
        for wrong in ["", "CMD", "--interval=1 CMD x", "--interval=5parsecs CMD x", "--interval=1ns CMD x", "NONE x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
