//! Our own executable, seen through a read-only mount.
//!
//! CVE-2019-5736: a container whose root is the host's can reach the file behind /proc/PID/exe of any process of ours that
//! enters it, keep it open, and write it once nothing executes it. Behind a read-only mount of a namespace that it
//! cannot enter there is nothing to write through.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;

use crate::failure::{Doing, refusal};
use crate::sys::mounts::{Attributes, READ_ONLY, copy_tree};
use crate::wire::{Refusal, RefusalKind};

/// The executable, after [`ensure_read_only`].
///
/// # Errors
/// As open(2).
pub fn open() -> Result<OwnedFd, Refusal> {
    Ok(std::fs::File::open("/proc/self/exe").doing(|| "open our own program".to_owned())?.into())
}

/// Executes this program again through a read-only mount, with the same arguments, unless that was done already.
/// Descriptors that are not close-on-exec stay open.
///
/// # Errors
/// As open_tree(2), execveat(2).
pub fn ensure_read_only() -> Result<(), Refusal> {
    let here = rustix::fs::statvfs("/proc/self/exe").doing(|| "look at our own program".to_owned())?;
    if here.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let read_only = Attributes { set: READ_ONLY, propagation: libc::MS_PRIVATE, ..Attributes::default() };
    let own = copy_tree(rustix::fs::CWD, Path::new("/proc/self/exe"), read_only, false)
        .doing(|| "mount our own program read-only".to_owned())?;
    let bad = |_| refusal(RefusalKind::Invalid, "a null byte in an argument");
    let arguments: Vec<CString> =
        std::env::args_os().map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>().map_err(bad)?;
    let environment = std::env::vars_os().map(|(name, value)| {
        let mut text = name.into_vec();
        text.push(b'=');
        text.extend(value.into_vec());
        CString::new(text)
    });
    let environment: Vec<CString> = environment.collect::<Result<_, _>>().map_err(bad)?;
    let Err(error) =
        nix::unistd::execveat(own.as_fd(), c"", &arguments, &environment, nix::fcntl::AtFlags::AT_EMPTY_PATH);
    Err(std::io::Error::from(error)).doing(|| "execute our own program through a read-only mount".to_owned())
}
