//! Which extended attributes of an image reach a container.

use super::LayerError;
use super::error::shown;
use crate::erofs::tree::Attributes;

/// Most bytes of all attributes of one file, so that they fit beside its inode.
const ATTRIBUTES_BYTES: usize = 64 << 10;

/// What kind of thing an attribute is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// Keeps what means something inside a container: `user.*`, file capabilities, POSIX ACLs.
///
/// Passed over without a word: `trusted.*` and `user.overlay.*`, since overlay would take them for its own marks;
/// labels of the host's security modules; and what the kernel allows only on files and folders when it is on something
/// else. A repeated name: the last one counts.
///
/// # Errors
/// [`LayerError::TooLarge`] for what does not fit beside an inode.
pub fn keep<'a>(
    path: &[u8],
    on: On,
    attributes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Attributes, LayerError> {
    let mut kept = std::collections::BTreeMap::new();
    for (name, value) in attributes.filter(|(name, _)| allowed(name, on)) {
        kept.insert(Box::<[u8]>::from(name), Box::<[u8]>::from(value));
    }
    let size: usize = kept.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let fits = kept.iter().all(|(name, value)| name.len() <= 255 && value.len() <= usize::from(u16::MAX));
    if size > ATTRIBUTES_BYTES || !fits {
        let what = format!("extended attributes of {:?}", shown(path));
        return Err(LayerError::TooLarge { what, limit: ATTRIBUTES_BYTES as u64 });
    }
    Ok(kept.into_iter().collect())
}

fn allowed(name: &[u8], on: On) -> bool {
    match name {
        b"security.capability" => on == On::File,
        b"system.posix_acl_access" => on != On::Other,
        b"system.posix_acl_default" => on == On::Folder,
        _ => {
            let user = name.starts_with(b"user.") && name.len() > 5 && !name.contains(&0);
            user && !name.starts_with(b"user.overlay.") && on != On::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(on: On, given: &[&str]) -> Vec<String> {
        let kept = keep(b"f", on, given.iter().map(|name| (name.as_bytes(), &b"v"[..]))).unwrap();
        kept.into_iter().map(|(name, _)| String::from_utf8(name.into_vec()).unwrap()).collect()
    }

    #[test]
    fn overlay_marks_and_foreign_labels_are_stripped() {
        let given = [
            "user.note",
            "trusted.overlay.opaque",
            "user.overlay.opaque",
            "trusted.sampan.link",
            "security.selinux",
            "security.capability",
            "system.posix_acl_default",
            "user.",
        ];
        assert_eq!(names(On::File, &given), ["security.capability", "user.note"]);
        assert_eq!(names(On::Folder, &given), ["system.posix_acl_default", "user.note"]);
        assert_eq!(names(On::Other, &given), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_beside_an_inode_is_refused() {
        let value = vec![0; 60_000];
        let two = [(&b"user.a"[..], &value[..]), (&b"user.b"[..], &value[..])];
        assert!(keep(b"f", On::File, two[..1].iter().copied()).is_ok());
        assert!(matches!(keep(b"f", On::File, two.into_iter()), Err(LayerError::TooLarge { .. })));
    }
}
