//! Names of a tar's entries: made clean, or refused. Spec: OCI image-spec, `layer.md`, "Whiteouts".

use crate::failure::refusal;
use crate::wire::{Refusal, RefusalKind};

/// A path as its parts, from the root.
pub(super) type Parts = Vec<Vec<u8>>;

/// What an entry's name asks for; paths are lists of parts without empty ones, `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Plain(Parts),
    Whiteout(Parts),
    Opaque(Parts),
    /// Bookkeeping of aufs.
    Passed,
}

/// Resolves `..` by text alone; what climbs out of the root is refused.
pub(super) fn clean(path: &[u8]) -> Result<Parts, Refusal> {
    let shown = String::from_utf8_lossy(path);
    let hostile = |why: &str| refusal(RefusalKind::Invalid, format!("the layer is hostile: {shown:?} {why}"));
    if path.contains(&0) || path.len() > 4_095 {
        return Err(hostile("holds a null byte or is too long"));
    }
    let mut parts: Parts = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(|| hostile("climbs out of the root"))?),
            // A deletion mark may name what is as long as names can be.
            part if part.strip_prefix(b".wh.").unwrap_or(part).len() > 255 => {
                return Err(hostile("has a part that is too long"));
            }
            part => parts.push(part.to_vec()),
        }
    }
    Ok(parts)
}

pub(super) fn read(path: &[u8]) -> Result<Name, Refusal> {
    let mut parts = clean(path)?;
    if parts.iter().any(|part| part.starts_with(b".wh..wh.") && part != b".wh..wh..opq") {
        return Ok(Name::Passed);
    }
    let Some(last) = parts.pop() else { return Ok(Name::Plain(parts)) };
    let hostile =
        || refusal(RefusalKind::Invalid, "the layer is hostile: a deletion mark without a name or as a folder");
    if parts.iter().any(|part| part.starts_with(b".wh.")) {
        return Err(hostile());
    }
    match last.strip_prefix(b".wh.") {
        None => {
            parts.push(last);
            Ok(Name::Plain(parts))
        }
        Some(b".wh..opq") => Ok(Name::Opaque(parts)),
        Some(b"" | b"." | b"..") => Err(hostile()),
        Some(name) => {
            parts.push(name.to_vec());
            Ok(Name::Whiteout(parts))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, read};

    #[test]
    fn names_are_clean_or_refused() {
        let plain = |parts: &[&str]| Name::Plain(parts.iter().map(|part| part.as_bytes().to_vec()).collect());
        assert_eq!(read(b"/a/./b//../c").expect("clean"), plain(&["a", "c"]));
        assert_eq!(read(b"./").expect("root"), plain(&[]));
        assert_eq!(read(b"a/.wh.b").expect("mark"), Name::Whiteout(vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(read(b"a/.wh..wh..opq").expect("mark"), Name::Opaque(vec![b"a".to_vec()]));
        assert_eq!(read(b".wh..wh.plnk/1").expect("aufs"), Name::Passed);
        for hostile in [&b"../a"[..], b"a/../../b", b"a\0b", b".wh.", b".wh..", b".wh.a/b"] {
            assert!(read(hostile).is_err(), "{}", String::from_utf8_lossy(hostile));
        }
    }
}
