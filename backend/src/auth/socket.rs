//! Processes at the docker socket, by what the kernel says about them (SO_PEERCRED, unix(7)).

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::caller::{Caller, Door, Role, Scopes, Shown, TeamView, Who};
use crate::accounts::{AccountsError, DEFAULT_TEAM};
use crate::app::App;

/// Who is at the other end; `None`: a host user who is not let in.
///
/// Host root, and members of the configured group, administer and have the team `default` in view. A host id of a
/// team's range is a process in one of its containers, whose socket was mounted: a developer of that team.
///
/// # Errors
/// [`AccountsError`].
pub async fn caller(app: &App, uid: u32, gid: u32) -> Result<Option<Caller>, AccountsError> {
    if let Some(team) = app.accounts.team_of_host_id(uid).await? {
        let view = TeamView { owner: team.owner()?, name: team.name, role: Role::Developer };
        return Ok(Some(of(Who::Container { uid }, view, false)));
    }
    let who = match uid {
        0 => Who::HostRoot,
        _ if is_in_group(app, uid, gid) => Who::HostUser { uid },
        _ => return Ok(None),
    };
    let team = app.accounts.team_named(DEFAULT_TEAM).await?;
    let view = TeamView { owner: team.owner()?, name: team.name, role: Role::Owner };
    Ok(Some(of(who, view, true)))
}

fn of(who: Who, team: TeamView, administrator: bool) -> Caller {
    let (scopes, door) = (Scopes::ALL, Door::Docker);
    Caller { who, team: Some(team), administrator, scopes, door, shown: Shown::Place, registry: None }
}

fn is_in_group(app: &App, uid: u32, gid: u32) -> bool {
    let Some(wanted) = app.config.docker_group.as_deref().and_then(group_of) else { return false };
    if gid == wanted.as_raw() {
        return true;
    }
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return false };
    let Ok(name) = std::ffi::CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&wanted))
}

fn group_of(text: &str) -> Option<Gid> {
    if let Ok(number) = text.parse() {
        return Some(Gid::from_raw(number));
    }
    Group::from_name(text).ok().flatten().map(|group| group.gid)
}
