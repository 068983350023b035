//! What differs from the image, as a list.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::Stat;

use super::delta::{Delta, Sink, Views};
use super::read::joined;
use crate::failure::Doing;
use crate::wire::Refusal;
use crate::wire::archive::{Change, ChangeKind};
use crate::wire::socket::Connection;

/// Sends one [`Change`] a line; a folder before what is in it.
///
/// # Errors
/// What could not be read or sent.
pub fn changes<'p>(
    views: Views,
    places: impl Iterator<Item = &'p Path>,
    out: File,
    client: &Connection,
) -> Result<(), Refusal> {
    let mut list = List { out: BufWriter::new(out) };
    Delta::new(&mut list, client, places).walk(views)?;
    list.out.flush().doing(|| "send the changes".to_owned())
}

struct List {
    out: BufWriter<File>,
}

impl List {
    fn tell(&mut self, path: &[u8], kind: ChangeKind) -> Result<(), Refusal> {
        if path.is_empty() {
            // Docker does not list the root.
            return Ok(());
        }
        let change = Change { path: format!("/{}", String::from_utf8_lossy(path)), kind };
        let doing = || "send the changes".to_owned();
        let mut line = serde_json::to_vec(&change).map_err(std::io::Error::from).doing(doing)?;
        line.push(b'\n');
        self.out.write_all(&line).doing(doing)
    }
}

impl Sink for List {
    fn entry(&mut self, path: &[u8], _folder: BorrowedFd<'_>, _name: &CStr, existed: bool) -> Result<(), Refusal> {
        self.tell(path, if existed { ChangeKind::Modified } else { ChangeKind::Added })
    }

    fn within(&mut self, path: &[u8], _folder: BorrowedFd<'_>, existed: bool) -> Result<(), Refusal> {
        self.tell(path, if existed { ChangeKind::Modified } else { ChangeKind::Added })
    }

    fn gone(&mut self, path: &[u8], _about: &Stat) -> Result<(), Refusal> {
        self.tell(path, ChangeKind::Deleted)
    }

    fn hidden(&mut self, path: &[u8], names: &[CString], _about: &Stat) -> Result<(), Refusal> {
        names.iter().try_for_each(|name| self.tell(&joined(path, name.to_bytes()), ChangeKind::Deleted))
    }

    fn looks_beneath_hidden(&self) -> bool {
        true
    }
}
