//! Real and hostile images, loaded, mounted by the kernel and compared with what they must show, on both backends. Needs
//! root and the built `sampan-runtime`; mounts stay detached, so the host's mount table does not change.

#[path = "../runtime/tests/harness/mod.rs"]
mod harness;

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use harness::Harness;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use sampan_engine::images::{Images, Loaded, StorageBackend};
use sampan_engine::owner::Owner;
use sampan_engine::processes::Spawner;
use sampan_engine::upstream::{Patience, Proxies, Transport};
use sampan_runtime::sandbox::Root;
use serde_json::Value;

const BOTH: [StorageBackend; 2] = [StorageBackend::Erofs, StorageBackend::Folders];

struct Host {
    root: PathBuf,
    images: Images,
    owner: Owner,
    /// The spawner and the data root.
    _harness: Harness,
}

impl Host {
    async fn new(backend: StorageBackend) -> Result<Self> {
        let harness = Harness::start("");
        let root = harness.data();
        // Of the harness; nothing here starts a container.
        std::fs::remove_dir_all(root.join("layers/image"))?;
        let pool = sampan_engine::store::open(&root).await?;
        sqlx::query(
            "INSERT INTO teams (id, name, key, base_id, created_at) VALUES (1, 'default', 'default', 1879048192, 0)",
        )
        .execute(&pool)
        .await?;
        let spawner = Arc::new(Spawner::new(&harness.folder.path().join("state")));
        let images =
            Images::open(&root, pool, backend, spawner, Transport::new(Proxies::default(), Patience::default()))?;
        let owner = Owner { team_id: 1, key: "default".to_owned(), base_id: 1_879_048_192 };
        Ok(Self { root, images, owner, _harness: harness })
    }

    async fn load(&self, path: &Path) -> Result<Vec<Loaded>> {
        let file = tokio::fs::File::open(path).await.with_context(|| path.display().to_string())?;
        Ok(self.images.load(&self.owner, file, |_| ()).await?)
    }

    /// Mounts an image; the mount goes with the descriptor.
    async fn mount(&self, loaded: &Loaded) -> Result<OwnedFd> {
        let image = self.images.get(&self.owner, &loaded.id).await?;
        let open = |kind: &str| rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        let context = match self.images.root(&image).await? {
            Root::Erofs { index, devices } => {
                let context = open("erofs")?;
                rustix::mount::fsconfig_set_string(&context, "source", self.root.join(index))?;
                for device in devices {
                    rustix::mount::fsconfig_set_string(&context, "device", self.root.join(device))?;
                }
                rustix::mount::fsconfig_set_flag(&context, "directio")?;
                context
            }
            Root::Folders { lowers } if lowers.len() == 1 => {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                return Ok(rustix::mount::open_tree(rustix::fs::CWD, self.root.join(&lowers[0]), flags)?);
            }
            Root::Folders { lowers } => {
                let context = open("overlay")?;
                for lower in lowers {
                    rustix::mount::fsconfig_set_string(&context, "lowerdir+", self.root.join(lower))?;
                }
                context
            }
            Root::Ready { .. } => bail!("not of the image store"),
        };
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
        Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    }

    /// Takes everything away and waits until nothing is left; the sweep after a removal runs on its own.
    async fn empty(&self) -> Result<()> {
        for image in self.images.list(&self.owner).await? {
            self.images.remove(&self.owner, &image.id.to_string(), true).await?;
        }
        self.images.sweep().await?;
        Ok(())
    }
}

fn path_of(mount: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}/.", std::process::id(), mount.as_raw_fd()))
}

/// A file of `tests/images`.
fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images").join(name)
}

/// An image of the maker's, made on first use and kept between runs.
fn image(name: &str) -> Result<PathBuf> {
    let kept = std::env::var_os("SAMPAN_TEST_IMAGES").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/sampan-images"));
    let folder = kept.or_else(home).context("neither SAMPAN_TEST_IMAGES nor HOME is set")?;
    if !folder.join(name).exists() {
        let made = Command::new(tool("prepare")).arg(&folder).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(folder.join(name))
}

fn check(expectation: &Path, root: &Path) -> Result<()> {
    let checked = Command::new("python3").arg(tool("make")).arg("check").args([expectation, root]).output()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hostile_image_shows_all_that_it_should() -> Result<()> {
    let archive = image("hostile.tar")?;
    for backend in BOTH {
        let host = Host::new(backend).await?;
        let loaded = host.load(&archive).await?;
        let mount = host.mount(&loaded[0]).await?;
        check(&archive.with_extension("expect.json"), &path_of(&mount)).with_context(|| format!("{backend:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_127_layers_is_one_mount() -> Result<()> {
    for backend in BOTH {
        let host = Host::new(backend).await?;
        let loaded = host.load(&image("deep.tar")?).await?;
        let mount = host.mount(&loaded[0]).await?;
        for layer in 1..127 {
            assert_eq!(std::fs::read_to_string(path_of(&mount).join(format!("deep/{layer}")))?, format!("{layer}\n"));
        }
    }
    Ok(())
}

/// Every file of every layer against GNU tar's own reading.
#[tokio::test(flavor = "multi_thread")]
async fn the_bulk_image_reads_as_gnu_tar_unpacks_it() -> Result<()> {
    for backend in BOTH {
        bulk_reads_as_gnu_tar_unpacks_it(Host::new(backend).await?).await?;
    }
    Ok(())
}

async fn bulk_reads_as_gnu_tar_unpacks_it(host: Host) -> Result<()> {
    let archive = image("bulk.tar")?;
    let loaded = host.load(&archive).await?;
    let mount = host.mount(&loaded[0]).await?;
    let image = host.images.get(&host.owner, &loaded[0].id).await?;
    let reference = host.root.join("reference");
    std::fs::create_dir(&reference)?;
    for diff_id in &image.diff_ids {
        let tar = host.root.join("layers").join(diff_id.hex()).join("tar");
        let done =
            Command::new("tar").arg("-xpf").arg(tar).arg("-C").arg(&reference).arg("--numeric-owner").status()?;
        ensure!(done.success());
    }
    let difference =
        Command::new("diff").args(["-r", "--no-dereference"]).arg(&reference).arg(path_of(&mount)).output()?;
    ensure!(
        difference.status.success(),
        "{}",
        String::from_utf8_lossy(&[difference.stdout, difference.stderr].concat())
    );
    Ok(())
}

/// The index of what is right for each archive is the maker's.
#[tokio::test(flavor = "multi_thread")]
async fn evil_archives_are_refused_or_do_no_harm() -> Result<()> {
    for backend in BOTH {
        evil_archives_do_no_harm(backend).await?;
    }
    Ok(())
}

async fn evil_archives_do_no_harm(backend: StorageBackend) -> Result<()> {
    let folder = image("evil")?;
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
    let outside = PathBuf::from(index["host"]["folder"].as_str().context("host folder")?);
    std::fs::create_dir_all(&outside)?;
    let _outside = Removed(outside.clone());
    std::fs::write(outside.join("secret"), "of the host\n")?;
    for (name, about) in index["archives"].as_object().context("archives")? {
        let host = Host::new(backend).await?;
        let outcome = host.load(&folder.join(name)).await;
        match (about["expect"].as_str(), &outcome) {
            (Some("refuse" | "limit"), Ok(_)) => bail!("{name} was loaded: {}", about["why"]),
            (Some("accept"), Err(error)) => bail!("{name} was refused: {error:#}"),
            (Some("refuse" | "limit"), Err(_)) => {
                let left = host.images.list(&host.owner).await?;
                assert_eq!(left, [], "{name}");
                assert_eq!(leftovers(&host.root)?, Vec::<PathBuf>::new(), "{name}");
            }
            _ => {}
        }
        if let Ok(loaded) = outcome {
            let mount = host.mount(&loaded[0]).await?;
            shows_nothing_of_the_host(name, &path_of(&mount))?;
        }
        assert_eq!(std::fs::read_to_string(outside.join("secret"))?, "of the host\n", "{name}");
        assert_eq!(std::fs::read_dir(&outside)?.count(), 1, "{name}");
    }
    Ok(())
}

/// What overlay would take for its own marks must not be there, and the base image must be whole.
fn shows_nothing_of_the_host(name: &str, root: &Path) -> Result<()> {
    assert!(root.join("bin/busybox").symlink_metadata()?.is_file(), "{name}");
    let bin = std::fs::File::open(root.join("bin"))?;
    let mut names = vec![0; 4096];
    let length = rustix::fs::flistxattr(&bin, &mut names)?;
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    assert!(!names.contains("overlay"), "{name}: {names:?}");
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_file() {
            assert!(!std::fs::read(&path)?.starts_with(b"of the host"), "{name}: {path:?}");
        }
    }
    Ok(())
}

/// Files of the stores that a refused load left behind.
fn leftovers(data_root: &Path) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    let folders =
        ["content", "content/tmp", "content/uploads", "layers", "layers/tmp", "layers/merged", "layers/folders"];
    let of_the_stores = folders.map(|folder| data_root.join(folder));
    for folder in &of_the_stores {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !of_the_stores.contains(&path) {
                left.push(path);
            }
        }
    }
    Ok(left)
}

/// Layers that two images share stay until both are gone; what is loaded again is unpacked again.
#[tokio::test(flavor = "multi_thread")]
async fn unpacked_layers_go_with_their_last_image_and_come_back() -> Result<()> {
    let host = Host::new(StorageBackend::Folders).await?;
    let folders = || -> Result<Vec<PathBuf>> {
        std::fs::read_dir(host.root.join("layers/folders"))?.map(|entry| Ok(entry?.path())).collect()
    };
    for _ in 0..2 {
        let busybox = host.load(&image("busybox.tar")?).await?;
        let first = folders()?;
        let usage = host.images.usage(&host.owner).await?;
        let tars = host.images.get(&host.owner, &busybox[0].id).await?.size;
        assert!(usage.layers_bytes > tars * 3 / 2, "tar and folder: {} of {tars}", usage.layers_bytes);
        assert_eq!(usage.reclaimable_bytes, usage.layers_bytes);
        let hostile = host.load(&image("hostile.tar")?).await?;
        assert!(folders()?.len() > first.len());
        host.images.remove(&host.owner, &hostile[0].id.to_string(), true).await?;
        host.images.sweep().await?;
        assert_eq!(folders()?, first);
        let mount = host.mount(&busybox[0]).await?;
        assert!(path_of(&mount).join("bin/busybox").symlink_metadata()?.is_file());
        drop(mount);
        host.empty().await?;
        assert_eq!(folders()?, Vec::<PathBuf>::new());
    }
    Ok(())
}

/// What was loaded on a kernel that mounts indexes runs on one that does not, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_survives_a_change_of_the_backend() -> Result<()> {
    let mut host = Host::new(StorageBackend::Erofs).await?;
    let loaded = host.load(&image("busybox.tar")?).await?;
    for backend in [StorageBackend::Folders, StorageBackend::Erofs] {
        let pool = sampan_engine::store::open(&host.root).await?;
        let spawner = Arc::new(Spawner::new(&host.root.with_file_name("state")));
        host.images =
            Images::open(&host.root, pool, backend, spawner, Transport::new(Proxies::default(), Patience::default()))?;
        let mount = host.mount(&loaded[0]).await?;
        assert!(path_of(&mount).join("bin/busybox").symlink_metadata()?.is_file(), "{backend:?}");
    }
    Ok(())
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
