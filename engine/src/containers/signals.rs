//! Names of signals.

use std::str::FromStr;

use nix::sys::signal::Signal;

use super::ContainerError;

/// Real-time signals as programs see them: the C library keeps the first two for itself (signal(7)).
const FIRST_REAL_TIME: i32 = 34;
/// The last one on Linux.
const LAST: i32 = 64;

/// The number of `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3`, `RTMAX-1`.
pub(super) fn parse(text: &str) -> Result<i32, ContainerError> {
    number(text).ok_or_else(|| ContainerError::Invalid { message: format!("invalid signal: {text}") })
}

fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=LAST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str| if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
    let number = if let Some(rest) = bare.strip_prefix("RTMIN") {
        FIRST_REAL_TIME + offset(rest).filter(|offset| *offset >= 0)?
    } else if let Some(rest) = bare.strip_prefix("RTMAX") {
        LAST + offset(rest).filter(|offset| *offset <= 0)?
    } else {
        Signal::from_str(&format!("SIG{bare}")).ok()? as i32
    };
    (1..=LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_numbers() {
        for (text, number) in
            [("TERM", 15), ("SIGKILL", 9), ("hup", 1), ("15", 15), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)]
        {
            assert_eq!(parse(text).expect(text), number, "{text}");
        }
        for wrong in ["", "0", "65", "-9", "FOO", "RTMIN-1", "RTMIN+31", "SIGSIGTERM"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
