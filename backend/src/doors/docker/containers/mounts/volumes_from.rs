//! `--volumes-from`: the mounts of another container of the team.

use sampan_engine::containers::config::{Mount, MountSource};
use sampan_engine::containers::{Container, MountKind};

use crate::doors::docker::error::DockerError;

/// One `CONTAINER[:ro|rw]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesFrom {
    /// Its name or id.
    pub container: String,
    read_only: bool,
}

impl VolumesFrom {
    /// Reads one.
    ///
    /// # Errors
    /// 400 in dockerd's words. Source: moby `volume/mounts/linux_parser.go`, `ParseVolumesFrom`.
    pub fn read(text: &str) -> Result<Self, DockerError> {
        let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if container.is_empty() {
            return Err(DockerError::invalid("volumes-from specification cannot be an empty string"));
        }
        match mode {
            "ro" | "rw" => Ok(Self { container: container.to_owned(), read_only: mode == "ro" }),
            other => Err(DockerError::invalid(format!("invalid mode: {other}"))),
        }
    }

    /// Adds the volumes and host folders of `other`. As in dockerd a typed mount at the same place stays, an anonymous
    /// volume gives way, and nothing is copied from the image again.
    pub fn add(&self, other: &Container, mounts: &mut Vec<Mount>) {
        for point in &other.resolved.mounts {
            let typed = other.config.mounts.iter().find(|mount| mount.destination == point.destination);
            let source = match (point.kind, typed.map(|mount| &mount.source)) {
                (MountKind::Volume, _) => MountSource::Volume { name: point.volume.clone(), no_copy: true },
                (MountKind::Bind, Some(source @ MountSource::Bind { .. })) => source.clone(),
                (MountKind::Bind, _) => MountSource::Bind {
                    path: point.source.clone(),
                    create: false,
                    propagation: None,
                    non_recursive: false,
                    granted: false,
                },
                // Memory is each container's own.
                (MountKind::Tmpfs, _) => continue,
            };
            let is_anonymous = |mount: &Mount| matches!(mount.source, MountSource::Volume { name: None, .. });
            if mounts.iter().any(|mount| mount.destination == point.destination && !is_anonymous(mount)) {
                continue;
            }
            mounts.retain(|mount| mount.destination != point.destination);
            mounts.push(Mount {
                source,
                destination: point.destination.clone(),
                read_only: point.read_only || self.read_only,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_its_mode_is_read() {
        let read = |text: &str| VolumesFrom::read(text).map(|one| (one.container, one.read_only)).ok();
        assert_eq!(read("data"), Some(("data".to_owned(), false)));
        assert_eq!(read("data:ro"), Some(("data".to_owned(), true)));
        for wrong in ["", ":ro", "data:", "data:z", "data:ro:rw"] {
            assert_eq!(VolumesFrom::read(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
