//! Removes what a container left behind, by descriptors, without following a link.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

/// Removes everything beneath a folder, but not what is mounted there (it stays, and the folder with it).
///
/// Keeps one descriptor open for each level, so the depth is bounded by the limit of descriptors.
///
/// # Errors
/// As unlinkat(2); what could be removed is gone.
pub fn contents(folder: BorrowedFd<'_>) -> io::Result<()> {
    let mut stack = vec![open(folder, c".")?];
    let mut path: Vec<CString> = Vec::new();
    let mut entries = vec![names(stack[0].as_fd())?];
    while let Some(list) = entries.last_mut() {
        let Some(name) = list.pop() else {
            entries.pop();
            stack.pop();
            if let (Some(parent), Some(name)) = (stack.last(), path.pop()) {
                unlinkat(parent, &name, AtFlags::REMOVEDIR)?;
            }
            continue;
        };
        let Some(here) = stack.last() else { break };
        if kind(here.as_fd(), &name)? != Some(FileType::Directory) {
            match unlinkat(here, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        let below = open(here.as_fd(), &name)?;
        entries.push(names(below.as_fd())?);
        stack.push(below);
        path.push(name);
    }
    Ok(())
}

/// Removes the entry `name` of `folder`, with everything beneath it. No error when there is none.
///
/// # Errors
/// As unlinkat(2).
pub fn entry(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    match kind(folder, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            contents(open(folder, name)?.as_fd())?;
            Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        }
        Some(_) => Ok(unlinkat(folder, name, AtFlags::empty())?),
    }
}

fn kind(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<Option<FileType>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::entry;

    #[test]
    fn a_link_is_removed_and_what_it_leads_to_stays() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(folder.path().join("out")).expect("out");
        std::fs::write(folder.path().join("out/kept"), "").expect("kept");
        let mut deep = folder.path().join("in");
        for _ in 0..50 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).expect("deep");
        std::os::unix::fs::symlink(folder.path().join("out"), deep.join("link")).expect("link");
        let top = std::fs::File::open(folder.path()).expect("open");

        entry(top.as_fd(), c"in").expect("removed");
        entry(top.as_fd(), c"in").expect("nothing to do");

        assert!(!folder.path().join("in").exists());
        assert!(folder.path().join("out/kept").exists());
    }
}
