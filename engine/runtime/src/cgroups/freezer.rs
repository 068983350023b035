//! Freezing, thawing and killing all processes of a group.
//!
//! Spec: kernel `cgroup-v2.rst`, `cgroup.freeze`, `cgroup.kill`; `cgroup-v1/freezer-subsystem.rst`.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::CgroupError;
use super::group::{Cgroup, Patience};
use super::place::Place;

/// Longest wait for processes to freeze; one in an uninterruptible sleep (a dead NFS server) can hold it up for ever.
const FREEZE_PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Freezes all processes and waits until they are.
    ///
    /// # Errors
    /// [`CgroupError::Impatient`] after which nothing is frozen; [`CgroupError::Unsupported`]; [`CgroupError::Write`].
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let place = self.freezer()?;
        let frozen = if place.hierarchy.unified { freeze_unified(&place) } else { freeze_legacy(&place) };
        if frozen.is_err() {
            // Half frozen is worse than running; the first error is the one to tell.
            self.thaw().ok();
        }
        if frozen? {
            return Ok(());
        }
        Err(CgroupError::Impatient {
            path: self.path().to_owned(),
            state: "is not frozen",
            waited_ms: FREEZE_PATIENCE.as_millis() as u64,
        })
    }

    /// Thaws them.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let place = self.freezer()?;
        if place.hierarchy.unified { place.write("cgroup.freeze", "0") } else { place.write("freezer.state", "THAWED") }
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// [`CgroupError::Read`], [`CgroupError::Unsupported`].
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let place = self.freezer()?;
        if place.hierarchy.unified {
            is_frozen_unified(&place)
        } else {
            Ok(place.read("freezer.state")?.trim() == "FROZEN")
        }
    }

    /// Kills every process in and beneath it, frozen ones too. Does not wait for their end.
    ///
    /// # Errors
    /// [`CgroupError::Write`], [`CgroupError::Read`]; [`CgroupError::Impatient`] when new processes keep appearing.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if let Some(unified) = self.layout().unified() {
            let place = self.place(unified);
            // Linux 5.14.
            if place.has("cgroup.kill") {
                return place.write("cgroup.kill", "1");
            }
        }
        if self.processes()?.is_empty() {
            return Ok(());
        }
        // Frozen processes cannot fork away from the list nor end and have their number reused.
        let freezer = self.freezer().is_ok();
        if freezer {
            self.freeze()?;
        }
        let killed = self.kill_listed(if freezer { 1 } else { 100 });
        if freezer {
            self.thaw()?;
        }
        killed
    }

    fn kill_listed(&self, rounds: usize) -> Result<(), CgroupError> {
        for _ in 0..rounds {
            let processes = self.processes()?;
            for pid in processes.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // One that ended by itself is what we want.
                kill_process(pid, Signal::KILL).ok();
            }
            if processes.is_empty() || rounds == 1 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(CgroupError::Impatient { path: self.path().to_owned(), state: "has processes", waited_ms: rounds as u64 })
    }

    fn freezer(&self) -> Result<Place<'_>, CgroupError> {
        match self.layout().unified() {
            Some(unified) => Ok(self.place(unified)),
            None => self.place_of("freezer"),
        }
    }
}

fn freeze_unified(place: &Place<'_>) -> Result<bool, CgroupError> {
    place.write("cgroup.freeze", "1")?;
    let mut patience = Patience::new(FREEZE_PATIENCE);
    while !is_frozen_unified(place)? {
        if !patience.wait() {
            place.write("cgroup.freeze", "0")?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_frozen_unified(place: &Place<'_>) -> Result<bool, CgroupError> {
    Ok(place.read("cgroup.events")?.lines().any(|line| line == "frozen 1"))
}

/// v1 can stay FREEZING for ever when a process is stopped or forks at the wrong moment; a thaw and another try help
/// (as in runc).
fn freeze_legacy(place: &Place<'_>) -> Result<bool, CgroupError> {
    let mut patience = Patience::new(FREEZE_PATIENCE);
    for attempt in 1_u32.. {
        place.write("freezer.state", "FROZEN")?;
        match place.read("freezer.state")?.trim() {
            "FROZEN" => return Ok(true),
            _ if attempt % 16 == 0 => place.write("freezer.state", "THAWED")?,
            _ => {}
        }
        if !patience.wait() {
            break;
        }
    }
    place.write("freezer.state", "THAWED")?;
    Ok(false)
}
