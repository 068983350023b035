//! A forked child for tests of what a process does to itself.

use std::io::{Read, Write};

use super::clone::exit_now;

/// Runs `work` in a forked child and gives back its text; panics with its error.
///
/// fork(3) of the C library, not clone3: the test runner has threads, and only fork(3) leaves the allocator usable.
pub fn in_child(work: impl FnOnce() -> anyhow::Result<String>) -> String {
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    // SAFETY: the child works on a copy of this memory with the calling thread only, takes no lock that another thread
    // of the test runner could hold but the allocator's (which fork(3) sets free), and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            drop(reader);
            let (status, text) = match work() {
                Ok(text) => (0, text),
                Err(error) => (1, format!("{error:#}")),
            };
            let written = writer.write_all(text.as_bytes());
            exit_now(if written.is_ok() { status } else { 2 })
        }
        pid if pid > 0 => {
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).expect("the child's text");
            let pid = rustix::process::Pid::from_raw(pid);
            let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
                .expect("waitpid")
                .expect("a status");
            assert_eq!(status.exit_status(), Some(0), "the child failed ({status:?}): {text}");
            text
        }
        _ => panic!("fork: {}", std::io::Error::last_os_error()),
    }
}
