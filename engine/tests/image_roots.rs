//! Real and hostile images, loaded, mounted by the kernel and compared with what they must show. Needs root; mounts
//! stay detached, so the host's mount table does not change.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use sampan_engine::images::{Images, Loaded, StorageBackend};
use sampan_engine::owner::Owner;
use sampan_runtime::sandbox::Root;
use serde_json::Value;

struct Host {
    root: tempfile::TempDir,
    images: Images,
    owner: Owner,
}

impl Host {
    async fn new() -> Result<Self> {
        let root = tempfile::tempdir()?;
        let pool = sampan_engine::store::open(root.path()).await?;
        sqlx::query(
            "INSERT INTO teams (id, name, key, base_id, created_at) VALUES (1, 'default', 'default', 1879048192, 0)",
        )
        .execute(&pool)
        .await?;
        let images = Images::open(root.path(), pool, StorageBackend::Erofs)?;
        Ok(Self { root, images, owner: Owner { team_id: 1, key: "default".to_owned(), base_id: 1_879_048_192 } })
    }

    async fn load(&self, path: &Path) -> Result<Vec<Loaded>> {
        let file = tokio::fs::File::open(path).await.with_context(|| path.display().to_string())?;
        Ok(self.images.load(&self.owner, file, |_| ()).await?)
    }

    /// Mounts an image; the mount goes with the descriptor.
    async fn mount(&self, loaded: &Loaded) -> Result<OwnedFd> {
        let image = self.images.get(&self.owner, &loaded.id).await?;
        let Root::Erofs { index, devices } = self.images.root(&image).await? else { bail!("not on EROFS") };
        let context = rustix::mount::fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, "source", self.root.path().join(index))?;
        for device in devices {
            rustix::mount::fsconfig_set_string(&context, "device", self.root.path().join(device))?;
        }
        rustix::mount::fsconfig_set_flag(&context, "directio")?;
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
        Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
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
    let host = Host::new().await?;
    let loaded = host.load(&archive).await?;
    let mount = host.mount(&loaded[0]).await?;
    check(&archive.with_extension("expect.json"), &path_of(&mount))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_127_layers_is_one_mount() -> Result<()> {
    let host = Host::new().await?;
    let loaded = host.load(&image("deep.tar")?).await?;
    let mount = host.mount(&loaded[0]).await?;
    for layer in 1..127 {
        assert_eq!(std::fs::read_to_string(path_of(&mount).join(format!("deep/{layer}")))?, format!("{layer}\n"));
    }
    Ok(())
}

/// Every file of every layer against GNU tar's own reading.
#[tokio::test(flavor = "multi_thread")]
async fn the_bulk_image_reads_as_gnu_tar_unpacks_it() -> Result<()> {
    let archive = image("bulk.tar")?;
    let host = Host::new().await?;
    let loaded = host.load(&archive).await?;
    let mount = host.mount(&loaded[0]).await?;
    let image = host.images.get(&host.owner, &loaded[0].id).await?;
    let reference = host.root.path().join("reference");
    std::fs::create_dir(&reference)?;
    for diff_id in &image.diff_ids {
        let tar = host.root.path().join("layers").join(diff_id.hex()).join("tar");
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
    let folder = image("evil")?;
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
    let outside = PathBuf::from(index["host"]["folder"].as_str().context("host folder")?);
    std::fs::create_dir_all(&outside)?;
    let _outside = Removed(outside.clone());
    std::fs::write(outside.join("secret"), "of the host\n")?;
    for (name, about) in index["archives"].as_object().context("archives")? {
        let host = Host::new().await?;
        let outcome = host.load(&folder.join(name)).await;
        match (about["expect"].as_str(), &outcome) {
            (Some("refuse" | "limit"), Ok(_)) => bail!("{name} was loaded: {}", about["why"]),
            (Some("accept"), Err(error)) => bail!("{name} was refused: {error:#}"),
            (Some("refuse" | "limit"), Err(_)) => {
                let left = host.images.list(&host.owner).await?;
                assert_eq!(left, [], "{name}");
                assert_eq!(leftovers(host.root.path())?, Vec::<PathBuf>::new(), "{name}");
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
    for folder in ["content", "content/tmp", "layers", "layers/tmp", "layers/merged", "layers/folders"] {
        for entry in std::fs::read_dir(data_root.join(folder))? {
            let path = entry?.path();
            if !path.ends_with("tmp") && !path.ends_with("merged") && !path.ends_with("folders") {
                left.push(path);
            }
        }
    }
    Ok(left)
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
