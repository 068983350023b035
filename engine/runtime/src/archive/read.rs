//! Out of a container: one path, or all of its root.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::FileType;

use super::pack::{Pack, Packed};
use super::path::{Asked, Place, evaluate, find, text};
use super::{missing, shown};
use crate::failure::{Doing, refusal};
use crate::rootfs::folder;
use crate::wire::archive::{Found, Told};
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};

/// Says what lies at `path`.
///
/// # Errors
/// `NotFound` when there is nothing.
pub fn look(root: BorrowedFd<'_>, path: &str, client: &Connection) -> Result<(), Refusal> {
    found(root, path, client).map(drop)
}

/// Says what lies at `path` and sends it as a tar. Its entries begin with the path's last part.
///
/// # Errors
/// `NotFound` when there is nothing; what could not be read or sent.
pub fn read(root: BorrowedFd<'_>, path: &str, out: File, client: &Connection) -> Result<(), Refusal> {
    let (asked, place) = found(root, path, client)?;
    let mut pack = Pack::new(out, client);
    let name = CString::new(place.name).doing(|| format!("name {path}"))?;
    // Those of the root begin with a slash, as Docker's clients expect.
    whole(&mut pack, asked.base(), place.folder.as_fd(), &name)?;
    pack.finish().doing(|| "send the files".to_owned())
}

/// Sends all of the root as a tar.
///
/// # Errors
/// What could not be read or sent.
pub fn export(root: BorrowedFd<'_>, out: File, client: &Connection) -> Result<(), Refusal> {
    let mut pack = Pack::new(out, client);
    let opened = folder::open(root, c".").doing(|| "open the root".to_owned())?;
    beneath(&mut pack, b"", opened.as_fd())?;
    pack.finish().doing(|| "send the files".to_owned())
}

fn found(root: BorrowedFd<'_>, path: &str, client: &Connection) -> Result<(Asked, Place), Refusal> {
    let asked = Asked::parse(path)?;
    let doing = || format!("look at {path}");
    let place = find(root, &asked).doing(doing)?.ok_or_else(|| missing(path))?;
    let about = &place.about;
    let target = match FileType::from_raw_mode(about.st_mode) {
        FileType::Symlink => match evaluate(root, &asked.parts) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(refusal(RefusalKind::Invalid, format!("{path} is a link that leads to itself")));
            }
            answer => text(&answer.doing(doing)?),
        },
        _ => String::new(),
    };
    let found = Found {
        name: String::from_utf8_lossy(asked.base()).into_owned(),
        size: about.st_size as u64,
        mode: about.st_mode,
        modified_s: about.st_mtime,
        modified_ns: about.st_mtime_nsec as u32,
        target,
    };
    client.send(&Told::Found(found), &[]).doing(|| "tell what was found".to_owned())?;
    Ok((asked, place))
}

/// One thing with all beneath it, names in order, so that the same files make the same tar.
fn whole(pack: &mut Pack<'_>, name: &[u8], folder: BorrowedFd<'_>, file: &CStr) -> Result<(), Refusal> {
    match pack.entry(name, folder, file).doing(|| doing(name))? {
        Packed::Folder(opened) => beneath(pack, name, opened.as_fd()),
        Packed::Whole => Ok(()),
    }
}

fn beneath(pack: &mut Pack<'_>, path: &[u8], opened: BorrowedFd<'_>) -> Result<(), Refusal> {
    for file in sorted(opened).doing(|| doing(path))? {
        whole(pack, &joined(path, file.to_bytes()), opened, &file)?;
    }
    Ok(())
}

fn doing(path: &[u8]) -> String {
    format!("send {:?}", shown(path))
}

/// Names in a folder, in order.
pub(super) fn sorted(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = folder::names(folder)?;
    names.sort_unstable();
    Ok(names)
}

/// `path/name`; the name alone in the inside of a folder.
pub(super) fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    match path {
        b"" | b"." => name.to_vec(),
        b"/" => [b"/", name].concat(),
        path => [path, name].join(&b'/'),
    }
}
