//! Whether and when a container that ended is started again. Docker's rules; nothing is done here.

use std::time::Duration;

use crate::sandbox::RestartPolicy;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// One that ran so long begins again with the first wait.
const LONG_RUN: Duration = Duration::from_secs(10);

/// How one container ended, and what went before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// `None`: nobody could learn it.
    pub(super) code: Option<i32>,
    /// How long it ran.
    pub(super) ran: Duration,
    /// Restarts since a person started it.
    pub(super) restarts: u32,
    /// A person asked it to stop.
    pub(super) stopping: bool,
    /// The last wait.
    pub(super) last_wait: Option<Duration>,
}

/// How long to wait before the next start; `None`: it stays ended.
pub(super) fn restart_after(policy: RestartPolicy, ending: Ending) -> Option<Duration> {
    let again = !ending.stopping
        && match policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max_retries } => {
                ending.code != Some(0) && (max_retries == 0 || ending.restarts < max_retries)
            }
        };
    again.then(|| next_wait(ending.last_wait.filter(|_| ending.ran < LONG_RUN)))
}

/// Doubles from 100 ms up to a minute.
pub(super) fn next_wait(last: Option<Duration>) -> Duration {
    last.map_or(FIRST_WAIT, |last| (last * 2).min(LONGEST_WAIT))
}

/// Docker's exit status out of waitpid(2)'s: 128+n for signal n.
pub(super) fn exit_code(status: i32) -> i32 {
    let signal = status & 0x7f;
    if signal == 0 { (status >> 8) & 0xff } else { 128 + signal }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDING: Ending =
        Ending { code: Some(1), ran: Duration::from_secs(1), restarts: 0, stopping: false, last_wait: None };

    #[test]
    fn each_policy_restarts_what_it_says() {
        let again = |policy, ending| restart_after(policy, ending).is_some();
        let zero = Ending { code: Some(0), ..ENDING };
        let unknown = Ending { code: None, ..ENDING };
        let stopped = Ending { stopping: true, ..ENDING };
        let third = Ending { restarts: 3, ..ENDING };
        let on_failure = RestartPolicy::OnFailure { max_retries: 3 };
        assert!(!again(RestartPolicy::No, ENDING));
        assert!(again(RestartPolicy::Always, zero));
        assert!(again(RestartPolicy::UnlessStopped, zero));
        assert!(!again(RestartPolicy::Always, stopped));
        assert!(again(on_failure, ENDING));
        assert!(again(on_failure, unknown));
        assert!(!again(on_failure, zero));
        assert!(!again(on_failure, third));
        assert!(again(RestartPolicy::OnFailure { max_retries: 0 }, third));
    }

    #[test]
    fn waits_double_to_a_minute_and_begin_again_after_a_long_run() {
        let mut wait = None;
        let mut waits = Vec::new();
        for _ in 0..12 {
            wait = restart_after(RestartPolicy::Always, Ending { last_wait: wait, ..ENDING });
            waits.extend(wait.map(|wait| wait.as_millis()));
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        let long = Ending { ran: Duration::from_secs(10), last_wait: wait, ..ENDING };
        assert_eq!(restart_after(RestartPolicy::Always, long), Some(FIRST_WAIT));
    }

    #[test]
    fn a_signal_counts_from_128() {
        assert_eq!([0x0700, 9, 0x8b, 0].map(exit_code), [7, 137, 139, 0]);
    }
}
