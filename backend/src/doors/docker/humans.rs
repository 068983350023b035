//! Sentences that `docker ps` shows as they come.

/// "Less than a second", "5 seconds", "About an hour", … Source: docker/go-units `HumanDuration`.
pub fn duration(ns: i64) -> String {
    let seconds = ns.max(0) / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        _ if seconds < 60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A command as one line: arguments with spaces are quoted.
pub fn command(arguments: &[String]) -> String {
    let mut line = String::new();
    for (index, word) in arguments.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        if index > 0 && word.contains(' ') {
            line.push_str(&format!("'{word}'"));
        } else {
            line.push_str(word);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_as_docker_rounds_them() {
        let at = |seconds: i64| duration(seconds * 1_000_000_000);
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (3 * 86400, "3 days"),
            (21 * 86400, "3 weeks"),
            (90 * 86400, "3 months"),
            (3 * 365 * 86400, "3 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(at(seconds), text);
        }
        assert_eq!(duration(-5), "Less than a second");
    }

    #[test]
    fn words_with_spaces_are_quoted() {
        assert_eq!(command(&["sh".into(), "-c".into(), "sleep 1".into()]), "sh -c 'sleep 1'");
    }
}
