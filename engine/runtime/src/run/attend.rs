//! Waits for the program, forwards signals, and pumps its terminal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::failure::Doing;
use crate::namespaces::Newborn;
use crate::wire::Refusal;

/// Waits; answers the exit status as Docker counts.
pub(super) fn attend(newborn: &Newborn, master: Option<OwnedFd>) -> Result<u8, Refusal> {
    let doing = || "wait for the program".to_owned();
    let mut set = SigSet::all();
    for signal in [Signal::SIGCHLD, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGABRT] {
        set.remove(signal);
    }
    set.thread_block().doing(doing)?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing(doing)?;
    let _raw = master.as_ref().map(|master| Raw::enter(master.as_fd()));
    let mut stdin_open = master.is_some();
    loop {
        let stdin = std::io::stdin();
        let mut polled = vec![PollFd::new(&newborn.pidfd, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        if let Some(master) = &master {
            polled.push(PollFd::new(master, PollFlags::IN));
            if stdin_open {
                polled.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).doing(doing),
        }
        let happened: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        drop(polled);
        if happened[1] {
            forward(&signals, newborn.pidfd.as_fd(), master.as_ref())?;
        }
        if let Some(master) = &master {
            if happened[2] {
                pump(master.as_fd(), std::io::stdout().as_fd()).doing(doing)?;
            }
            if happened.get(3) == Some(&true) {
                stdin_open = pump(stdin.as_fd(), master.as_fd()).doing(doing)?;
            }
        }
        if happened[0] {
            if let Some(master) = &master {
                // What it wrote last is still in the terminal.
                while pump(master.as_fd(), std::io::stdout().as_fd()).doing(doing)? {}
            }
            return reap(newborn.pidfd.as_fd());
        }
    }
}

/// Takes the status of a process that ended or is about to.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> Result<u8, Refusal> {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).doing(|| "wait for the program".to_owned())?;
    Ok(match status {
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code as u8,
            (None, Some(signal)) => 128 + signal as u8,
            (None, None) => 125,
        },
        None => 125,
    })
}

fn forward(signals: &SignalFd, pidfd: BorrowedFd<'_>, master: Option<&OwnedFd>) -> Result<(), Refusal> {
    let doing = || "forward a signal".to_owned();
    while let Some(got) = signals.read_signal().doing(doing)? {
        let number = got.ssi_signo as i32;
        if number == Signal::SIGWINCH as i32 {
            if let (Some(master), Ok(size)) = (master, tcgetwinsize(std::io::stdin())) {
                tcsetwinsize(master, size).doing(doing)?;
            }
        } else if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
            match pidfd_send_signal(pidfd, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).doing(doing),
            }
        }
    }
    Ok(())
}

/// One read and the writes it needs; false at the end.
fn pump(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut bytes = [0_u8; 16 << 10];
    let count = match rustix::io::read(from, &mut bytes) {
        // A terminal whose other end is closed.
        Ok(0) | Err(rustix::io::Errno::IO) => return Ok(false),
        Ok(count) => count,
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let mut rest = &bytes[..count];
    while !rest.is_empty() {
        let written = rustix::io::write(to, rest)?;
        rest = &rest[written..];
    }
    Ok(true)
}

/// Our own terminal in raw mode, put back by `Drop`.
struct Raw(Option<Termios>);

impl Raw {
    fn enter(master: BorrowedFd<'_>) -> Self {
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        if let Ok(size) = tcgetwinsize(&stdin)
            && let Err(error) = tcsetwinsize(master, size)
        {
            eprintln!("cannot set the terminal's size: {error}");
        }
        let mut raw = before.clone();
        raw.make_raw();
        match tcsetattr(&stdin, OptionalActions::Now, &raw) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0
            && let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, before)
        {
            eprintln!("cannot put the terminal back: {error}");
        }
    }
}
