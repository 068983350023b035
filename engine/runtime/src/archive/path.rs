//! Paths as clients type them, and where they lead.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use super::PATH_BYTES;
use crate::failure::refusal;
use crate::rootfs::resolve;
use crate::wire::{Refusal, RefusalKind};

/// Most links from one path to what it means in the end.
const LINKS: usize = 255;

/// Parts of a path from the root, without empty ones, `.` and `..`.
pub(super) type Parts = Vec<Vec<u8>>;

/// A path as a client typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub parts: Parts,
    /// It ends with a slash or `/.`: a link at its end is followed.
    pub follow: bool,
    /// It ends with `/.`: what is in the folder is meant, not the folder.
    pub inside: bool,
}

impl Asked {
    /// Takes `..` away by its text, as Docker does; what would climb out of the root stays at it.
    pub fn parse(path: &str) -> Result<Self, Refusal> {
        let invalid = |why: &str| refusal(RefusalKind::Invalid, format!("the path {why}"));
        if path.is_empty() {
            return Err(invalid("is empty"));
        }
        if path.contains('\0') || path.len() > PATH_BYTES {
            return Err(invalid("holds a null byte or is too long"));
        }
        let mut parts = Parts::new();
        for part in path.as_bytes().split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()),
                part if part.len() > 255 => return Err(invalid("has a part of more than 255 bytes")),
                part => parts.push(part.to_vec()),
            }
        }
        let inside = path == "." || path.ends_with("/.");
        Ok(Self { follow: inside || path.ends_with('/'), inside, parts })
    }

    /// The last part; `/` for the root, `.` for the inside of a folder.
    pub fn base(&self) -> &[u8] {
        match self.parts.last() {
            _ if self.inside => b".",
            None => b"/",
            Some(last) => last,
        }
    }
}

/// Parts as a path relative to the root.
pub(super) fn relative(parts: &[Vec<u8>]) -> PathBuf {
    if parts.is_empty() { PathBuf::from(".") } else { parts.iter().map(|part| OsStr::from_bytes(part)).collect() }
}

/// Where something is, and what it is.
pub(super) struct Place {
    /// The folder that has it; the thing itself when it has no name of its own here.
    pub folder: OwnedFd,
    /// Its name there.
    pub name: Vec<u8>,
    pub about: Stat,
}

/// Finds what a path means; none when there is nothing.
pub(super) fn find(root: BorrowedFd<'_>, asked: &Asked) -> io::Result<Option<Place>> {
    let found = match asked.parts.split_last() {
        Some((last, parents)) if !asked.follow => {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            resolve::open_inside(root, &relative(parents), flags).and_then(|folder| {
                let about = statat(&folder, OsStr::from_bytes(last), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(Place { folder, name: last.clone(), about })
            })
        }
        _ => {
            let flags = OFlags::PATH | if asked.follow { OFlags::DIRECTORY } else { OFlags::empty() };
            resolve::open_inside(root, &relative(&asked.parts), flags)
                .and_then(|folder| Ok(Place { about: fstat(&folder)?, folder, name: b".".to_vec() }))
        }
    };
    match found {
        Err(error) if is_missing(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG))
}

/// Where links lead in the end, by text, as far as there is anything. For telling only: whoever acts resolves again.
pub(super) fn evaluate(root: BorrowedFd<'_>, parts: &[Vec<u8>]) -> io::Result<Parts> {
    let mut open: VecDeque<Vec<u8>> = parts.iter().cloned().collect();
    let (mut resolved, mut links) = (Parts::new(), 0);
    while let Some(part) = open.pop_front() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                resolved.pop();
                continue;
            }
            _ => {}
        }
        let Some(target) = link_at(root, &resolved, &part)? else {
            resolved.push(part);
            continue;
        };
        links += 1;
        if links > LINKS || target.len() > PATH_BYTES {
            return Err(Errno::LOOP.into());
        }
        if target.starts_with(b"/") {
            resolved.clear();
        }
        for part in target.split(|&byte| byte == b'/').rev() {
            open.push_front(part.to_vec());
        }
    }
    Ok(resolved)
}

/// The target of the link `name` in a folder; none for what is no link.
fn link_at(root: BorrowedFd<'_>, folder: &[Vec<u8>], name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let folder = match resolve::without_links(root, &relative(folder)) {
        Err(error) if is_missing(&error) => return Ok(None),
        answer => answer?,
    };
    let name = OsStr::from_bytes(name);
    match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) if FileType::from_raw_mode(about.st_mode) == FileType::Symlink => {
            Ok(Some(readlinkat(folder.as_fd(), name, Vec::new())?.into_bytes()))
        }
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Parts as text from the root.
pub(super) fn text(parts: &[Vec<u8>]) -> String {
    let joined = parts.join(&b'/');
    format!("/{}", String::from_utf8_lossy(&joined))
}

/// Makes a name of a tar's entry clean; none for what climbs out of where the tar is taken in.
pub(super) fn clean(name: &[u8]) -> Option<Parts> {
    let mut parts = Parts::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part if part.len() > 255 || part.contains(&0) => return None,
            part => parts.push(part.to_vec()),
        }
    }
    (parts.iter().map(|part| part.len() + 1).sum::<usize>() <= PATH_BYTES).then_some(parts)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::{Asked, clean, evaluate, find, text};

    fn parts(text: &str) -> Vec<Vec<u8>> {
        text.split('/').filter(|part| !part.is_empty()).map(|part| part.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_path_is_read_as_docker_reads_it() {
        for (typed, wanted, base, follow, inside) in [
            ("/etc/passwd", "etc/passwd", "passwd", false, false),
            ("etc", "etc", "etc", false, false),
            ("/a/../../b/./c", "b/c", "c", false, false),
            ("/etc/", "etc", "etc", true, false),
            ("/etc/.", "etc", ".", true, true),
            ("/", "", "/", true, false),
            ("/..", "", "/", false, false),
            (".", "", ".", true, true),
            ("/.", "", ".", true, true),
        ] {
            let asked = Asked::parse(typed).expect(typed);
            assert_eq!(asked, Asked { parts: parts(wanted), follow, inside }, "{typed}");
            assert_eq!(asked.base(), base.as_bytes(), "{typed}");
        }
        assert!(Asked::parse("").is_err());
        assert!(Asked::parse("a\0b").is_err());
        assert!(Asked::parse(&"a/".repeat(3000)).is_err());
    }

    #[test]
    fn links_lead_nowhere_but_into_the_root() {
        let folder = tempfile::tempdir().expect("folder");
        let inside = folder.path().join("root");
        std::fs::create_dir_all(inside.join("etc/deep")).expect("etc");
        std::fs::write(folder.path().join("secret"), "x").expect("secret");
        std::fs::write(inside.join("etc/file"), "y").expect("file");
        symlink("../../../../../secret", inside.join("out")).expect("out");
        symlink("/etc/deep/../file", inside.join("way")).expect("way");
        symlink("loop", inside.join("loop")).expect("loop");
        let root = std::fs::File::open(&inside).expect("root");
        let led = |typed| evaluate(root.as_fd(), &parts(typed)).map(|parts| text(&parts));
        assert_eq!(led("way").expect("way"), "/etc/file");
        assert_eq!(led("out").expect("out"), "/secret", "a text within the root, where nothing is");
        assert_eq!(led("nothing/there").expect("nothing"), "/nothing/there");
        assert!(led("loop").is_err());
        let found = |typed| find(root.as_fd(), &Asked::parse(typed).expect("path")).expect("found");
        assert!(found("/out/").is_none() && found("/out/x").is_none() && found("/nothing").is_none());
        assert!(found("/etc/file/").is_none(), "a file is no folder");
        assert_eq!(found("/out").expect("the link itself").about.st_mode & libc::S_IFMT, libc::S_IFLNK);
    }

    proptest! {
        #[test]
        fn a_clean_name_has_no_part_that_leads_elsewhere(name in "[a./\\x00]{0,40}") {
            if let Some(parts) = clean(name.as_bytes()) {
                prop_assert!(parts.iter().all(|part| !matches!(&part[..], b"" | b"." | b"..") && !part.contains(&0)));
                prop_assert_eq!(clean(&parts.join(&b'/')), Some(parts));
            }
        }

        #[test]
        fn any_typed_path_is_answered(path in "[a./\\x00]{0,40}") {
            if let Ok(asked) = Asked::parse(&path) {
                prop_assert!(asked.parts.iter().all(|part| !matches!(&part[..], b"" | b"." | b"..")));
            }
        }
    }
}
