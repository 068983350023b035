//! Making a container.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sampan_runtime::sandbox::{CONFIG_FILE, NetworkMode, SANDBOX_FILE, Sandbox, Stdio};

use super::config::{ContainerConfig, Mount, MountSource, NamespaceMode, Network};
use super::describe::{self, Given, Placed};
use super::table::Reserved;
use super::{Container, ContainerError, Containers, Created, MountKind, MountPoint, Run, State, files, names, resolve};
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::Action;
use crate::owner::Owner;
use crate::store;
use crate::volumes::Volume;

impl Containers {
    /// Makes a container. Nothing is left of one that could not be made. `name`: checked; `None`: a made-up one.
    pub async fn create(
        &self,
        owner: &Owner,
        name: Option<&str>,
        config: ContainerConfig,
    ) -> Result<Created, ContainerError> {
        let id = self.shared.cradles.id_for(owner, &config);
        let name = match name.filter(|name| !name.is_empty()) {
            Some(name) => names::check(name)?.to_owned(),
            None => names::made_up(|name| self.shared.table.is_taken(owner, name)),
        };
        let reserved = self.shared.table.reserve(owner, &name, &id)?;
        let shared = self.shared.clone();
        let owner = owner.clone();
        Shared::whole(async move {
            let mut made = Made::default();
            match shared.make(&owner, &id, name, config, reserved, &mut made).await {
                Ok(created) => Ok(created),
                Err(error) => {
                    shared.unmake(&owner, &id, made).await;
                    Err(error)
                }
            }
        })
        .await
    }
}

/// What was made already, for the undoing.
#[derive(Debug, Default)]
struct Made {
    volumes: Vec<Volume>,
    folder: bool,
    row: bool,
}

/// 64 random hexadecimal digits.
pub(crate) fn new_id() -> String {
    let bytes: [u8; 32] = rand::random();
    hex::encode(bytes)
}

impl Shared {
    /// Does a whole thing even when the caller goes away in the middle.
    pub(crate) async fn whole<T: Send + 'static>(
        work: impl Future<Output = Result<T, ContainerError>> + Send + 'static,
    ) -> Result<T, ContainerError> {
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(ContainerError::Refused {
                message: format!("the work on the container broke off: {error}"),
                kind: crate::Kind::Internal,
            }),
        }
    }

    async fn make(
        self: &Arc<Self>,
        owner: &Owner,
        id: &str,
        name: String,
        mut config: ContainerConfig,
        reserved: Reserved,
        made: &mut Made,
    ) -> Result<Created, ContainerError> {
        let mut warnings = describe::discard(&mut config.limits, self.features());
        let base = self.base(owner, &config).await?;
        let mut resolved = resolve::resolve(&config, &base.defaults, id)?;
        let mounts = resolve::mounts(&config, &base.defaults)?;
        check_ports(&config)?;
        let joined = self.joined(owner, &config)?;
        if config.network == Network::Host && config.hostname.is_none() {
            resolved.hostname = host_name();
        }
        if let Some(other) = &joined.network {
            resolved.hostname.clone_from(&other.resolved.hostname);
            resolved.network_container = Some(other.id.clone());
        }

        let placed = self.place(owner, mounts, made).await?;
        resolved.mounts = placed.points;
        resolved.anonymous_volumes = placed.anonymous;
        let given = Given {
            owner,
            config: &config,
            resolved: &resolved,
            placed: &placed.placed,
            pid_container: joined.pid.as_ref().map(|other| other.id.as_str()),
            ipc_container: joined.ipc.as_ref().map(|other| other.id.as_str()),
        };
        let (spec, filter) = describe::describe(given)?;
        let sandbox = Sandbox {
            id: id.to_owned(),
            team: owner.team(),
            root: base.root,
            network: match &config.network {
                Network::Bridge => NetworkMode::Bridge,
                Network::None => NetworkMode::None,
                Network::Host => NetworkMode::Host,
                Network::Container { .. } => {
                    NetworkMode::Container { id: resolved.network_container.clone().unwrap_or_default() }
                }
            },
            mac: config.mac,
            user_namespace: describe::has_user_namespace(&config),
            stdio: Stdio { tty: config.tty, stdin: config.open_stdin, stdin_once: config.stdin_once },
            restart: config.restart,
            log: config.log.unwrap_or_default(),
            files: match joined.network {
                // That container's files are taken at start, when its address is known.
                Some(_) => Vec::new(),
                None => files::files(&config, &resolved, &placed.placed)?,
            },
            copy_up: placed.copy_up,
            make_sources: placed.make_sources,
            granted_sources: placed.granted_sources,
            init: config.init,
            groups: config.groups.clone(),
            filter,
        };
        self.write_files(id, &spec, &sandbox, made)?;
        let container = Container {
            id: id.to_owned(),
            owner: owner.clone(),
            name,
            image_id: base.image_id,
            created_at_ns: now_ns(),
            config: Arc::new(config),
            resolved: Arc::new(resolved),
            state: State::Created,
            run: Run::default(),
        };
        made.row = true;
        let (layer, row) = tokio::join!(self.spawner.create(id), self.insert_row(&container, &placed.volumes));
        layer?;
        row?;
        if discards_ports(&container.config) {
            warnings.push("Published ports are discarded when using host network mode".to_owned());
        }
        let slot = self.table.insert(container.clone());
        slot.root_fits.store(true, Ordering::Relaxed);
        drop(reserved);
        self.tell(&container, container.created_at_ns, Action::Create, []);
        Ok(Created { id: id.to_owned(), warnings })
    }

    /// Takes back what was made, in reverse order.
    async fn unmake(&self, owner: &Owner, id: &str, made: Made) {
        if made.row
            && let Err(error) = store::containers::delete(&self.pool, id).await
        {
            tracing::warn!(container.id = id, %error, "the row of a container that was not made stays until the next start");
        }
        if made.folder
            && let Err(error) = self.spawner.remove(id).await
            && error.kind() != crate::Kind::NotFound
        {
            tracing::warn!(container.id = id, %error, "the folder of a container that was not made stays until the next start");
        }
        for volume in made.volumes {
            if let Err(error) = self.drop_volume(owner, &volume).await {
                tracing::warn!(volume.name = volume.name, %error, "the volume of a container that was not made stays");
            }
        }
    }

    async fn insert_row(&self, container: &Container, volumes: &[String]) -> Result<(), ContainerError> {
        let config = json(&*container.config)?;
        let resolved = json(&*container.resolved)?;
        let new = store::containers::New {
            id: &container.id,
            team_id: container.owner.team_id,
            name: &container.name,
            image_id: &container.image_id,
            config: &config,
            resolved: &resolved,
            created_at: container.created_at_ns,
            volumes,
        };
        Ok(store::containers::insert(&self.pool, new).await?)
    }

    fn write_files(
        &self,
        id: &str,
        spec: &oci_spec::runtime::Spec,
        sandbox: &Sandbox,
        made: &mut Made,
    ) -> Result<(), ContainerError> {
        let folder = self.container_folder(id);
        // Spawner passes it by a mount with the team's ids, where our own user is nobody: as everybody may pass.
        std::fs::DirBuilder::new()
            .mode(0o711)
            .create(&folder)
            .map_err(|source| ContainerError::File { path: folder.clone(), source })?;
        made.folder = true;
        write(&folder.join(CONFIG_FILE), &json(spec)?)?;
        write(&folder.join(SANDBOX_FILE), &json(sandbox)?)
    }

    /// Containers whose namespaces it shares; of the same team.
    fn joined(&self, owner: &Owner, config: &ContainerConfig) -> Result<Joined, ContainerError> {
        let find = |reference: &str| self.table.find(owner, reference).map(|slot| slot.now());
        let network = match &config.network {
            Network::Container { container } => Some(find(container)?),
            _ => None,
        };
        if network.is_some() && (!config.ports.is_empty() || config.publish_all) {
            return Err(invalid("conflicting options: port publishing and the container type network mode"));
        }
        if network.as_ref().is_some_and(|other| matches!(other.config.network, Network::Container { .. })) {
            return Err(invalid("cannot join the network of a container that has joined another container's network"));
        }
        if network.is_some() && config.hostname.as_deref().is_some_and(|name| !name.is_empty()) {
            return Err(invalid("conflicting options: hostname and the network mode"));
        }
        let pid = match &config.security.pid {
            NamespaceMode::Container { container } => Some(find(container)?),
            _ => None,
        };
        let ipc = match &config.security.ipc {
            NamespaceMode::Container { container } => Some(find(container)?),
            _ => None,
        };
        if let Some(donor) = ipc.as_ref().filter(|donor| !donor.config.security.ipc_shareable) {
            return Err(ContainerError::Invalid {
                message: format!(
                    "cannot join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor \
                     container)",
                    donor.name
                ),
            });
        }
        let ids: Vec<&str> = [&network, &pid, &ipc].into_iter().flatten().map(|other| other.id.as_str()).collect();
        if ids.iter().any(|id| *id != ids[0]) && describe::has_user_namespace(config) {
            // All of them belong to the user namespace they were made in, and a process has but one.
            return Err(ContainerError::Unsupported {
                message: "namespaces of two different containers cannot be joined at once: name the same one for \
                          network, pid and ipc"
                    .into(),
            });
        }
        Ok(Joined { network, pid, ipc })
    }

    /// Makes volumes, finds sources.
    async fn place(
        self: &Arc<Self>,
        owner: &Owner,
        mounts: Vec<Mount>,
        made: &mut Made,
    ) -> Result<PlacedAll, ContainerError> {
        let mut all = PlacedAll::default();
        for mount in mounts {
            let mut point = MountPoint {
                kind: MountKind::Tmpfs,
                volume: None,
                source: PathBuf::new(),
                destination: mount.destination.clone(),
                read_only: mount.read_only,
            };
            match &mount.source {
                MountSource::Volume { name, no_copy } => {
                    let (volume, is_new) = self.ensure_volume(owner, name.as_deref(), BTreeMap::new()).await?;
                    if is_new {
                        made.volumes.push(volume.clone());
                    }
                    if name.is_none() {
                        all.anonymous.push(volume.id.clone());
                    }
                    if !no_copy {
                        all.copy_up.push(mount.destination.clone());
                    }
                    all.volumes.push(volume.id.clone());
                    point.kind = MountKind::Volume;
                    point.source.clone_from(&volume.path);
                    point.volume = Some(volume.name);
                }
                MountSource::Bind { path, create, granted, .. } => {
                    point.kind = MountKind::Bind;
                    match (granted, create) {
                        // What is missing there is not made, whatever was asked: it would be root's.
                        (true, _) => all.granted_sources.push(path.clone()),
                        (false, true) => all.make_sources.push(path.clone()),
                        (false, false) => {}
                    }
                    point.source.clone_from(path);
                }
                MountSource::Tmpfs { .. } => {}
            }
            let source = (point.kind != MountKind::Tmpfs).then(|| point.source.clone());
            all.points.push(point);
            all.placed.push(Placed { mount, source });
        }
        Ok(all)
    }
}

#[derive(Debug, Default)]
struct Joined {
    network: Option<Arc<Container>>,
    pid: Option<Arc<Container>>,
    ipc: Option<Arc<Container>>,
}

#[derive(Debug, Default)]
struct PlacedAll {
    placed: Vec<Placed>,
    points: Vec<MountPoint>,
    volumes: Vec<String>,
    anonymous: Vec<String>,
    copy_up: Vec<PathBuf>,
    make_sources: Vec<PathBuf>,
    granted_sources: Vec<PathBuf>,
}

fn invalid(message: &str) -> ContainerError {
    ContainerError::Invalid { message: message.to_owned() }
}

fn check_ports(config: &ContainerConfig) -> Result<(), ContainerError> {
    for port in &config.ports {
        if port.container_port == 0 {
            return Err(invalid("invalid container port: 0"));
        }
        if let Some((first, last)) = port.host_ports
            && first > last
        {
            return Err(ContainerError::Invalid { message: format!("invalid range of host ports: {first}-{last}") });
        }
    }
    Ok(())
}

fn discards_ports(config: &ContainerConfig) -> bool {
    config.network == Network::Host && (!config.ports.is_empty() || config.publish_all)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, ContainerError> {
    serde_json::to_string(value).map_err(|error| ContainerError::Invalid {
        message: format!("the description of the container cannot be written: {error}"),
    })
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), ContainerError> {
    std::fs::write(path, text).map_err(|source| ContainerError::File { path: path.to_owned(), source })
}

/// A restart may read the file at any moment: it finds the old one or the new one.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), ContainerError> {
    let temporary = path.with_extension("new");
    write(&temporary, text)?;
    std::fs::rename(&temporary, path).map_err(|source| ContainerError::File { path: path.to_owned(), source })
}

/// Reads a container's description again.
pub(super) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ContainerError> {
    let failed = |source| ContainerError::File { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}
