//! Docker's four ways to ask for a mount (`Binds`, `Mounts`, `Tmpfs`, `Config.Volumes`), read into one.
//!
//! Source: moby `volume/mounts/linux_parser.go`; docker documentation, "Bind mounts", "tmpfs mounts".

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use sampan_engine::containers::config::{Mount, MountSource};
use serde::{Deserialize, Serialize};

use crate::doors::docker::error::DockerError;

/// One entry of `HostConfig.Mounts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountRequest {
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_mountpoint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_force_recursive: bool,
}

/// Options of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_copy: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<DriverConfig>,
}

/// A volume's driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Options of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub mode: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Vec<String>>,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

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

/// `[source:]destination[:options]`.
fn bind(text: &str) -> Result<Mount, DockerError> {
    let refused = |why: &str| DockerError::invalid(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(refused("")),
    };
    if target.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(refused(""));
    }
    let destination = destination(target, text)?;
    let mut read_only = false;
    let mut no_copy = false;
    let mut propagation = None;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // Labels are for SELinux, which is off or absent; consistency is for Docker Desktop. dockerd ignores both.
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" | "default" => {}
            "nocopy" => no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => propagation = Some(option.to_owned()),
            _ => return Err(DockerError::invalid(format!("invalid mode: {options}"))),
        }
    }
    let source = if source.starts_with('/') {
        if no_copy {
            return Err(DockerError::invalid(format!("invalid mode: {options}")));
        }
        MountSource::Bind { path: clean(source), create: true, propagation, non_recursive: false }
    } else {
        if propagation.is_some() {
            return Err(DockerError::invalid(format!("invalid mode: {options}")));
        }
        let name = if source.is_empty() { None } else { Some(volume_name(source)?) };
        MountSource::Volume { name, no_copy }
    };
    Ok(Mount { source, destination, read_only })
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn volume_name(name: &str) -> Result<String, DockerError> {
    let bytes = name.as_bytes();
    let right = bytes.len() >= 2
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    if right {
        return Ok(name.to_owned());
    }
    Err(DockerError::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" \
         are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// An absolute path other than `/`, cleaned.
fn destination(target: &str, whole: &str) -> Result<PathBuf, DockerError> {
    if !target.starts_with('/') {
        return Err(DockerError::invalid(format!(
            "invalid mount config: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let path = clean(target);
    if path == Path::new("/") {
        return Err(DockerError::invalid(format!(
            "invalid volume specification: '{whole}': invalid mount config: invalid specification: destination can't \
             be '/'"
        )));
    }
    Ok(path)
}

/// Without `.`, `..` and doubled slashes, by the words of the path alone.
fn clean(path: &str) -> PathBuf {
    let mut out = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

impl MountRequest {
    fn read(&self) -> Result<Mount, DockerError> {
        let refused =
            |why: String| DockerError::invalid(format!("invalid mount config for type {:?}: {why}", self.kind));
        if self.target.is_empty() {
            return Err(refused("field Target must not be empty".into()));
        }
        let destination = destination(&self.target, &self.target)?;
        for (present, name, kind) in [
            (self.bind_options.is_some(), "BindOptions", "bind"),
            (self.volume_options.is_some(), "VolumeOptions", "volume"),
            (self.tmpfs_options.is_some(), "TmpfsOptions", "tmpfs"),
        ] {
            if present && self.kind != kind {
                return Err(DockerError::invalid(format!(
                    "{name} must not be specified on mount type {:?}",
                    self.kind
                )));
            }
        }
        let source = match self.kind.as_str() {
            "bind" => self.bind_source(refused)?,
            "volume" => self.volume_source()?,
            "tmpfs" => self.tmpfs_source(refused)?,
            "image" => return Err(DockerError::unsupported("mounts of type image are not there yet")),
            _ => return Err(DockerError::invalid(format!("mount type unknown: {:?}", self.kind))),
        };
        Ok(Mount { source, destination, read_only: self.read_only })
    }

    fn bind_source(&self, refused: impl Fn(String) -> DockerError) -> Result<MountSource, DockerError> {
        if self.source.is_empty() {
            return Err(refused("field Source must not be empty".into()));
        }
        if !self.source.starts_with('/') {
            return Err(refused(format!("invalid mount path: '{}' mount path must be absolute", self.source)));
        }
        let options = self.bind_options.clone().unwrap_or_default();
        if options.read_only_force_recursive {
            return Err(DockerError::unsupported("BindOptions.ReadOnlyForceRecursive is not there yet"));
        }
        let known = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];
        if !known.contains(&options.propagation.as_str()) {
            return Err(refused(format!("invalid propagation mode: {}", options.propagation)));
        }
        Ok(MountSource::Bind {
            path: clean(&self.source),
            create: options.create_mountpoint,
            propagation: Some(options.propagation).filter(|mode| !mode.is_empty()),
            non_recursive: options.non_recursive,
        })
    }

    fn volume_source(&self) -> Result<MountSource, DockerError> {
        let options = self.volume_options.clone().unwrap_or_default();
        if !options.subpath.is_empty() {
            return Err(DockerError::unsupported("VolumeOptions.Subpath is not there yet"));
        }
        if !options.labels.is_empty() {
            return Err(DockerError::unsupported("VolumeOptions.Labels is not there yet: create the volume first"));
        }
        if let Some(driver) = options.driver_config {
            check_driver(&driver.name, "VolumeOptions.DriverConfig.Name")?;
            if !driver.options.is_empty() {
                return Err(DockerError::unsupported("VolumeOptions.DriverConfig.Options is not there yet"));
            }
        }
        let name = if self.source.is_empty() { None } else { Some(volume_name(&self.source)?) };
        Ok(MountSource::Volume { name, no_copy: options.no_copy })
    }

    fn tmpfs_source(&self, refused: impl Fn(String) -> DockerError) -> Result<MountSource, DockerError> {
        if !self.source.is_empty() {
            return Err(refused("field Source must not be specified".into()));
        }
        let options = self.tmpfs_options.clone().unwrap_or_default();
        let size_bytes = u64::try_from(options.size_bytes).map_err(|_| refused("invalid tmpfs size".into()))?;
        Ok(MountSource::Tmpfs {
            size_bytes: Some(size_bytes).filter(|size| *size > 0),
            mode: Some(options.mode).filter(|mode| *mode > 0),
            options: options.options.iter().map(|pair| pair.join("=")).collect(),
        })
    }
}

/// Only the built-in driver is there.
///
/// # Errors
/// 404 in dockerd's words.
pub fn check_driver(name: &str, field: &str) -> Result<(), DockerError> {
    if matches!(name, "" | "local") {
        return Ok(());
    }
    Err(DockerError::not_found(format!("{field}: error looking up volume plugin {name}: plugin {name:?} not found")))
}

/// `--tmpfs /run:size=64m,mode=1777,noexec`.
fn tmpfs_mount(target: &str, text: &str) -> Result<Mount, DockerError> {
    let destination = destination(target, target)?;
    let refused = |option: &str| DockerError::invalid(format!("invalid tmpfs option {option:?}"));
    let (mut size_bytes, mut mode, mut options, mut read_only) = (None, None, Vec::new(), false);
    for option in text.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => size_bytes = Some(size(value).ok_or_else(|| refused(option))?),
            Some(("mode", value)) => mode = Some(u32::from_str_radix(value, 8).map_err(|_| refused(option))?),
            None if option == "ro" => read_only = true,
            None if option == "rw" => {}
            _ => options.push(option.to_owned()),
        }
    }
    Ok(Mount { source: MountSource::Tmpfs { size_bytes, mode, options }, destination, read_only })
}

/// `64m`: tmpfs(5) knows k, m and g.
fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
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
                    non_recursive: false
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
