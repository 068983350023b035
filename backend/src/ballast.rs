//! Room on the disk that is held back, and given back in pieces when there is no other: so that on a full disk one can
//! still sign in and remove what takes the room.
//!
//! Only what needs it for that asks for it (accounts, removals). Given to all, a container that fills the disk would
//! have it within a second.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, fstatfs, fstatvfs};

/// The file in the data root.
const FILE: &str = "ballast";
/// Its size, and on a small disk a part of that.
const WHOLE: u64 = 64 << 20;
const PART: u64 = 16;
/// Given back at once.
const PIECE: u64 = 4 << 20;
/// Less than this free is no room.
const LOW: u64 = 2 << 20;
/// It is taken again when so many times its size would stay free.
const PLENTY: u64 = 3;
/// What a tmpfs holds is memory, which is not for holding back. Spec: statfs(2).
const TMPFS: i64 = 0x0102_1994;

/// Before a write that is to succeed on a full disk: gives back a piece when there is no room.
pub fn make_room(data_root: &Path) {
    match give_back(data_root, LOW) {
        Ok(None) => {}
        Ok(Some(left)) => tracing::warn!(left, "the disk is full: ballast was given back; remove what takes the room"),
        Err(error) => tracing::debug!(%error, "no ballast can be given back"),
    }
}

/// Takes the room again, all of it or none; nothing where there is not plenty.
///
/// # Errors
/// As open(2), fallocate(2).
pub fn fill(data_root: &Path) -> io::Result<()> {
    let root = File::open(data_root)?;
    if fstatfs(&root)?.f_type as i64 == TMPFS {
        return Ok(());
    }
    let disk = fstatvfs(&root)?;
    let size = WHOLE.min(disk.f_blocks * disk.f_frsize / PART);
    let file = File::options().create(true).append(true).open(data_root.join(FILE))?;
    let missing = size.saturating_sub(file.metadata()?.len());
    if missing == 0 || disk.f_bavail * disk.f_frsize < missing + PLENTY * size {
        return Ok(());
    }
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        // A file of zeroes would hold nothing back on a disk that shares or squeezes blocks.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        done => Ok(done?),
    }
}

/// Gives back a piece when less than `low` bytes are free; how much is left of it then.
fn give_back(data_root: &Path, low: u64) -> io::Result<Option<u64>> {
    let disk = rustix::fs::statvfs(data_root)?;
    if disk.f_bavail * disk.f_frsize >= low {
        return Ok(None);
    }
    let file = File::options().write(true).open(data_root.join(FILE))?;
    let left = file.metadata()?.len().saturating_sub(PIECE);
    file.set_len(left)?;
    Ok(Some(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_given_back_until_there_is_none_left() {
        let folder = tempfile::tempdir().unwrap();
        assert!(give_back(folder.path(), u64::MAX).is_err(), "there is none");
        std::fs::write(folder.path().join(FILE), vec![0; PIECE as usize + 5]).unwrap();
        assert_eq!(give_back(folder.path(), 0).unwrap(), None, "there is room");
        for left in [5, 0, 0] {
            assert_eq!(give_back(folder.path(), u64::MAX).unwrap(), Some(left));
        }
    }
}
