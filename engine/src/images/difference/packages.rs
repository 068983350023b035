//! Packages of an image, from the databases that dpkg and apk keep in it. Its bytes are whoever's: what is read is bounded
//! and nothing of it is believed beyond names and versions.
//!
//! Sources: dpkg(1) and deb-control(5), /var/lib/dpkg/status, and status.d/ of images without dpkg;
//! apk-tools, "apk v2" installed database, /lib/apk/db/installed. What rpm keeps (a database of its own kind) is not read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};

use crate::erofs::tree::Body;
use crate::layers::LayerError;
use crate::layers::look::Look;

/// Most packages of one image.
const PACKAGES: usize = 50_000;
/// Most bytes of all databases of one image.
const DATABASE_BYTES: u64 = 128 << 20;
/// Most bytes of a line that are looked at, and so of a name or a version.
const LINE_BYTES: usize = 4 << 10;
/// Most files of dpkg's status.d.
const STATUS_FILES: usize = 10_000;

const DPKG: &[u8] = b"var/lib/dpkg/status";
const DPKG_FOLDER: &[u8] = b"var/lib/dpkg/status.d";
const APK: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];
const RPM: [&[u8]; 6] = [
    b"var/lib/rpm/rpmdb.sqlite",
    b"var/lib/rpm/Packages",
    b"var/lib/rpm/Packages.db",
    b"usr/lib/sysimage/rpm/rpmdb.sqlite",
    b"usr/lib/sysimage/rpm/Packages.db",
    b"usr/share/rpm/rpmdb.sqlite",
];

/// One package that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDifference {
    /// `dpkg` or `apk`.
    pub manager: &'static str,
    /// Its name.
    pub name: String,
    /// For which processors, as the manager says.
    pub architecture: String,
    /// Its version before; `None`: it was not installed.
    pub before: Option<String>,
    /// Its version after; `None`: it is not installed.
    pub after: Option<String>,
}

/// All packages that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    /// Some of them, by name.
    pub listed: Vec<PackageDifference>,
    /// How many differ and are not listed.
    pub more: u64,
    /// Installed before.
    pub before: u64,
    /// Installed after.
    pub after: u64,
    /// Managers whose database one of the images has and that is not read: `rpm`.
    pub not_read: Vec<&'static str>,
    /// A database was too large to be read whole.
    pub incomplete: bool,
}

/// What one image has.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// Versions by name, manager and architecture.
    all: BTreeMap<(String, &'static str, String), String>,
    has_rpm: bool,
    incomplete: bool,
}

/// What differs.
pub(super) fn compare(old: Installed, new: Installed, most: usize) -> Packages {
    let keys: BTreeSet<_> = old.all.keys().chain(new.all.keys()).collect();
    let mut found = Packages {
        before: old.all.len() as u64,
        after: new.all.len() as u64,
        not_read: if old.has_rpm || new.has_rpm { vec!["rpm"] } else { Vec::new() },
        incomplete: old.incomplete || new.incomplete,
        ..Packages::default()
    };
    for key in keys {
        let (before, after) = (old.all.get(key), new.all.get(key));
        if before == after {
            continue;
        }
        if found.listed.len() >= most {
            found.more += 1;
            continue;
        }
        let (name, manager, architecture) = key.clone();
        let (before, after) = (before.cloned(), after.cloned());
        found.listed.push(PackageDifference { manager, name, architecture, before, after });
    }
    found
}

/// What an image has.
pub(super) fn read(look: &Look) -> Result<Installed, LayerError> {
    let mut installed = Installed::default();
    let mut left = DATABASE_BYTES;
    if let Some(file) = open(look, DPKG, &mut left, &mut installed)? {
        dpkg(file, &mut installed).map_err(LayerError::io("read", "var/lib/dpkg/status"))?;
    }
    for path in status_files(look)? {
        if let Some(file) = open(look, &path, &mut left, &mut installed)? {
            dpkg(file, &mut installed).map_err(LayerError::io("read", "var/lib/dpkg/status.d"))?;
        }
    }
    for path in APK {
        if let Some(file) = open(look, path, &mut left, &mut installed)? {
            apk(file, &mut installed).map_err(LayerError::io("read", "lib/apk/db/installed"))?;
        }
    }
    for path in RPM {
        installed.has_rpm |= look.find(path)?.is_some();
    }
    Ok(installed)
}

/// A file of the image; `None`: there is none, or it is none.
fn open(
    look: &Look,
    path: &[u8],
    left: &mut u64,
    installed: &mut Installed,
) -> Result<Option<impl BufRead + use<>>, LayerError> {
    let Some((_, node)) = look.find(path)? else { return Ok(None) };
    let Body::File { size, .. } = node.body else { return Ok(None) };
    installed.incomplete |= size > *left;
    let length = size.min(*left);
    *left -= length;
    let content = look.content(&node).map_err(LayerError::io("open", String::from_utf8_lossy(path).into_owned()))?;
    Ok(Some(BufReader::new(content.take(length))))
}

/// Images without dpkg have a file for each package.
fn status_files(look: &Look) -> Result<Vec<Vec<u8>>, LayerError> {
    let Some((nid, node)) = look.find(DPKG_FOLDER)? else { return Ok(Vec::new()) };
    if node.folder().is_none() {
        return Ok(Vec::new());
    }
    let entries = look.index()?.entries(nid).map_err(|error| look.damaged(error.0))?;
    let names = entries.into_iter().map(|(name, _)| name).filter(|name| !name.ends_with(b".md5sums"));
    Ok(names.take(STATUS_FILES).map(|name| [DPKG_FOLDER, b"/", name].concat()).collect())
}

/// The fields of a paragraph that count.
#[derive(Debug, Default)]
struct Paragraph {
    name: String,
    version: String,
    architecture: String,
    gone: bool,
}

impl Paragraph {
    /// It ended: what it says counts, and the next one begins.
    fn end(&mut self, manager: &'static str, installed: &mut Installed) {
        let Self { name, version, architecture, gone } = std::mem::take(self);
        if name.is_empty() || gone {
            return;
        }
        if installed.all.len() >= PACKAGES {
            installed.incomplete = true;
            return;
        }
        installed.all.insert((name, manager, architecture), version);
    }
}

/// Paragraphs of `Field: value`, continued by lines that begin with a blank.
pub(super) fn dpkg(mut file: impl BufRead, installed: &mut Installed) -> io::Result<()> {
    let (mut paragraph, mut line) = (Paragraph::default(), Vec::new());
    while next_line(&mut file, &mut line)? {
        if line.is_empty() {
            paragraph.end("dpkg", installed);
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':').filter(|_| !line[0].is_ascii_whitespace()) else {
            continue;
        };
        let value = String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned();
        match line[..colon].to_ascii_lowercase().as_slice() {
            b"package" => paragraph.name = value,
            b"version" => paragraph.version = value,
            b"architecture" => paragraph.architecture = value,
            // Wanted, flag, state: one that was removed and left its configuration behind is not there.
            b"status" => {
                let state = value.split_ascii_whitespace().nth(2).unwrap_or_default();
                paragraph.gone = matches!(state, "not-installed" | "config-files");
            }
            _ => {}
        }
    }
    paragraph.end("dpkg", installed);
    Ok(())
}

/// Paragraphs of `X:value`, one letter for a field.
pub(super) fn apk(mut file: impl BufRead, installed: &mut Installed) -> io::Result<()> {
    let (mut paragraph, mut line) = (Paragraph::default(), Vec::new());
    while next_line(&mut file, &mut line)? {
        let value = || String::from_utf8_lossy(&line[2..]).trim().to_owned();
        match line.get(..2) {
            None if line.is_empty() => paragraph.end("apk", installed),
            Some(b"P:") => paragraph.name = value(),
            Some(b"V:") => paragraph.version = value(),
            Some(b"A:") => paragraph.architecture = value(),
            _ => {}
        }
    }
    paragraph.end("apk", installed);
    Ok(())
}

/// The next line without its end, cut where it is longer than any name; false: there is none.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        line.extend_from_slice(&part[..part.len().min(LINE_BYTES - line.len())]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        file.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
impl Installed {
    pub(super) fn shown(&self) -> Vec<String> {
        let all = self.all.iter();
        all.map(|((name, manager, architecture), version)| format!("{manager} {name} {architecture} {version}"))
            .collect()
    }
}
