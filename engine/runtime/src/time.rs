//! The one clock of what is written down: wall time in nanoseconds since 1970.

use std::time::SystemTime;

/// Nanoseconds since 1970; before 1970 and after 2262 the nearest that can be told.
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

/// A time of a pax header, `[-]seconds[.fraction]`: seconds since 1970 and nanoseconds after them, rounded down.
/// None for what is no number.
pub fn of_pax(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) || whole.starts_with('+') {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::of_pax;

    #[test]
    fn a_time_before_1970_is_rounded_down() {
        assert_eq!(of_pax(b"1700000000.25"), Some((1_700_000_000, 250_000_000)));
        assert_eq!(of_pax(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(of_pax(b"-3"), Some((-3, 0)));
        for wrong in [&b""[..], b"+1", b"1.x", b"now"] {
            assert_eq!(of_pax(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }
}
