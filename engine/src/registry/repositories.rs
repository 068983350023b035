//! Repositories themselves: found, made, listed, changed, removed.

use super::{Registry, RegistryError};
use crate::clock::now_ns;
use crate::fault::{self, Step, Write};
use crate::owner::Owner;
use crate::store::registry::repositories::{self as rows, ListedRow, RepositoryRow};

/// A repository of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub(super) id: i64,
    /// `teams.id`.
    pub team_id: i64,
    /// Behind the team's name and its slash.
    pub name: String,
    /// Whoever asks may pull.
    pub public: bool,
    /// A tag never names another manifest.
    pub immutable_tags: bool,
    /// How many of the newest tags stay; `None`: all.
    pub keep_tags: Option<u32>,
    /// Days that a manifest without a tag stays; `None`: for ever.
    pub keep_untagged_days: Option<u32>,
    /// Pulled so often.
    pub pulls: u64,
    /// Nanoseconds since 1970.
    pub last_pulled_at: Option<i64>,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

/// What lies in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tags.
    pub tags: u64,
    /// Manifests, tagged or not.
    pub manifests: u64,
    /// Bytes of its blobs, as pushed; another repository may have the same ones.
    pub bytes: u64,
}

/// A repository in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The repository.
    pub repository: Repository,
    /// What lies in it.
    pub counts: Counts,
    /// Last push of a manifest or a tag, nanoseconds since 1970; `None`: there was none.
    pub pushed_at: Option<i64>,
}

/// Other settings; `None`: as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Whoever asks may pull.
    pub public: Option<bool>,
    /// A tag never names another manifest.
    pub immutable_tags: Option<bool>,
    /// How many of the newest tags stay; `Some(None)`: all.
    pub keep_tags: Option<Option<u32>>,
    /// Days that a manifest without a tag stays; `Some(None)`: for ever.
    pub keep_untagged_days: Option<Option<u32>>,
}

/// What a team has in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamUsage {
    /// Repositories.
    pub repositories: u64,
    /// Bytes of all their blobs, each counted once.
    pub bytes: u64,
}

impl From<RepositoryRow> for Repository {
    fn from(row: RepositoryRow) -> Self {
        let small = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
        Self {
            id: row.id,
            team_id: row.team_id,
            name: row.name,
            public: row.public,
            immutable_tags: row.immutable_tags,
            keep_tags: small(row.keep_tags),
            keep_untagged_days: small(row.keep_untagged_days),
            pulls: row.pulls.unsigned_abs(),
            last_pulled_at: row.last_pulled_at,
            created_at: row.created_at,
        }
    }
}

impl From<ListedRow> for Listed {
    fn from(row: ListedRow) -> Self {
        let counts = Counts {
            tags: row.tags.unsigned_abs(),
            manifests: row.manifests.unsigned_abs(),
            bytes: row.bytes.unsigned_abs(),
        };
        let repository = RepositoryRow {
            id: row.id,
            team_id: row.team_id,
            name: row.name,
            public: row.public,
            immutable_tags: row.immutable_tags,
            keep_tags: row.keep_tags,
            keep_untagged_days: row.keep_untagged_days,
            pulls: row.pulls,
            last_pulled_at: row.last_pulled_at,
            created_at: row.created_at,
        };
        Self { repository: repository.into(), counts, pushed_at: Some(row.pushed_at).filter(|at| *at > 0) }
    }
}

impl Registry {
    /// The team's repository of that name.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn find(&self, team_id: i64, name: &str) -> Result<Option<Repository>, RegistryError> {
        Ok(rows::find(&self.shared.read, team_id, name).await?.map(Repository::from))
    }

    /// The same, made when it is not there: a repository comes into being at its first push.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn ensure(&self, owner: &Owner, name: &str) -> Result<Repository, RegistryError> {
        self.ensure_of(owner.team_id, name).await
    }

    pub(super) async fn ensure_of(&self, team_id: i64, name: &str) -> Result<Repository, RegistryError> {
        if let Some(found) = self.find(team_id, name).await? {
            return Ok(found);
        }
        rows::insert(&self.shared.write, team_id, name, now_ns()).await?;
        let found = rows::find(&self.shared.write, team_id, name).await?;
        found.map(Repository::from).ok_or_else(|| RegistryError::RepositoryUnknown { name: name.to_owned() })
    }

    /// How many the team has.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn count(&self, owner: &Owner) -> Result<u64, RegistryError> {
        Ok(rows::count(&self.shared.read, owner.team_id).await?.unsigned_abs())
    }

    /// The team's with `text` in their names, by name, behind `after`.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn list(&self, owner: &Owner, text: &str, after: &str, most: u32) -> Result<Vec<Listed>, RegistryError> {
        let page = rows::page(&self.shared.read, owner.team_id, text, after, i64::from(most)).await?;
        Ok(page.into_iter().map(Listed::from).collect())
    }

    /// What lies in it.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn counts(&self, repository: &Repository) -> Result<Counts, RegistryError> {
        let (tags, manifests, bytes) = rows::counts(&self.shared.read, repository.id).await?;
        Ok(Counts { tags: tags.unsigned_abs(), manifests: manifests.unsigned_abs(), bytes: bytes.unsigned_abs() })
    }

    /// Whole names, sorted by their bytes, of the repositories of `teams` (ids) and of all that are public.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn catalog(&self, teams: &[i64], after: &str, most: u32) -> Result<Vec<String>, RegistryError> {
        let (read, most) = (&self.shared.read, i64::from(most));
        let mut found: Vec<String> = Vec::new();
        for (id, team) in rows::catalog_teams(read, &serde_json::json!(teams).to_string()).await? {
            let (prefix, left) = (format!("{team}/"), most - i64::try_from(found.len()).unwrap_or(most));
            let behind = match after.strip_prefix(&prefix) {
                Some(name) => name,
                None if prefix.as_str() > after => "",
                // All of this team is before.
                None => continue,
            };
            let names = match teams.contains(&id) {
                true => rows::names(read, id, behind, left).await?,
                false => rows::public_names(read, id, behind, left).await?,
            };
            found.extend(names.into_iter().map(|name| prefix.clone() + &name));
            if found.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(found)
    }

    /// Gives it other settings.
    ///
    /// # Errors
    /// [`RegistryError::RepositoryUnknown`] when it is gone.
    pub async fn change(&self, repository: &Repository, change: Change) -> Result<Repository, RegistryError> {
        let row = RepositoryRow {
            id: repository.id,
            team_id: repository.team_id,
            name: repository.name.clone(),
            public: change.public.unwrap_or(repository.public),
            immutable_tags: change.immutable_tags.unwrap_or(repository.immutable_tags),
            keep_tags: change.keep_tags.unwrap_or(repository.keep_tags).map(i64::from),
            keep_untagged_days: change.keep_untagged_days.unwrap_or(repository.keep_untagged_days).map(i64::from),
            pulls: i64::try_from(repository.pulls).unwrap_or(i64::MAX),
            last_pulled_at: repository.last_pulled_at,
            created_at: repository.created_at,
        };
        match rows::update(&self.shared.write, &row).await? {
            true => Ok(row.into()),
            false => Err(RegistryError::RepositoryUnknown { name: repository.name.clone() }),
        }
    }

    /// Removes it with all that is in it.
    ///
    /// # Errors
    /// [`RegistryError::RepositoryUnknown`] when it is gone.
    pub async fn remove(&self, repository: &Repository) -> Result<(), RegistryError> {
        fault::rows(Write::RepositoryDelete)?;
        if !rows::delete(&self.shared.write, repository.id).await? {
            return Err(RegistryError::RepositoryUnknown { name: repository.name.clone() });
        }
        fault::step(Step::RepositoryDeleted);
        self.tidy_later();
        Ok(())
    }

    /// What a team has in the registry.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn usage(&self, owner: &Owner) -> Result<TeamUsage, RegistryError> {
        let (repositories, bytes) = rows::usage_of_team(&self.shared.read, owner.team_id).await?;
        Ok(TeamUsage { repositories: repositories.unsigned_abs(), bytes: bytes.unsigned_abs() })
    }
}
