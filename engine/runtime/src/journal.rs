//! `containers/<id>/journal`: what happened to a container while no daemon looked, one JSON line each.
//!
//! The monitor writes, the daemon replays by sequence number. Appending is one write(2) without fsync: safe against any
//! kill, at power loss the running state is gone anyway. A last line without its newline was cut and is ignored. At
//! [`FILE_BYTES`] the file becomes `journal.1` and a new one is begun, so that a container that restarts for years
//! does not fill the disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::wire::monitor::{Entry, Happening};

/// The current file's name in the container's folder.
pub const FILE: &str = "journal";
/// The one before it.
pub const OLD_FILE: &str = "journal.1";
/// Size at which a new file is begun.
pub const FILE_BYTES: u64 = 1 << 20;
/// More than the longest line.
const TAIL_BYTES: u64 = 16 << 10;

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    id: String,
    last: Option<Entry>,
    last_start: Option<(i32, u32)>,
}

impl Journal {
    /// Reads where the journal in a container's folder ends.
    ///
    /// # Errors
    /// As open(2) and read(2).
    pub fn open(folder: impl AsFd, id: &str) -> io::Result<Self> {
        let mut journal = Self { id: id.to_owned(), last: None, last_start: None };
        for name in [OLD_FILE, FILE] {
            if let Some(mut file) = open_file(&folder, name, OFlags::RDONLY)? {
                let length = file.metadata()?.len();
                file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
                entries(&file)?.iter().for_each(|entry| journal.note(entry));
            }
        }
        Ok(journal)
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.last.as_ref()
    }

    /// The pid and the number of restarts of the last start, if the file's end still tells.
    pub fn last_start(&self) -> Option<(i32, u32)> {
        self.last_start
    }

    /// Writes one entry. It counts also when it could not be written: who listens now is told all the same.
    pub fn append(&mut self, folder: impl AsFd, at_ns: i64, what: Happening) -> (Entry, io::Result<()>) {
        let sequence = self.last.as_ref().map_or(1, |last| last.sequence + 1);
        let entry = Entry { id: self.id.clone(), at_ns, sequence, what };
        self.note(&entry);
        let written = write(&folder, &entry);
        (entry, written)
    }

    fn note(&mut self, entry: &Entry) {
        if let Happening::Started { pid, restarts } = entry.what {
            self.last_start = Some((pid, restarts));
        }
        self.last = Some(entry.clone());
    }
}

fn write(folder: &impl AsFd, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND;
    let mut file = open_file(folder, FILE, flags)?.ok_or(io::ErrorKind::NotFound)?;
    let length = file.metadata()?.len();
    if length >= FILE_BYTES {
        rustix::fs::renameat(folder, FILE, folder, OLD_FILE)?;
        file = open_file(folder, FILE, flags)?.ok_or(io::ErrorKind::NotFound)?;
    } else if length > 0 && !ends_with_newline(&mut file)? {
        line.insert(0, b'\n');
    }
    file.write_all(&line)
}

/// All entries after `sequence`, oldest first, of the container whose folder this is. None: nothing ever happened.
///
/// # Errors
/// As open(2) and read(2).
pub fn read_after(folder: &Path, sequence: u64) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for name in [OLD_FILE, FILE] {
        match File::open(folder.join(name)) {
            Ok(file) => found.extend(entries(&file)?.into_iter().filter(|entry| entry.sequence > sequence)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn entries(mut file: &File) -> io::Result<Vec<Entry>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Ok(text[..whole].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn open_file(folder: &impl AsFd, name: &str, flags: OFlags) -> io::Result<Option<File>> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_on_over_reopening_and_over_a_cut_line() -> anyhow::Result<()> {
        let place = tempfile::tempdir()?;
        let folder = File::open(place.path())?;
        let mut journal = Journal::open(&folder, "a")?;
        assert_eq!(journal.last(), None);
        journal.append(&folder, 5, Happening::Started { pid: 3, restarts: 0 }).1?;
        File::options().append(true).open(place.path().join(FILE))?.write_all(b"{\"id\":\"a\",\"at_")?;
        let mut journal = Journal::open(&folder, "a")?;
        let (entry, written) = journal.append(&folder, 6, Happening::StdinClosed);
        written?;
        assert_eq!(journal.last_start(), Some((3, 0)));
        assert_eq!(entry.sequence, 2);
        assert_eq!(read_after(place.path(), 1)?, std::slice::from_ref(&entry));
        assert_eq!(Journal::open(&folder, "a")?.last(), Some(&entry));
        assert_eq!(read_after(place.path(), 0)?.len(), 2);
        Ok(())
    }

    #[test]
    fn begins_a_new_file_and_keeps_one_old_one() -> anyhow::Result<()> {
        let place = tempfile::tempdir()?;
        let folder = File::open(place.path())?;
        let mut journal = Journal::open(&folder, "a")?;
        let message = "no space".repeat(1000);
        for at_ns in 0..150 {
            let what = Happening::RestartFailed { message: message.clone(), restart_in_ms: None };
            journal.append(&folder, at_ns, what).1?;
        }
        assert!(place.path().join(OLD_FILE).exists());
        let sequences: Vec<u64> = read_after(place.path(), 0)?.iter().map(|entry| entry.sequence).collect();
        assert_eq!(sequences, (1..=150).collect::<Vec<_>>());
        Ok(())
    }
}
