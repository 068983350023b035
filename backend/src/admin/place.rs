//! Becoming the owner of the data root, which may lie in a folder that only root can enter.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

/// The database, which the first `serve` makes.
const DATABASE: &str = "sampan.db";
/// A folder that every host has and anybody may enter; covered in this process's own mount namespace only.
const COVERED: &str = "/run";

/// Becomes the owner of `data_root` and gives a path by which that user can reach it. Must run before any thread.
///
/// # Errors
/// Says what is missing: the data root, its database, or the right to become its owner.
pub(crate) fn enter(data_root: &Path) -> anyhow::Result<PathBuf> {
    let found = std::fs::metadata(data_root).with_context(|| {
        format!("there is no data root {}: name it by --data-root, or start `sampan serve` once", data_root.display())
    })?;
    if !data_root.join(DATABASE).exists() {
        bail!("{} has no {DATABASE}: start `sampan serve` with this data root once", data_root.display());
    }
    let (owner, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
    let me = geteuid();
    if me == owner {
        return Ok(data_root.to_owned());
    }
    if !me.is_root() {
        bail!("{} belongs to uid {owner}: run this as root or as that user", data_root.display());
    }
    let reachable = show(data_root)?;
    setgroups(&[group]).context("cannot let go of root's groups")?;
    setresgid(group, group, group).with_context(|| format!("cannot become gid {group}"))?;
    setresuid(owner, owner, owner).with_context(|| format!("cannot become uid {owner}"))?;
    Ok(reachable)
}

/// Shows the data root at a place that its owner can reach, in a mount namespace that ends with this process.
fn show(data_root: &Path) -> anyhow::Result<PathBuf> {
    match unshare(CloneFlags::CLONE_NEWNS) {
        // Root of a container without the right to mount: the path itself has to do.
        Err(Errno::EPERM) => return Ok(data_root.to_owned()),
        unshared => unshared.context("cannot make a mount namespace")?,
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("cannot make the mounts private")?;
    // Opened first, since the data root may lie beneath the folder that is covered.
    let folder = std::fs::File::open(data_root)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), COVERED, Some("tmpfs"), flags, Some("mode=0711,size=64k")).context("cannot mount a tmpfs")?;
    let shown = Path::new(COVERED).join("data");
    std::fs::create_dir(&shown)?;
    let source = format!("/proc/self/fd/{}", folder.as_raw_fd());
    mount(Some(source.as_str()), &shown, none, MsFlags::MS_BIND, none)
        .with_context(|| format!("cannot show {} at another place", data_root.display()))?;
    Ok(shown)
}
