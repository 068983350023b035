//! One group in one hierarchy: its files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::CgroupError;
use super::layout::Hierarchy;

/// One group in one hierarchy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'layout> {
    /// Where it is.
    pub hierarchy: &'layout Hierarchy,
    /// Relative to the hierarchy's root; empty for the root itself.
    pub path: &'layout str,
}

impl<'layout> Place<'layout> {
    /// For error texts.
    pub fn shown(&self, file: &str) -> PathBuf {
        self.hierarchy.mount_point.join(self.path).join(file)
    }

    /// Relative to the hierarchy's root folder.
    fn relative(&self, file: &str) -> PathBuf {
        let whole = PathBuf::from(self.path).join(file);
        if whole.as_os_str().is_empty() { PathBuf::from(".") } else { whole }
    }

    /// Opens a file (or, by an empty name, the folder).
    pub fn open(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat(self.hierarchy.folder(), self.relative(file), flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// Whether the group exists in this hierarchy.
    pub fn exists(&self) -> bool {
        self.open("", OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// Whether it has such a file.
    pub fn has(&self, file: &str) -> bool {
        self.open(file, OFlags::PATH).is_ok()
    }

    /// Writes `value` in one call, as the kernel wants it.
    pub fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        self.try_write(file, value).map_err(|source| self.refused(file, value, source))
    }

    /// Writes several values to one file, each in a call of its own.
    pub fn write_all(&self, file: &str, values: &[String]) -> Result<(), CgroupError> {
        let Some(first) = values.first() else { return Ok(()) };
        let open = self.open(file, OFlags::WRONLY).map_err(|source| self.refused(file, first, source))?;
        values.iter().try_for_each(|value| write_to(&open, value).map_err(|source| self.refused(file, value, source)))
    }

    fn refused(&self, file: &str, value: &str, source: Errno) -> CgroupError {
        CgroupError::Write { file: self.shown(file), value: value.to_owned(), source: source.into() }
    }

    /// As [`Self::write`], with the bare answer of the kernel.
    pub fn try_write(&self, file: &str, value: &str) -> Result<(), Errno> {
        write_to(&self.open(file, OFlags::WRONLY)?, value)
    }

    /// Reads a whole file.
    pub fn read(&self, file: &str) -> Result<String, CgroupError> {
        let failed = |source: io::Error| CgroupError::Read { file: self.shown(file), source };
        let open = self.open(file, OFlags::RDONLY).map_err(|source| failed(source.into()))?;
        io::read_to_string(std::fs::File::from(open)).map_err(failed)
    }

    /// Reads a file that may not be there; also `None` when the group went away while it was read.
    pub fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError> {
        match self.read(file) {
            Ok(text) => Ok(Some(text)),
            Err(CgroupError::Read { source, .. })
                if matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Names of the groups beneath it; none when it is gone.
    pub fn children(&self) -> Result<Vec<String>, CgroupError> {
        let failed = |source: Errno| CgroupError::Read { file: self.shown(""), source: source.into() };
        let folder = match self.open("", OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            answer => answer.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder).map_err(failed)? {
            let entry = match entry {
                Err(Errno::NOENT) => break,
                answer => answer.map_err(failed)?,
            };
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// One write(2): the kernel takes a value whole or not at all.
fn write_to(file: &OwnedFd, value: &str) -> Result<(), Errno> {
    loop {
        match rustix::io::write(file, value.as_bytes()) {
            Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The number behind `key` in a file of `key value` lines.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
