//! Bytes and files of a folder.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

/// Bytes on disk and inodes beneath a folder, files with several names counted once; does not follow links.
pub(super) fn of(folder: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    let mut seen = HashSet::new();
    let mut waiting: Vec<OwnedFd> = vec![open(folder, c".")?];
    while let Some(folder) = waiting.pop() {
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let found = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                // Removed since it was listed.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let kind = FileType::from_raw_mode(found.st_mode);
            if kind != FileType::Directory && found.st_nlink > 1 && !seen.insert((found.st_dev, found.st_ino)) {
                continue;
            }
            bytes += found.st_blocks as u64 * 512;
            files += 1;
            if kind == FileType::Directory {
                match open(folder.as_fd(), name) {
                    Ok(below) => waiting.push(below),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok((bytes, files))
}

fn open(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOATIME;
    Ok(openat(folder, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    #[test]
    fn a_file_with_two_names_counts_once() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir(folder.path().join("below")).expect("below");
        std::fs::write(folder.path().join("below/file"), vec![1; 10_000]).expect("file");
        std::fs::hard_link(folder.path().join("below/file"), folder.path().join("twin")).expect("twin");
        std::os::unix::fs::symlink("/", folder.path().join("link")).expect("link");
        let top = std::fs::File::open(folder.path()).expect("open");

        let (bytes, files) = super::of(top.as_fd()).expect("usage");

        assert_eq!(files, 3);
        assert!((10_000..100_000).contains(&bytes), "{bytes}");
    }
}
