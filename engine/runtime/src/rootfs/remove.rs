//! Removes what a container left behind, by descriptors, without following a link.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, RenameFlags, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::folder;

/// So many levels are open at once.
const LEVELS: usize = 64;

/// Removes everything beneath a folder, but not what is mounted there (it stays, and the folder with it).
///
/// Keeps one descriptor open for each of [`LEVELS`] levels; a folder below is moved up to the top first.
///
/// # Errors
/// As unlinkat(2); what could be removed is gone.
pub fn contents(folder: BorrowedFd<'_>) -> io::Result<()> {
    let mut stack = vec![folder::open(folder, c".")?];
    let mut path: Vec<CString> = Vec::new();
    let mut entries = vec![folder::names(stack[0].as_fd())?];
    let mut moved = 0;
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
        if stack.len() >= LEVELS {
            let higher = move_up(here.as_fd(), &name, stack[0].as_fd(), &mut moved)?;
            entries[0].push(higher);
            continue;
        }
        let below = folder::open(here.as_fd(), &name)?;
        entries.push(folder::names(below.as_fd())?);
        stack.push(below);
        path.push(name);
    }
    Ok(())
}

/// Gives a folder a name of its own in another one; that name. `moved` counts the names that were tried, so that each
/// is tried once, however many folders are moved.
fn move_up(from: BorrowedFd<'_>, name: &std::ffi::CStr, top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<CString> {
    loop {
        let higher = CString::new(format!(".deep-{moved}"))?;
        *moved += 1;
        match renameat_with(from, name, top, &higher, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            answer => return answer.map(|()| higher).map_err(Into::into),
        }
    }
}

/// Removes the entry `name` of `folder`, with everything beneath it. No error when there is none.
///
/// # Errors
/// As unlinkat(2).
pub fn entry(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    match kind(folder, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            contents(folder::open(folder, name)?.as_fd())?;
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
        for _ in 0..150 {
            deep.push("d");
        }
        std::fs::create_dir_all(&deep).expect("deep");
        // What is moved up finds its first names taken.
        std::fs::create_dir_all(folder.path().join("in/.deep-0/.deep-1")).expect("taken");
        std::os::unix::fs::symlink(folder.path().join("out"), deep.join("link")).expect("link");
        let top = std::fs::File::open(folder.path()).expect("open");

        entry(top.as_fd(), c"in").expect("removed");
        entry(top.as_fd(), c"in").expect("nothing to do");

        assert!(!folder.path().join("in").exists());
        assert!(folder.path().join("out/kept").exists());
    }
}
