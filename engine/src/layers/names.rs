//! Names in a layer's tar: made clean, or refused.

use super::LayerError;
use super::error::shown;

/// Most bytes of a path, as the kernel's PATH_MAX without its NUL.
pub const PATH_BYTES: usize = 4095;
/// Most bytes of one name.
pub const NAME_BYTES: usize = 255;

/// What an entry's name asks for. Paths are clean: relative to the root, no empty, `.` or `..` part; the root is "".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A file, folder, … of this layer.
    Plain(Vec<u8>),
    /// `.wh.NAME`: hides that path of the layers below.
    Whiteout(Vec<u8>),
    /// `.wh..wh..opq`: hides what that folder holds in the layers below.
    Opaque(Vec<u8>),
    /// Bookkeeping of aufs, which means nothing here.
    Passed,
}

/// Makes a path clean: what is absolute means below the root, `..` is resolved by its text alone.
///
/// # Errors
/// [`LayerError::Hostile`] when it climbs out of the root or holds a NUL byte, [`LayerError::TooLarge`] when it or a
/// part of it is too long.
pub fn clean(path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let hostile = |reason| LayerError::Hostile { path: shown(path), reason };
    if path.contains(&0) {
        return Err(hostile("the name holds a NUL byte"));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(|| hostile("the name climbs out of the root"))?),
            // A deletion mark may name what is as long as names can be.
            _ if part.strip_prefix(b".wh.").unwrap_or(part).len() > NAME_BYTES => {
                return Err(LayerError::TooLarge {
                    what: format!("name in {:?}", shown(path)),
                    limit: NAME_BYTES as u64,
                });
            }
            _ => parts.push(part),
        }
    }
    let clean = parts.join(&b'/');
    if clean.len() > PATH_BYTES {
        return Err(LayerError::TooLarge { what: format!("path {:?}", shown(path)), limit: PATH_BYTES as u64 });
    }
    Ok(clean)
}

/// Splits a clean path into its folder and its last part.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Reads what an entry's name asks for. Spec: OCI image-spec, layer.md, "Whiteouts".
///
/// # Errors
/// As [`clean`], and [`LayerError::Hostile`] for a whiteout of `.`, `..` or nothing and for one used as a folder.
pub fn read(path: &[u8]) -> Result<Name, LayerError> {
    let clean = clean(path)?;
    let hostile = |reason| LayerError::Hostile { path: shown(path), reason };
    let (folder, last) = split(&clean);
    let marks = |part: &[u8]| part.starts_with(b".wh.");
    if clean.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh..wh.") && part != b".wh..wh..opq") {
        return Ok(Name::Passed);
    }
    if folder.split(|byte| *byte == b'/').any(marks) {
        return Err(hostile("a deletion mark cannot be a folder"));
    }
    match last.strip_prefix(b".wh.") {
        None => Ok(Name::Plain(clean)),
        Some(b".wh..opq") => Ok(Name::Opaque(folder.to_vec())),
        Some(b"" | b"." | b"..") => Err(hostile("a deletion mark without a name")),
        Some(name) if folder.is_empty() => Ok(Name::Whiteout(name.to_vec())),
        Some(name) => Ok(Name::Whiteout([folder, name].join(&b'/'))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_clean_or_refused() {
        for (raw, wanted) in [
            ("a/b", Name::Plain(b"a/b".to_vec())),
            ("././names//dotted", Name::Plain(b"names/dotted".to_vec())),
            ("/etc/", Name::Plain(b"etc".to_vec())),
            ("./", Name::Plain(vec![])),
            ("a/../b", Name::Plain(b"b".to_vec())),
            ("a/.wh.b", Name::Whiteout(b"a/b".to_vec())),
            (".wh.b", Name::Whiteout(b"b".to_vec())),
            ("a/.wh..wh..opq", Name::Opaque(b"a".to_vec())),
            (".wh..wh.plnk/1.2", Name::Passed),
            (".whale", Name::Plain(b".whale".to_vec())),
            ("a.wh.b", Name::Plain(b"a.wh.b".to_vec())),
        ] {
            assert_eq!(read(raw.as_bytes()).unwrap(), wanted, "{raw}");
        }
        for raw in ["..", "../a", "a/../../b", "/../a", "a\0b", ".wh.", "a/.wh..", ".wh...", ".wh.a/b"] {
            assert!(matches!(read(raw.as_bytes()), Err(LayerError::Hostile { .. })), "{raw}");
        }
        assert!(matches!(clean(&[b'a'; 256]), Err(LayerError::TooLarge { .. })));
        assert_eq!(read(&[&b".wh."[..], &[b'a'; 255]].concat()).unwrap(), Name::Whiteout(vec![b'a'; 255]));
        assert!(matches!(clean(&[&b".wh."[..], &[b'a'; 256]].concat()), Err(LayerError::TooLarge { .. })));
        assert!(matches!(clean(&b"ab/".repeat(1366)), Err(LayerError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn a_clean_path_has_no_part_that_leads_elsewhere(raw in "[a./\\x00]{0,40}") {
            if let Ok(path) = clean(raw.as_bytes()) {
                prop_assert!(path.is_empty() || path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")));
                prop_assert_eq!(clean(&path).unwrap(), path);
            }
        }
    }
}
