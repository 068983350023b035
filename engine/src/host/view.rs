//! A private view of the file system, in which the roots can be reached without root.
//!
//! The roots may lie in folders that only root can enter. In a mount namespace of the server's own, the topmost folder
//! that its user cannot enter is covered by an empty tmpfs, in which only the ways to the roots exist, with the roots
//! mounted at their ends. The rest of such a folder is out of sight for the server, which is as well.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};

use super::HostError;

/// Enters a private mount namespace in which `uid`/`gid` can reach each of `roots` (canonical folders).
///
/// # Errors
/// [`HostError`].
pub fn enter_private_view(uid: u32, gid: u32, roots: &[&Path]) -> Result<(), HostError> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| HostError::Process { what: "make a mount namespace", source: error.into() })?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(HostError::process("keep mounts private"))?;
    let mut covered: Vec<(PathBuf, &Path, OwnedFd)> = Vec::new();
    for root in roots {
        let Some(closed) = topmost_closed(root, uid, gid)? else { continue };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let tree = rustix::mount::open_tree(CWD, *root, flags).map_err(|error| HostError::Io {
            what: "clone the mount of",
            path: root.to_path_buf(),
            source: error.into(),
        })?;
        covered.push((closed, root, tree));
    }
    let mut done: Vec<&Path> = Vec::new();
    for (closed, _, _) in &covered {
        if !done.contains(&closed.as_path()) {
            cover(closed)?;
            done.push(closed);
        }
    }
    for (_, root, tree) in &covered {
        fs::create_dir_all(root).map_err(HostError::io("make the way to", *root))?;
        rustix::mount::move_mount(tree.as_fd(), "", CWD, *root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|error| HostError::Io { what: "mount", path: root.to_path_buf(), source: error.into() })?;
    }
    Ok(())
}

fn cover(folder: &Path) -> Result<(), HostError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("sampan", folder, "tmpfs", flags, c"mode=0755,size=64k").map_err(|error| HostError::Io {
        what: "cover",
        path: folder.to_path_buf(),
        source: error.into(),
    })
}

/// The first folder on the way to `root`, from the top, that the user cannot pass.
fn topmost_closed(root: &Path, uid: u32, gid: u32) -> Result<Option<PathBuf>, HostError> {
    let mut ways: Vec<&Path> = root.ancestors().skip(1).collect();
    ways.reverse();
    for way in ways {
        let found = fs::metadata(way).map_err(HostError::io("look at", way))?;
        let bit = if found.uid() == uid {
            0o100
        } else if found.gid() == gid {
            0o010
        } else {
            0o001
        };
        if found.mode() & bit == 0 {
            return Ok(Some(way.to_path_buf()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::topmost_closed;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_topmost_folder_that_cannot_be_passed_is_found() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = std::fs::canonicalize(folder.path())?;
        let deep = base.join("open/closed/inner/root");
        std::fs::create_dir_all(&deep)?;
        let mode = |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&base, 0o755)?;
        assert_eq!(topmost_closed(&deep, 4242, 4242)?, None);
        mode(&base.join("open/closed/inner"), 0o700)?;
        mode(&base.join("open/closed"), 0o700)?;
        assert_eq!(topmost_closed(&deep, 4242, 4242)?, Some(base.join("open/closed")));
        Ok(())
    }
}
