//! `HostConfig.Mounts`.

use std::collections::BTreeMap;

use sampan_engine::containers::config::{Mount, MountSource};
use serde::{Deserialize, Serialize};

use super::place::{clean, destination};
use super::volume::{check_driver, volume_name};
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

impl MountRequest {
    /// As the engine's mount.
    ///
    /// # Errors
    /// 400 for what cannot be read, 501 naming what is not there.
    pub fn read(&self) -> Result<Mount, DockerError> {
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
            granted: false,
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
