//! Which of a container's binds a team has by an administrator's grant of a host folder.
//!
//! Here it is by the words of the paths, so that a person is told at once; where they lead, and whether the grant still
//! holds, spawner looks at each start.

use std::path::Path;

use sampan_engine::containers::config::{ContainerConfig, MountSource};

use super::grant::Denied;
use crate::accounts::GrantedFolder;

/// Whether there is anything to look at.
pub(super) fn binds(config: &ContainerConfig) -> bool {
    config.mounts.iter().any(|mount| matches!(mount.source, MountSource::Bind { .. }))
}

/// Makes each bind one by grant, with the team's ids.
///
/// # Errors
/// [`Denied::Folder`] for the first that no grant covers as it was asked for.
pub(super) fn cover(team: &str, granted: &[GrantedFolder], config: &mut ContainerConfig) -> Result<(), Denied> {
    for mount in &mut config.mounts {
        let MountSource::Bind { path, create, propagation, granted: by_grant, .. } = &mut mount.source else {
            continue;
        };
        let denied = |why: String| Err(Denied::Folder { why });
        let shown = path.display();
        let Some(folder) = deepest(granted, path) else {
            return denied(format!(
                "the host's {shown} is for an administrator only, and the team {team} was not granted it: an \
                 administrator grants a host folder on the team's page, or by `sampan admin grant-folder {team} {shown}`"
            ));
        };
        if folder.read_only && !mount.read_only {
            let of = &folder.path;
            return denied(format!(
                "the team {team} was granted the host's {of} only to read: mount {shown} read-only"
            ));
        }
        if propagation.as_deref().is_some_and(|word| !matches!(word, "" | "private" | "rprivate")) {
            return denied(format!("only an administrator may have the host's {shown} with mounts that propagate"));
        }
        // What is missing would be made as root.
        (*create, *by_grant) = (false, true);
    }
    Ok(())
}

fn deepest<'a>(granted: &'a [GrantedFolder], path: &Path) -> Option<&'a GrantedFolder> {
    let covering = granted.iter().filter(|folder| path.starts_with(&folder.path));
    covering.max_by_key(|folder| Path::new(&folder.path).components().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::config::Mount;

    fn covered(path: &str, read_only: bool, propagation: Option<&str>) -> Result<Mount, String> {
        let granted = [("/srv", true), ("/srv/shared", false)].map(|(path, read_only)| GrantedFolder {
            path: path.into(),
            read_only,
            created_at: 0,
        });
        let propagation = propagation.map(str::to_owned);
        let (path, create) = (path.into(), true);
        let source = MountSource::Bind { path, create, propagation, non_recursive: false, granted: false };
        let mounts = vec![Mount { source, destination: "/x".into(), read_only }];
        let mut config = ContainerConfig { mounts, ..ContainerConfig::default() };
        cover("blue", &granted, &mut config).map_err(|denied| denied.to_string())?;
        Ok(config.mounts.remove(0))
    }

    #[test]
    fn the_deepest_granted_folder_above_decides() {
        for (path, read_only) in [("/srv/shared", false), ("/srv/shared/deeper/x", false), ("/srv/other", true)] {
            let mount = covered(path, read_only, None).expect(path);
            assert!(matches!(mount.source, MountSource::Bind { granted: true, create: false, .. }), "{path}");
            assert_eq!(mount.read_only, read_only);
        }
        let refused = |path: &str| covered(path, false, None).unwrap_err();
        assert!(refused("/srv/other").contains("granted the host's /srv only to read: mount /srv/other read-only"));
        for apart in ["/etc", "/", "/srv-other", "/sr"] {
            assert!(refused(apart).contains(&format!("sampan admin grant-folder blue {apart}")), "{apart}");
        }
    }

    #[test]
    fn mounts_of_a_team_do_not_propagate() {
        assert!(covered("/srv/shared", false, Some("rprivate")).is_ok());
        for word in ["shared", "rshared", "slave", "rslave"] {
            assert!(covered("/srv/shared", false, Some(word)).unwrap_err().contains("propagate"), "{word}");
        }
    }
}
