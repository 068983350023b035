//! Probes: a program that is run in a container at intervals and tells by its exit code whether the container is well.
//!
//! Source: moby `daemon/health.go`; Dockerfile reference, HEALTHCHECK. One task per running container that has a probe,
//! none for the others.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;

use super::config::Healthcheck;
use super::table::{Seen, Slot};
use super::{Container, ContainerError, Containers, ExecConfig, HealthStatus, OutputStream, ProbeResult, State};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;

/// Between two probes, and before the first.
const INTERVAL: Duration = Duration::from_secs(30);
/// For one probe.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two probes of the start period.
const START_INTERVAL: Duration = Duration::from_secs(5);
/// Failures in a row that make it unhealthy.
const RETRIES: u32 = 3;
/// Results that are kept.
const KEPT: usize = 5;
/// Bytes of a probe's output that are kept.
const OUTPUT: usize = 4096;
/// For the start of the probe's process; its own time counts from then on.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// For the end of a probe that was killed.
const HUNG: Duration = Duration::from_secs(10);
const KILL: i32 = 9;

/// What is run and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Probe {
    /// `None`: there is none, or `NONE` says so. `shell`: the image's, for the form of one line.
    fn of(check: Option<&Healthcheck>, shell: &[String]) -> Option<Self> {
        let check = check?;
        let (kind, words) = check.test.split_first()?;
        let command = match (kind.as_str(), words) {
            (_, []) => return None,
            ("CMD", words) => words.to_vec(),
            ("CMD-SHELL", words) if shell.is_empty() => {
                ["/bin/sh", "-c"].into_iter().map(str::to_owned).chain(words.iter().cloned()).collect()
            }
            ("CMD-SHELL", words) => shell.iter().chain(words).cloned().collect(),
            _ => return None,
        };
        let or = |nanoseconds: i64, default| match u64::try_from(nanoseconds) {
            Ok(0) | Err(_) => default,
            Ok(given) => Duration::from_nanos(given),
        };
        Some(Self {
            command,
            interval: or(check.interval_ns, INTERVAL),
            timeout: or(check.timeout_ns, TIMEOUT),
            start_period: or(check.start_period_ns, Duration::ZERO),
            start_interval: or(check.start_interval_ns, START_INTERVAL),
            retries: if check.retries == 0 { RETRIES } else { check.retries },
        })
    }

    /// How long until the next one.
    fn pause(&self, container: &Container, now_ns: i64) -> Duration {
        let starting = container.run.health.as_ref().is_some_and(|health| health.status == HealthStatus::Starting);
        if starting && self.in_start_period(container, now_ns) { self.start_interval } else { self.interval }
    }

    fn in_start_period(&self, container: &Container, at_ns: i64) -> bool {
        let lived = at_ns - container.run.started_at_ns.unwrap_or(at_ns);
        u64::try_from(lived).map_or(Duration::ZERO, Duration::from_nanos) < self.start_period
    }

    /// Takes a result in.
    fn judge(&self, container: &mut Container, result: ProbeResult) {
        let starting = self.in_start_period(container, result.start_ns);
        let health = container.run.health.get_or_insert_default();
        if result.exit_code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else if health.status != HealthStatus::Starting || !starting {
            health.failing_streak += 1;
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        let surplus = (health.log.len() + 1).saturating_sub(KEPT);
        health.log.drain(..surplus);
        health.log.push(result);
    }
}

impl Shared {
    /// Begins to probe a container that has started, or that runs since before this process did; nothing for a run that
    /// is being probed already.
    pub(super) fn probe_from_now(self: &Arc<Self>, slot: &Arc<Slot>) {
        let container = slot.now();
        let resolved = &container.resolved;
        let Some(probe) = Probe::of(resolved.healthcheck.as_ref(), &resolved.shell) else { return };
        let Some(pid) = container.run.pid.filter(|_| container.state.is_alive()) else { return };
        if slot.probed.lock().unwrap_or_else(PoisonError::into_inner).replace(pid) == Some(pid) {
            return;
        }
        slot.change(|container| {
            let health = container.run.health.get_or_insert_default();
            health.status = HealthStatus::Starting;
            health.failing_streak = 0;
        });
        tokio::spawn(self.clone().attend(slot.clone(), probe, pid));
    }

    /// Probes one run of a container to its end.
    async fn attend(self: Arc<Self>, slot: Arc<Slot>, probe: Probe, pid: i32) {
        self.attend_run(&slot, &probe, pid).await;
        let mut probed = slot.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if *probed == Some(pid) {
            *probed = None;
        }
    }

    async fn attend_run(self: &Arc<Self>, slot: &Arc<Slot>, probe: &Probe, pid: i32) {
        let over =
            |seen: &Seen| seen.removed || !seen.container.state.is_alive() || seen.container.run.pid != Some(pid);
        let paused = |seen: &Seen| over(seen) || seen.container.state != State::Running;
        let mut seen = slot.watch();
        loop {
            // While it is paused nothing is probed.
            match seen.wait_for(|seen| over(seen) || seen.container.state == State::Running).await {
                Ok(seen) if !over(&seen) => {}
                _ => return,
            }
            let container = slot.now();
            let pause = probe.pause(&container, now_ns());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = seen.wait_for(paused) => continue,
            }
            let start_ns = now_ns();
            let (exit_code, output) = match self.probe(&container, probe).await {
                Ok(ended) => ended,
                Err(error) => (-1, crate::sentence(&error)),
            };
            let result = ProbeResult { start_ns, end_ns: now_ns(), exit_code, output };
            self.take_result(slot, probe, result, paused);
        }
    }

    /// A result of a container that was paused or ended meanwhile says nothing.
    fn take_result(&self, slot: &Slot, probe: &Probe, result: ProbeResult, stale: impl Fn(&Seen) -> bool) {
        let mut changed = None;
        let container = slot.change_seen(|seen, container| {
            if stale(seen) {
                return;
            }
            let before = container.run.health.as_ref().map(|health| health.status);
            probe.judge(container, result);
            changed = container.run.health.as_ref().map(|health| health.status).filter(|now| Some(*now) != before);
        });
        if let Some(status) = changed {
            self.runs.write(&container);
            let status = ("health".to_owned(), status.word().to_owned());
            self.tell(&container, now_ns(), Action::HealthStatus, [status]);
        }
    }

    /// Runs it once: its exit code (-1 when it took too long) and the beginning of its output.
    async fn probe(self: &Arc<Self>, container: &Container, probe: &Probe) -> Result<(i32, String), ContainerError> {
        let containers = Containers { shared: self.clone() };
        let owner = &container.owner;
        let config = ExecConfig { command: probe.command.clone(), stdout: true, stderr: true, ..ExecConfig::default() };
        let id = containers.exec_create(owner, &container.id, config).await?;
        let started = tokio::time::timeout(START_PATIENCE, containers.exec_start(owner, &id, false, None)).await;
        let broken = |what: &str| ContainerError::Refused {
            message: format!("the health check of container {} {what}", container.name),
            kind: crate::Kind::Internal,
        };
        let mut output = started
            .map_err(|_| broken("did not start in time"))??
            .ok_or_else(|| broken("started without output"))?
            .output;
        let mut said = Said::default();
        if tokio::time::timeout(probe.timeout, said.listen(&mut output)).await.is_ok() {
            let code = containers.exec_get(owner, &id)?.exit_code;
            return Ok((code.ok_or_else(|| broken("ended without an exit code"))?, said.text()));
        }
        // One that ended on its own just now is no longer there to be killed.
        if let Err(error) = self.spawner.signal_exec(&container.id, &id, KILL).await {
            tracing::debug!(container.id = container.id, %error, "a health check that took too long was not killed");
        }
        let text = said.text();
        // Dying probes must not pile up.
        let _ = tokio::time::timeout(HUNG, said.listen(&mut output)).await;
        let colon = if text.is_empty() { "" } else { ": " };
        Ok((-1, format!("Health check exceeded timeout ({}){colon}{text}", go_duration(probe.timeout))))
    }
}

/// The beginning of what a probe says.
#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    cut: bool,
}

impl Said {
    /// Takes it in to its end; what is too much is thrown away.
    async fn listen(&mut self, output: &mut OutputStream) {
        while let Some(Ok(piece)) = output.next().await {
            let room = OUTPUT - self.bytes.len();
            self.cut |= piece.bytes.len() > room;
            self.bytes.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
        }
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.cut {
            text.push_str("...");
        }
        text
    }
}

/// A time as Go prints it, which clients show: `30s`, `1m30s`, `1.5s`, `200ms`.
fn go_duration(time: Duration) -> String {
    let (seconds, rest) = (time.as_secs(), time.subsec_nanos());
    if seconds == 0 {
        return format!("{}ms", f64::from(rest) / 1e6);
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let seconds = if rest == 0 {
        format!("{}s", seconds % 60)
    } else {
        format!("{}.{}s", seconds % 60, format!("{rest:09}").trim_end_matches('0'))
    };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::Health;
    use crate::containers::table::tests::container;

    fn probe(test: &[&str]) -> Option<Probe> {
        let test = test.iter().map(ToString::to_string).collect();
        Probe::of(Some(&Healthcheck { test, retries: 2, start_period_ns: 10, ..Healthcheck::default() }), &[])
    }

    fn result(start_ns: i64, exit_code: i32) -> ProbeResult {
        ProbeResult { start_ns, end_ns: start_ns + 1, exit_code, output: String::new() }
    }

    #[test]
    fn the_forms_of_a_test_are_read() {
        assert_eq!(probe(&["CMD", "curl", "-f"]).map(|probe| probe.command), Some(vec!["curl".into(), "-f".into()]));
        let line = probe(&["CMD-SHELL", "test -e /x"]).expect("a probe");
        assert_eq!(line.command, ["/bin/sh", "-c", "test -e /x"]);
        assert_eq!((line.interval, line.timeout, line.retries), (INTERVAL, TIMEOUT, 2));
        for none in [&["NONE"][..], &[], &["CMD"], &["SOMETHING", "else"]] {
            assert_eq!(probe(none), None, "{none:?}");
        }
        let bash = ["/bin/bash".to_owned(), "-ec".to_owned()];
        let check = Healthcheck { test: vec!["CMD-SHELL".into(), "x".into()], ..Healthcheck::default() };
        let with_shell = Probe::of(Some(&check), &bash).expect("a probe");
        assert_eq!((with_shell.command[0].as_str(), with_shell.retries), ("/bin/bash", RETRIES));
    }

    #[test]
    fn failures_count_after_the_start_period_or_the_first_success() {
        let probe = probe(&["CMD", "x"]).expect("a probe");
        let mut it = container("a", "web", 1);
        it.run.started_at_ns = Some(100);
        it.run.health = Some(Health::default());
        let mut judge = |at, code| {
            probe.judge(&mut it, result(at, code));
            let health = it.run.health.as_ref().expect("health");
            (health.status, health.failing_streak)
        };
        assert_eq!(judge(105, 1), (HealthStatus::Starting, 0), "within the start period");
        assert_eq!(judge(111, 1), (HealthStatus::Starting, 1));
        assert_eq!(judge(112, -1), (HealthStatus::Unhealthy, 2));
        assert_eq!(judge(113, 0), (HealthStatus::Healthy, 0));
        assert_eq!(judge(114, 7), (HealthStatus::Healthy, 1));
        assert_eq!(judge(115, 7), (HealthStatus::Unhealthy, 2));
        let log = &it.run.health.expect("health").log;
        assert_eq!(log.iter().map(|result| result.start_ns).collect::<Vec<_>>(), [111, 112, 113, 114, 115]);
    }

    #[test]
    fn the_start_interval_holds_until_the_period_or_the_starting_ends() {
        let probe = probe(&["CMD", "x"]).expect("a probe");
        let mut it = container("a", "web", 1);
        it.run.started_at_ns = Some(100);
        it.run.health = Some(Health::default());
        assert_eq!(probe.pause(&it, 105), START_INTERVAL);
        assert_eq!(probe.pause(&it, 110), INTERVAL);
        it.run.health = Some(Health { status: HealthStatus::Healthy, ..Health::default() });
        assert_eq!(probe.pause(&it, 105), INTERVAL);
    }

    #[tokio::test]
    async fn the_beginning_of_the_output_is_kept() {
        let piece = |length| {
            let bytes = bytes::Bytes::from(vec![b'x'; length]);
            Ok(super::super::Output { stream: super::super::StandardStream::Stdout, at_ns: 0, bytes })
        };
        let mut said = Said::default();
        let mut output: OutputStream = Box::pin(futures_util::stream::iter([piece(4000), piece(96)]));
        said.listen(&mut output).await;
        assert_eq!(said.text().len(), 4096);
        let mut more: OutputStream = Box::pin(futures_util::stream::iter([piece(1)]));
        said.listen(&mut more).await;
        assert!(said.text().len() == 4099 && said.text().ends_with("x..."));
    }

    #[test]
    fn times_are_written_as_go_does() {
        let written: Vec<String> = [200, 1_000, 1_500, 30_000, 90_000, 3_600_000]
            .map(|milliseconds| go_duration(Duration::from_millis(milliseconds)))
            .into();
        assert_eq!(written, ["200ms", "1s", "1.5s", "30s", "1m30s", "1h0m0s"]);
    }
}
