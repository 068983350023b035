//! One entry of a layer's tar: its content's size, its time, what kind of thing it is.

use sampan_runtime::time::of_pax;
use tar_core::parse::ParsedEntry;
use tar_core::{EntryType, PaxExtensions};

use super::LayerError;
use super::attributes::On;
use super::error::shown;
use super::framing::BLOCK;
use super::names;
use crate::erofs::tree::{Body, Data, Device, Folder};

/// Most bytes of one file, also of one that is mostly holes; 512 bytes << 31, one chunk of EROFS.
pub const FILE_BYTES: u64 = 1 << 40;
/// Most bytes of one tar: 2^32 blocks, less what counts as a hole.
pub const TAR_BYTES: u64 = (u32::MAX as u64 - 1) * BLOCK;

/// Whether what follows is a file, a folder or something else.
pub fn on(entry: &ParsedEntry<'_>, sparse: bool) -> On {
    let regular = matches!(entry.entry_type, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse);
    match regular {
        // Old tars mark folders by a slash alone.
        true if !sparse && entry.path.ends_with(b"/") => On::Folder,
        true => On::File,
        false if entry.is_dir() => On::Folder,
        false => On::Other,
    }
}

/// Bytes of content that follow an entry's header. Only files have any, whatever the header says, as in Go's tar.
pub fn content_bytes(entry: &ParsedEntry<'_>, data: u64, sparse: bool) -> Result<u64, LayerError> {
    if on(entry, sparse) != On::File {
        return Ok(0);
    }
    let too_large = || LayerError::TooLarge {
        what: format!("file {:?} of {} bytes", shown(&entry.path), entry.size),
        limit: FILE_BYTES,
    };
    if entry.size > FILE_BYTES || data.saturating_add(entry.size) > TAR_BYTES {
        return Err(too_large());
    }
    Ok(entry.size)
}

/// The time of an entry, from its pax header where that has one; refuses pax values that the parser passed over.
pub fn time(entry: &ParsedEntry<'_>, sparse: bool) -> Result<(i64, u32), LayerError> {
    let mut time = (entry.mtime as i64, 0);
    let Some(pax) = entry.pax else { return Ok(time) };
    let wrong = |key: &str| LayerError::Tar {
        offset: 0,
        reason: format!("pax header {key:?} of {:?} is wrong", shown(&entry.path)),
    };
    let versioned = PaxExtensions::new(pax).flatten().any(|record| record.key_bytes() == b"GNU.sparse.major");
    for record in PaxExtensions::new(pax) {
        let record = record.map_err(|error| LayerError::Tar { offset: 0, reason: error.to_string() })?;
        let value = record.value_bytes();
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
        match record.key_bytes() {
            b"mtime" => time = of_pax(value).ok_or_else(|| wrong("mtime"))?,
            // The size then counts the map that stands before the data, which the parser has taken off already.
            b"size" if sparse && versioned => return Err(wrong("size")),
            key @ (b"size"
            | b"uid"
            | b"gid"
            | b"GNU.sparse.realsize"
            | b"GNU.sparse.size"
            | b"GNU.sparse.offset"
            | b"GNU.sparse.numbytes")
                if number().is_none() =>
            {
                return Err(wrong(&String::from_utf8_lossy(key)));
            }
            _ => {}
        }
    }
    Ok(time)
}

/// What an entry is; none for what is left out without a word.
pub fn body(
    entry: &ParsedEntry<'_>,
    on: On,
    path: &[u8],
    data: u64,
    sparse: Option<u64>,
) -> Result<Option<Body>, LayerError> {
    if on == On::Folder {
        return Ok(Some(Body::Folder(Folder::default())));
    }
    let device = || device(entry, path);
    Ok(Some(match entry.entry_type {
        EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse => {
            let size = sparse.unwrap_or(entry.size);
            let block = if size == 0 { 0 } else { u32::try_from(data / BLOCK).unwrap_or(u32::MAX) };
            Body::File { size, data: Data::Run { device: 1, block } }
        }
        EntryType::Symlink => Body::Symlink(symlink_target(entry, path)?),
        EntryType::Char => match device()? {
            // Overlay's own mark for a deleted name: an image may not bring one.
            Device { major: 0, minor: 0 } => return Ok(None),
            device => Body::Character(device),
        },
        EntryType::Block => Body::Block(device()?),
        EntryType::Fifo => Body::Fifo,
        other => {
            let reason = format!("entries of type {:?} are not taken", char::from(other.to_byte()));
            return Err(LayerError::Unsupported { path: shown(path), reason });
        }
    }))
}

fn symlink_target(entry: &ParsedEntry<'_>, path: &[u8]) -> Result<Box<[u8]>, LayerError> {
    let target = entry.link_target.as_deref().unwrap_or_default();
    if target.is_empty() || target.contains(&0) {
        return Err(LayerError::Hostile { path: shown(path), reason: "a symbolic link to nothing" });
    }
    if target.len() > names::PATH_BYTES {
        return Err(LayerError::TooLarge {
            what: format!("target of {:?}", shown(path)),
            limit: names::PATH_BYTES as u64,
        });
    }
    Ok(target.into())
}

fn device(entry: &ParsedEntry<'_>, path: &[u8]) -> Result<Device, LayerError> {
    let (major, minor) = (entry.dev_major.unwrap_or_default(), entry.dev_minor.unwrap_or_default());
    if major > 0xfff || minor > 0xf_ffff {
        return Err(LayerError::Unsupported {
            path: shown(path),
            reason: format!("device {major}:{minor} is no device of Linux"),
        });
    }
    Ok(Device { major, minor })
}
