//! Host folders that teams were granted, as starts look them up: a file of the data root for each team.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sampan_runtime::sandbox::GRANTS_FOLDER;
pub use sampan_runtime::sandbox::HostFolder;

/// The right to change the files, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    _locked: File,
}

/// Where the files lie.
pub fn place(data_root: &Path) -> PathBuf {
    data_root.join(GRANTS_FOLDER)
}

/// Waits until no other process changes the files.
///
/// # Errors
/// As mkdir(2), flock(2).
pub fn lock(data_root: &Path) -> io::Result<Lock> {
    let folder = place(data_root);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let locked = File::open(&folder)?;
    locked.lock()?;
    Ok(Lock { folder, _locked: locked })
}

impl Lock {
    /// The file of a team.
    pub fn file(&self, team_key: &str) -> PathBuf {
        self.folder.join(format!("{team_key}.json"))
    }

    /// Says what a team was granted from now on. When it cannot be written, as on a full disk, what lay there stays as
    /// far as it still holds; else the team has no grant until it is written again: never one that was taken away.
    ///
    /// # Errors
    /// As write(2), rename(2).
    pub fn write(&self, team_key: &str, granted: &[HostFolder]) -> io::Result<()> {
        let file = self.file(team_key);
        if granted.is_empty() {
            return remove(&file);
        }
        let text = serde_json::to_vec(granted)?;
        let there = std::fs::read(&file).unwrap_or_default();
        if there == text {
            return Ok(());
        }
        let fresh = self.folder.join(format!("{team_key}.new"));
        let written = (|| {
            let mut new = File::create(&fresh)?;
            new.write_all(&text)?;
            new.sync_all()?;
            std::fs::rename(&fresh, &file)?;
            File::open(&self.folder)?.sync_all()
        })();
        if written.is_err() {
            remove(&fresh)?;
            let there: Vec<HostFolder> = serde_json::from_slice(&there).unwrap_or_default();
            if !there.iter().all(|folder| granted.contains(folder)) {
                remove(&file)?;
            }
        }
        written
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
