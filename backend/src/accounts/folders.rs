//! Host folders that an administrator granted a team: its containers may bind them and what lies beneath.
//!
//! The rows lead; what is checked at each start, also when the server is away, is a file of the data root that is
//! written from them behind every change. One change after the other, also of two processes: they share a lock.

use std::path::{Component, Path, PathBuf};

use sampan_engine::folders::{self, HostFolder};

use super::{Accounts, AccountsError, TeamRow};
use crate::clock::now_ns;

/// Most bytes of a path.
const PATH_BYTES: usize = 4_000;
/// What the kernel shows there is no folder of files.
const KERNELS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A folder (or file) of the host that can be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPath(String);

impl FolderPath {
    /// Checks a path as typed; `data_root` lies apart from every granted folder. Whether there is such a folder is seen
    /// when a container binds it.
    ///
    /// # Errors
    /// [`AccountsError::Invalid`].
    pub fn new(text: &str, data_root: &Path) -> Result<Self, AccountsError> {
        let wrong = |why: &str| AccountsError::Invalid { message: format!("{text:?} cannot be granted: {why}") };
        let path = Path::new(text);
        if !path.is_absolute() || text.len() > PATH_BYTES || text.chars().any(char::is_control) {
            return Err(wrong("it must be an absolute path of at most 4,000 bytes, without control characters"));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(wrong("it must not contain .."));
        }
        let path: PathBuf = path.components().collect();
        if path == Path::new("/") || KERNELS.iter().any(|kernels| path.starts_with(kernels)) {
            return Err(wrong("it is the host's root, or the kernel's /proc, /sys or /dev"));
        }
        if path.starts_with(data_root) || data_root.starts_with(&path) {
            return Err(wrong("it lies in or above Sampan's own data"));
        }
        match path.into_os_string().into_string() {
            Ok(path) => Ok(Self(path)),
            Err(_) => Err(wrong("it is not UTF-8")),
        }
    }

    /// The path, without doubled slashes and the like.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedFolder {
    /// Absolute path on the host.
    pub path: String,
    /// It may only be bound read-only.
    pub read_only: bool,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

impl Accounts {
    /// Grants a folder to a team; one that it has already is granted as said now.
    ///
    /// # Errors
    /// [`AccountsError::Store`], [`AccountsError::File`].
    pub async fn grant_folder(&self, team: &TeamRow, path: &FolderPath, read_only: bool) -> Result<(), AccountsError> {
        let path = path.as_str();
        let before = self.folders(team.id).await?.into_iter().find(|folder| folder.path == path);
        self.upsert_folder(team.id, path, read_only, now_ns()).await?;
        let published = self.publish_folders(team).await;
        if published.is_err() {
            match before {
                Some(before) => self.upsert_folder(team.id, path, before.read_only, before.created_at).await?,
                None => self.delete_folder(team.id, path).await?,
            };
        }
        published
    }

    /// Takes a grant away: containers that run keep what they have until they end, no other start gets it.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn revoke_folder(&self, team: &TeamRow, path: &str) -> Result<(), AccountsError> {
        if self.delete_folder(team.id, path).await? == 0 {
            return Err(AccountsError::NotFound { noun: "granted folder", name: path.to_owned() });
        }
        self.publish_folders(team).await
    }

    /// What a team was granted, by path.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn folders(&self, team_id: i64) -> Result<Vec<GrantedFolder>, AccountsError> {
        let rows = self.select_folders(team_id).await?.into_iter();
        let folder = |row: super::store::FolderRow| GrantedFolder {
            path: row.path,
            read_only: row.read_only != 0,
            created_at: row.created_at,
        };
        Ok(rows.map(folder).collect())
    }

    /// Writes the grants of all teams where starts look for them, as far as they do not lie there already.
    ///
    /// # Errors
    /// [`AccountsError::Store`], [`AccountsError::File`].
    pub async fn publish_all_folders(&self) -> Result<(), AccountsError> {
        for team in self.teams().await? {
            self.publish_folders(&team).await?;
        }
        Ok(())
    }

    /// The same for one team. Read behind the lock: whoever comes last writes what holds.
    pub(super) async fn publish_folders(&self, team: &TeamRow) -> Result<(), AccountsError> {
        let failed = |path: PathBuf| move |source| AccountsError::File { path, source };
        let data_root = self.data_root.clone();
        let lock = tokio::task::spawn_blocking(move || folders::lock(&data_root)).await;
        let lock = lock.map_err(std::io::Error::other).and_then(|locked| locked);
        let lock = lock.map_err(failed(folders::place(&self.data_root)))?;
        let granted: Vec<HostFolder> = self
            .folders(team.id)
            .await?
            .into_iter()
            .map(|folder| HostFolder { path: folder.path.into(), read_only: folder.read_only })
            .collect();
        lock.write(&team.key, &granted).map_err(failed(lock.file(&team.key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_plain_and_apart_from_what_is_not_a_teams() {
        let root = Path::new("/var/lib/sampan");
        let path = |text: &str| FolderPath::new(text, root).map(|path| path.0);
        assert_eq!(path("/srv//data/./x/").unwrap(), "/srv/data/x");
        for wrong in [
            "",
            "srv",
            "/",
            "/.",
            "/srv/../etc",
            "/proc/1",
            "/sys",
            "/dev/sda",
            "/a\nb",
            "/var/lib/sampan/volumes",
            "/var",
        ] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert!(path("/var/lib/sampan-other").is_ok());
        assert!(path(&format!("/{}", "x".repeat(PATH_BYTES))).is_err());
    }

    #[tokio::test]
    async fn what_starts_read_follows_every_change_and_goes_with_the_team() {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(folder.path()).await.unwrap();
        accounts.record_id_ranges(&[super::super::IdRange { first: 1_879_048_192, teams: 2 }]).await.unwrap();
        let team = accounts.create_team("blue").await.unwrap();
        let file = folder.path().join(format!("grants/{}.json", team.key));
        let says = || std::fs::read_to_string(&file).unwrap_or_default();
        let path = FolderPath::new("/srv/shared", folder.path()).unwrap();

        accounts.grant_folder(&team, &path, true).await.unwrap();
        assert_eq!(says(), r#"[{"path":"/srv/shared","read_only":true}]"#);
        accounts.grant_folder(&team, &path, false).await.unwrap();
        assert_eq!(says(), r#"[{"path":"/srv/shared","read_only":false}]"#);
        assert_eq!(accounts.folders(team.id).await.unwrap().len(), 1);

        std::fs::write(&file, "a server that was killed left this").unwrap();
        accounts.publish_all_folders().await.unwrap();
        assert_eq!(says(), r#"[{"path":"/srv/shared","read_only":false}]"#);

        accounts.revoke_folder(&team, "/srv/shared").await.unwrap();
        assert!(!file.exists());
        assert!(matches!(accounts.revoke_folder(&team, "/srv/shared").await, Err(AccountsError::NotFound { .. })));
        accounts.grant_folder(&team, &path, false).await.unwrap();
        accounts.remove_team(team.id).await.unwrap();
        assert!(!file.exists());
    }
}
