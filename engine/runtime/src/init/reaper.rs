//! The tiny init of a container (`--init`): PID 1 that runs the program as its child, forwards signals to it, reaps all
//! orphans, and ends with its status.

use std::ffi::CString;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::command;
use crate::sys::clone::{exit_now, fork};
use crate::sys::signals;
use crate::wire::{Refusal, RefusalKind};

/// The face `init -- PROGRAM ARGUMENTS…`.
pub fn main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.skip_while(|one| one == "--").collect();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            eprintln!("{}", refusal.message);
            ExitCode::from(if refusal.kind == RefusalKind::CommandNotFound { 127 } else { 126 })
        }
    }
}

fn run(arguments: &[String]) -> Result<u8, Refusal> {
    let refused = |message: String| Refusal { kind: RefusalKind::Invalid, message };
    let name = arguments.first().ok_or_else(|| refused("no command is given".to_owned()))?;
    let file = command::find(name, std::env::var("PATH").ok().as_deref())?;
    let texts: Result<Vec<CString>, _> = arguments.iter().map(|text| CString::new(text.as_str())).collect();
    let texts = texts.map_err(|error| refused(error.to_string()))?;
    SigSet::all().thread_block().map_err(|error| refused(format!("cannot block signals: {error}")))?;
    match fork().map_err(|error| refused(format!("cannot make a process: {error}")))? {
        None => exit_now(become_program(&file, &texts)),
        Some(pid) => Ok(attend(Pid::from_raw(pid))),
    }
}

/// In the child. A group of its own, in the foreground where there is a terminal, so that a key's signal is for it.
fn become_program(file: &Path, arguments: &[CString]) -> i32 {
    let own_group = rustix::process::setpgid(None, None).is_ok();
    if own_group && rustix::termios::isatty(std::io::stdin()) {
        // Signals are still blocked, so that SIGTTOU cannot stop us here. Not every terminal is ours to take.
        let group = rustix::process::getpgrp();
        if let Err(error) = rustix::termios::tcsetpgrp(std::io::stdin(), group) {
            eprintln!("cannot take the terminal: {error}");
        }
    }
    if let Err(error) = signals::reset() {
        eprintln!("cannot reset signals: {error}");
        return 126;
    }
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let mut text = std::os::unix::ffi::OsStringExt::into_vec(name);
            text.push(b'=');
            text.extend(std::os::unix::ffi::OsStringExt::into_vec(value));
            CString::new(text).ok()
        })
        .collect();
    let Ok(path) = CString::new(file.as_os_str().as_encoded_bytes()) else { return 127 };
    let Err(error) = nix::unistd::execve(&path, arguments, &environment);
    let refusal = command::refused(file, &error.into());
    eprintln!("{}", refusal.message);
    if refusal.kind == RefusalKind::CommandNotFound { 127 } else { 126 }
}

fn attend(child: Pid) -> u8 {
    loop {
        match SigSet::all().wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            // A child that ended already cannot be signalled; its SIGCHLD comes next.
            Ok(signal) => drop(kill(child, signal)),
            // A real-time signal, which this library has no name for.
            Err(_) => {}
        }
    }
}

/// Reaps all that ended; the code when the child was among them.
fn reap(child: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status as u8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => code = Some(128 + signal as u8),
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => {}
        }
    }
}
