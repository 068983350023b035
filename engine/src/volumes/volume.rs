//! Volumes of a team.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::VolumeError;
use crate::clock::now_ns;
use crate::engine::Shared;
use crate::events::{Action, Event, Noun};
use crate::owner::Owner;
use crate::store::volumes as rows;

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The team.
    pub team_id: i64,
    /// Unique in the team.
    pub name: String,
    /// Made for one container without a name.
    pub anonymous: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub created_at_ns: i64,
    /// Its folder on the host.
    pub path: PathBuf,
    /// Names of the containers that use it.
    pub used_by: Vec<String>,
}

/// Space a folder takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Inodes.
    pub files: u64,
}

/// The volumes of one engine.
#[derive(Debug, Clone)]
pub struct Volumes {
    pub(crate) shared: Arc<Shared>,
}

impl Volumes {
    /// Makes a volume, or gives the one that has this name already. No name: an anonymous one.
    pub async fn create(
        &self,
        owner: &Owner,
        name: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Volume, VolumeError> {
        let (shared, owner, name) = (self.shared.clone(), owner.clone(), name.map(str::to_owned));
        // Whole even when the caller goes away.
        let made = tokio::spawn(async move {
            shared.ensure_volume(&owner, name.as_deref().filter(|name| !name.is_empty()), labels).await
        });
        let (volume, _) = made.await.map_err(|error| VolumeError::Refused {
            message: format!("the work on the volume broke off: {error}"),
            kind: crate::Kind::Internal,
        })??;
        Ok(volume)
    }

    /// The volume of that name.
    pub async fn get(&self, owner: &Owner, name: &str) -> Result<Volume, VolumeError> {
        match rows::by_name(&self.shared.pool, owner.team_id, name).await? {
            Some(row) => Ok(self.shared.volume(row)),
            None => Err(VolumeError::NotFound { name: name.into() }),
        }
    }

    /// All of the team, by name.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<Volume>, VolumeError> {
        let rows = rows::of_team(&self.shared.pool, owner.team_id).await?;
        Ok(rows.into_iter().map(|row| self.shared.volume(row)).collect())
    }

    /// Removes it with its content; refused while a container has it.
    pub async fn remove(&self, owner: &Owner, name: &str) -> Result<(), VolumeError> {
        let volume = self.get(owner, name).await?;
        if !volume.used_by.is_empty() || !self.shared.drop_volume(owner, &volume).await? {
            let now = self.get(owner, name).await?;
            return Err(VolumeError::InUse { name: name.into(), containers: now.used_by });
        }
        Ok(())
    }

    /// Removes what no container has: anonymous ones only, or `all`. Gives the names and the bytes.
    pub async fn prune(&self, owner: &Owner, all: bool) -> Result<(Vec<String>, u64), VolumeError> {
        let (mut names, mut total) = (Vec::new(), 0);
        for volume in self.list(owner).await? {
            if !volume.used_by.is_empty() || !(all || volume.anonymous) {
                continue;
            }
            let bytes = self.shared.spawner.usage(&relative(&volume.id)).await.map_or(0, |usage| usage.bytes);
            if self.shared.drop_volume(owner, &volume).await? {
                total += bytes;
                names.push(volume.name);
            }
        }
        Ok((names, total))
    }

    /// Space it takes: walks the whole folder.
    pub async fn usage(&self, owner: &Owner, name: &str) -> Result<Usage, VolumeError> {
        let volume = self.get(owner, name).await?;
        Ok(self.shared.spawner.usage(&relative(&volume.id)).await?)
    }
}

fn relative(id: &str) -> PathBuf {
    Path::new("volumes").join(id).join("data")
}

fn check(name: &str) -> Result<(), VolumeError> {
    let mut letters = name.bytes();
    let starts = letters.next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || b"_.-".contains(&letter));
    if starts && goes_on && (2..=255).contains(&name.len()) {
        return Ok(());
    }
    Err(VolumeError::BadName { name: name.into() })
}

impl Shared {
    fn volume(&self, row: rows::Row) -> Volume {
        Volume {
            path: self.settings.data_root.join(relative(&row.id)),
            id: row.id,
            team_id: row.team_id,
            name: row.name,
            anonymous: row.anonymous != 0,
            // Written by us.
            labels: serde_json::from_str(&row.labels).unwrap_or_default(),
            created_at_ns: row.created_at,
            used_by: serde_json::from_str(&row.used_by).unwrap_or_default(),
        }
    }

    /// The volume of that name, made if there is none; whether it was made.
    pub(crate) async fn ensure_volume(
        &self,
        owner: &Owner,
        name: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<(Volume, bool), VolumeError> {
        if let Some(name) = name {
            check(name)?;
            if let Some(row) = rows::by_name(&self.pool, owner.team_id, name).await? {
                return Ok((self.volume(row), false));
            }
        }
        let id = crate::containers::new_id();
        let name = name.unwrap_or(&id);
        self.spawner.create_volume(&id).await?;
        let labels_text = serde_json::to_string(&labels).unwrap_or_else(|_| "{}".into());
        let new = rows::New {
            id: &id,
            team_id: owner.team_id,
            name,
            anonymous: name == id,
            labels: &labels_text,
            created_at: now_ns(),
        };
        let inserted = rows::insert(&self.pool, new).await;
        if !matches!(inserted, Ok(true))
            && let Err(error) = self.spawner.remove_volume(&id).await
        {
            tracing::warn!(volume.id = id, %error, "the folder of a volume that was not made stays until the next start");
        }
        let is_new = inserted?;
        // Another request may have been quicker with this name.
        let row = rows::by_name(&self.pool, owner.team_id, name).await?;
        let volume = self.volume(row.ok_or_else(|| VolumeError::NotFound { name: name.into() })?);
        if is_new {
            self.tell_volume(owner.team_id, &volume.name, Action::Create);
        }
        Ok((volume, is_new))
    }

    /// Removes a volume that no container has; `false`: one has.
    pub(crate) async fn drop_volume(&self, owner: &Owner, volume: &Volume) -> Result<bool, VolumeError> {
        let dropped = self.drop_unused_volume(&volume.id).await?;
        if dropped {
            self.tell_volume(owner.team_id, &volume.name, Action::Destroy);
        }
        Ok(dropped)
    }

    /// The same for one without a name, whose id is its name.
    pub(crate) async fn drop_anonymous_volume(&self, owner: &Owner, id: &str) -> Result<(), VolumeError> {
        if self.drop_unused_volume(id).await? {
            self.tell_volume(owner.team_id, id, Action::Destroy);
        }
        Ok(())
    }

    /// The same by its id, without telling.
    pub(crate) async fn drop_unused_volume(&self, id: &str) -> Result<bool, VolumeError> {
        if !rows::delete_unused(&self.pool, id).await? {
            return Ok(false);
        }
        self.spawner.remove_volume(id).await?;
        Ok(true)
    }

    fn tell_volume(&self, team_id: i64, name: &str, action: Action) {
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        let (noun, id) = (Noun::Volume, name.to_owned());
        self.events.tell(Event { at_ns: now_ns(), team_id, noun, action, id, attributes });
    }

    /// Removes folders that have no row: what a kill interrupted.
    pub(crate) async fn sweep_volumes(&self) -> Result<(), VolumeError> {
        let known: std::collections::HashSet<String> = rows::all_ids(&self.pool).await?.into_iter().collect();
        let Ok(entries) = std::fs::read_dir(self.settings.data_root.join("volumes")) else { return Ok(()) };
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if name.len() == 64
                && !known.contains(&name)
                && let Err(error) = self.spawner.remove_volume(&name).await
            {
                tracing::warn!(volume.id = name, %error, "the folder of a removed volume stays until the next start");
            }
        }
        Ok(())
    }
}
