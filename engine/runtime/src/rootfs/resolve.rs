//! Paths of a container, resolved inside its root by openat2(2): no symbolic link leads out, no magic link is followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// How a path is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// Anything that is not a folder.
    File,
}

/// Opens `path` inside `root` as a mere place (O_PATH). Absolute links start again at `root`.
///
/// # Errors
/// As openat2(2).
pub fn inside(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, ResolveFlags::IN_ROOT)
}

/// Opens `path` inside `root` as a place, refusing every symbolic link on the way (`ELOOP`).
///
/// # Errors
/// As openat2(2).
pub fn without_links(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

/// Opens the relative `path` beneath `folder` with `flags`; links, `..` out of it and other file systems are refused.
///
/// # Errors
/// As openat2(2).
pub fn beneath(folder: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    open(folder, path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

/// Opens the relative `path` beneath `folder` as a mere place. Links are followed as long as they do not lead out of
/// `folder`, not even for a step (`EXDEV`).
///
/// # Errors
/// As openat2(2).
pub fn staying_beneath(folder: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(folder, path, OFlags::PATH, ResolveFlags::BENEATH)
}

/// Opens `path` inside `root` with `flags`.
///
/// # Errors
/// As openat2(2).
pub fn open_inside(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    open(root, path, flags, ResolveFlags::IN_ROOT)
}

fn open(at: BorrowedFd<'_>, path: &Path, flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() || path == Path::new("/") { Path::new(".") } else { path };
    for _ in 0..64 {
        // EAGAIN: something was renamed during a walk through "..".
        match openat2(at, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            answer => return Ok(answer?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// Opens `path` inside `root` as a place, making what is missing: folders of mode 0755, and an empty file of mode 0644
/// at the end when `kind` says so. Each step is taken by descriptor, so nothing is made outside of `root`.
///
/// # Errors
/// As openat2(2), mkdirat(2); `ELOOP` for a dangling link.
pub fn or_make(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
    match inside(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        answer => return answer,
    }
    // `..` takes the name before it away, as Docker cleans a path, never a folder that a link leads to.
    let mut names: Vec<&OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    let mut walked = std::path::PathBuf::new();
    let mut place = inside(root, Path::new("."))?;
    for (number, name) in names.iter().enumerate() {
        walked.push(name);
        place = match inside(root, &walked) {
            Ok(next) => next,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let last = number + 1 == names.len();
                make(place.as_fd(), name, if last { kind } else { Kind::Folder })?;
                without_links(place.as_fd(), Path::new(name))?
            }
            Err(error) => return Err(error),
        };
    }
    Ok(place)
}

fn make(folder: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> io::Result<()> {
    let made = match kind {
        Kind::Folder => rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)),
        Kind::File => rustix::fs::openat(
            folder,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )
        .map(drop),
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        answer => Ok(answer?),
    }
}

/// Whether the place is a folder.
///
/// # Errors
/// As fstat(2).
pub fn is_folder(place: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(place)?.st_mode) == rustix::fs::FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::{Kind, beneath, inside, or_make, staying_beneath, without_links};

    fn root() -> (tempfile::TempDir, std::fs::File) {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir(folder.path().join("root")).expect("root");
        let file = std::fs::File::open(folder.path().join("root")).expect("open");
        (folder, file)
    }

    /// CVE-2021-30465: a link in the image must not move a mount out of the root.
    #[test]
    fn a_link_out_of_the_root_is_followed_inside_of_it() {
        let (folder, root) = root();
        std::os::unix::fs::symlink("/../../outside", folder.path().join("root/link")).expect("link");
        std::fs::create_dir(folder.path().join("outside")).expect("outside");

        or_make(root.as_fd(), Path::new("/link/../made/here"), Kind::Folder).expect("made");
        let dangling = or_make(root.as_fd(), Path::new("/link/deeper"), Kind::Folder);

        assert!(folder.path().join("root/made/here").is_dir());
        assert!(dangling.is_err());
        assert_eq!(std::fs::read_dir(folder.path().join("outside")).expect("list").count(), 0);
    }

    #[test]
    fn an_absolute_link_starts_again_at_the_root() {
        let (folder, root) = root();
        std::fs::create_dir(folder.path().join("root/etc")).expect("etc");
        std::os::unix::fs::symlink("/etc", folder.path().join("root/conf")).expect("link");

        or_make(root.as_fd(), Path::new("/conf/file"), Kind::File).expect("made");

        assert!(folder.path().join("root/etc/file").is_file());
        assert!(without_links(root.as_fd(), Path::new("conf")).is_err());
        assert!(beneath(root.as_fd(), Path::new("conf/file"), rustix::fs::OFlags::PATH).is_err());
        assert!(beneath(root.as_fd(), Path::new("../root"), rustix::fs::OFlags::PATH).is_err());
        assert!(staying_beneath(root.as_fd(), Path::new("conf/file")).is_err(), "an absolute link");
        std::os::unix::fs::symlink("etc", folder.path().join("root/near")).expect("link");
        assert!(staying_beneath(root.as_fd(), Path::new("near/file")).is_ok());
        assert!(staying_beneath(root.as_fd(), Path::new("etc/../../root/etc/file")).is_err());
    }

    /// CVE-2024-21626: a descriptor of this process must not be reachable through /proc of the image.
    #[test]
    fn magic_links_are_refused() {
        let proc = std::fs::File::open("/proc").expect("proc");
        assert!(inside(proc.as_fd(), Path::new("self/cwd")).is_err());
    }
}
