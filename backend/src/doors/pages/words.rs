//! How a container's state, times and sizes are said.

use sampan_engine::containers::{Container, HealthStatus, State};

use crate::texts::Texts;

/// A state as the pages show it: shape and colour, word, reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Class of shape and colour: `running`, `starting`, `unhealthy`, `restarting`, `failed`, `paused`, `created`,
    /// `finished`.
    pub tone: &'static str,
    /// The word.
    pub word: String,
    /// Why, or since when; may be empty.
    pub reason: String,
}

impl Look {
    /// How `container` looks at `now_ns`.
    pub fn of(container: &Container, t: Texts, now_ns: i64) -> Self {
        let run = &container.run;
        let ago =
            |at: Option<i64>| at.map(|at| t.with("reason-exited-ago", duration(t, now_ns - at))).unwrap_or_default();
        let is = |status| run.health.as_ref().is_some_and(|health| health.status == status);
        let (tone, word, reason) = match container.state {
            State::Created if !run.error.is_empty() => ("failed", t.get("state-created"), run.error.clone()),
            State::Created => ("created", t.get("state-created"), String::new()),
            State::Running if is(HealthStatus::Unhealthy) => {
                ("unhealthy", t.get("state-unhealthy"), last_probe(container))
            }
            State::Running if is(HealthStatus::Starting) => ("starting", t.get("state-starting"), String::new()),
            State::Running if run.restarts > 0 => {
                ("running", t.get("state-running"), t.with("reason-restarts", i64::from(run.restarts)))
            }
            State::Running if is(HealthStatus::Healthy) => ("running", t.get("state-running"), t.get("state-healthy")),
            State::Running => ("running", t.get("state-running"), String::new()),
            State::Paused => ("paused", t.get("state-paused"), String::new()),
            State::Restarting => {
                ("restarting", t.get("state-restarting"), t.with("reason-restarts", i64::from(run.restarts)))
            }
            State::Removing => ("finished", t.get("state-removing"), String::new()),
            State::Dead => ("failed", t.get("state-dead"), run.error.clone()),
            State::Exited => match run.exit_code {
                Some(0) => ("finished", t.get("state-finished"), ago(run.finished_at_ns)),
                // A person asked: 128 + TERM or KILL is then how it ends, not a failure.
                Some(code @ (137 | 143)) if run.stopped_by_person && !run.out_of_memory => {
                    ("finished", t.with("state-exited", i64::from(code)), ago(run.finished_at_ns))
                }
                Some(code) if run.out_of_memory => {
                    ("failed", t.with("state-exited", i64::from(code)), t.get("reason-out-of-memory"))
                }
                Some(code) => ("failed", t.with("state-exited", i64::from(code)), ago(run.finished_at_ns)),
                None => ("failed", t.get("state-unknown-exit"), ago(run.finished_at_ns)),
            },
        };
        Self { tone, word, reason }
    }

    /// Whether a person should look at it.
    pub fn needs_attention(&self) -> bool {
        matches!(self.tone, "failed" | "restarting" | "unhealthy")
    }
}

/// The first line of what the last health check said.
fn last_probe(container: &Container) -> String {
    let last = container.run.health.as_ref().and_then(|health| health.log.last());
    last.and_then(|result| result.output.lines().next()).unwrap_or_default().to_owned()
}

/// What an exit code says, as a sentence.
pub fn exit_sentence(t: Texts, code: Option<i32>) -> String {
    t.get(match code {
        Some(0) => "exit-0",
        Some(125) => "exit-125",
        Some(126) => "exit-126",
        Some(127) => "exit-127",
        Some(137) => "exit-137",
        Some(143) => "exit-143",
        Some(_) => "exit-1",
        None => "exit-unknown",
    })
}

/// `48 s`, `12 min`, `6 h`, `41 d`.
pub fn duration(t: Texts, nanoseconds: i64) -> String {
    let seconds = (nanoseconds / 1_000_000_000).max(0);
    match seconds {
        0..60 => t.with("seconds", seconds),
        60..3_600 => t.with("minutes", seconds / 60),
        3_600..172_800 => t.with("hours", seconds / 3_600),
        _ => t.with("days", seconds / 86_400),
    }
}

/// Memory in MiB or GiB, as on a limit: `246 MiB`, `1.5 GiB`.
pub fn memory(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

/// Disk and traffic in kB, MB, GB (powers of ten), as `docker images` counts.
pub fn disk(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bytes = bytes as f64;
    match bytes {
        ..1e3 => format!("{bytes:.0} B"),
        ..1e6 => format!("{:.0} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

/// `2026-11-24 14:32:07` in UTC.
pub fn clock(at_ns: i64) -> String {
    timestamp(at_ns).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// RFC 3339 for `datetime` attributes.
pub fn rfc3339(at_ns: i64) -> String {
    timestamp(at_ns).to_string()
}

fn timestamp(at_ns: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// Now, nanoseconds since 1970.
pub fn now_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn sizes_and_times_are_short() {
        let t = Texts::of(Language::English);
        assert_eq!(memory(257_949_696), "246 MiB");
        assert_eq!(memory(1_610_612_736), "1.5 GiB");
        assert_eq!(disk(1_840_000_000), "1.84 GB");
        assert_eq!(disk(999), "999 B");
        assert_eq!(duration(t, 48_900_000_000), "48 s");
        assert_eq!(duration(t, 41 * 86_400_000_000_000), "41 d");
        assert_eq!(duration(t, -5), "0 s");
        assert_eq!(clock(0), "1970-01-01 00:00:00");
    }
}
