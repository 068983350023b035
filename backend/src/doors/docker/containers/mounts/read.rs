//! All mounts of a request together.

use std::collections::BTreeMap;

use sampan_engine::containers::config::{Mount, MountSource};

use super::bind::bind;
use super::place::destination;
use super::request::MountRequest;
use super::tmpfs::tmpfs_mount;
use crate::doors::docker::error::DockerError;

/// All mounts of a request.
///
/// # Errors
/// 400 with dockerd's words for what cannot be read, two mounts at one place included; 501 naming what is not there.
pub fn read(
    binds: &[String],
    requests: &[MountRequest],
    tmpfs: &BTreeMap<String, String>,
    anonymous: impl Iterator<Item = impl AsRef<str>>,
) -> Result<Vec<Mount>, DockerError> {
    let mut mounts = Vec::new();
    for text in binds {
        add(&mut mounts, bind(text)?)?;
    }
    for request in requests {
        add(&mut mounts, request.read()?)?;
    }
    for (target, options) in tmpfs {
        add(&mut mounts, tmpfs_mount(target, options)?)?;
    }
    for target in anonymous {
        let destination = destination(target.as_ref(), target.as_ref())?;
        // dockerd: an explicit mount takes the place of an anonymous volume.
        if !mounts.iter().any(|mount: &Mount| mount.destination == destination) {
            mounts.push(Mount {
                source: MountSource::Volume { name: None, no_copy: false },
                destination,
                read_only: false,
            });
        }
    }
    Ok(mounts)
}

fn add(mounts: &mut Vec<Mount>, mount: Mount) -> Result<(), DockerError> {
    if mounts.iter().any(|other| other.destination == mount.destination) {
        return Err(DockerError::invalid(format!("Duplicate mount point: {}", mount.destination.display())));
    }
    mounts.push(mount);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tmpfs::tmpfs_mount;
    use super::*;

    fn read_binds(binds: &[&str]) -> Result<Vec<Mount>, DockerError> {
        let binds: Vec<String> = binds.iter().map(ToString::to_string).collect();
        read(&binds, &[], &BTreeMap::new(), std::iter::empty::<&str>())
    }

    fn read_mount(json: serde_json::Value) -> Result<Mount, DockerError> {
        serde_json::from_value::<MountRequest>(json).unwrap().read()
    }

    #[test]
    fn binds_are_paths_or_volumes() {
        let mounts = read_binds(&["/a/../b:/c:ro,rslave", "data:/d:nocopy", "/e"]).unwrap();
        assert_eq!(
            mounts[0],
            Mount {
                source: MountSource::Bind {
                    path: "/b".into(),
                    create: true,
                    propagation: Some("rslave".into()),
                    non_recursive: false,
                    granted: false,
                },
                destination: "/c".into(),
                read_only: true
            }
        );
        assert_eq!(mounts[1].source, MountSource::Volume { name: Some("data".into()), no_copy: true });
        assert_eq!(mounts[2].source, MountSource::Volume { name: None, no_copy: false });
    }

    #[test]
    fn what_is_no_bind_is_refused() {
        for text in ["", ":/a", "/a:", "/a:b", "/a:/", "/a:/b:xx", "/a:/b:ro:rw", "x:/b", "a/b:/c", "vol:/c:rslave"] {
            assert_eq!(read_binds(&[text]).unwrap_err().status, 400, "{text}");
        }
        assert_eq!(read_binds(&["/a:/c", "data:/c/"]).unwrap_err().message, "Duplicate mount point: /c");
    }

    #[test]
    fn mounts_are_checked_by_type() {
        let bind = read_mount(serde_json::json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true}));
        assert!(matches!(
            bind.unwrap(),
            Mount { source: MountSource::Bind { create: false, .. }, read_only: true, .. }
        ));
        for wrong in [
            serde_json::json!({"Type": "bind", "Target": "/b"}),
            serde_json::json!({"Type": "bind", "Source": "a", "Target": "/b"}),
            serde_json::json!({"Type": "tmpfs", "Source": "/a", "Target": "/b"}),
            serde_json::json!({"Type": "volume", "Source": "a1"}),
            serde_json::json!({"Type": "volume", "Target": "/b", "TmpfsOptions": {}}),
            serde_json::json!({"Type": "npipe", "Target": "/b"}),
        ] {
            assert_eq!(read_mount(wrong.clone()).unwrap_err().status, 400, "{wrong}");
        }
        let image = read_mount(serde_json::json!({"Type": "image", "Source": "a", "Target": "/b"}));
        assert_eq!(image.unwrap_err().status, 501);
    }

    #[test]
    fn tmpfs_options_are_read() {
        let mount = tmpfs_mount("/run", "size=64m,mode=1770,noexec,ro").unwrap();
        assert_eq!(
            mount.source,
            MountSource::Tmpfs { size_bytes: Some(64 << 20), mode: Some(0o1770), options: vec!["noexec".into()] }
        );
        assert!(mount.read_only);
        assert!(tmpfs_mount("/run", "size=x").is_err());
    }

    #[test]
    fn an_anonymous_volume_gives_way_to_a_mount_at_its_place() {
        let mounts = read(&["/a:/data".into()], &[], &BTreeMap::new(), ["/data", "/other"].iter()).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[1].destination, Path::new("/other"));
    }
}
