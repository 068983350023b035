//! Who may: the whole table on one page. What is not in it is refused.

use super::action::{Act, Verb};
use super::nouns::NounKind;
use crate::auth::{Caller, Role};

/// What an act takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be somebody, in any team or none.
    Caller,
    /// This role or a higher one in the team in view, within the scopes.
    Role(Role),
    /// To be an administrator of the instance.
    Administrator,
}

/// What `act` takes; `None`: nobody may.
pub fn needs(Act(verb, noun): Act) -> Option<Need> {
    use Need::Administrator;
    use NounKind as N;
    use Verb as V;
    const VIEWER: Need = Need::Role(Role::Viewer);
    const DEVELOPER: Need = Need::Role(Role::Developer);
    const OWNER: Need = Need::Role(Role::Owner);
    match (noun, verb) {
        (N::Container, V::View | V::List | V::Logs | V::Stats | V::Top | V::Wait | V::Changes) => Some(VIEWER),
        (
            N::Container,
            V::Create
            | V::Start
            | V::Stop
            | V::Kill
            | V::Restart
            | V::Pause
            | V::Unpause
            | V::Rename
            | V::Update
            | V::Remove
            | V::Prune
            | V::Attach
            | V::Resize
            | V::Exec
            | V::CopyFrom
            | V::CopyTo
            | V::Export
            | V::Commit,
        ) => Some(DEVELOPER),
        (N::Exec, V::View) => Some(VIEWER),
        (N::Exec, V::Start | V::Resize) => Some(DEVELOPER),
        (N::Image, V::View | V::List | V::Save) => Some(VIEWER),
        (N::Image, V::Load | V::Import | V::Tag | V::Remove | V::Prune | V::Pull | V::Push) => Some(DEVELOPER),
        (N::Volume, V::View | V::List) => Some(VIEWER),
        (N::Volume, V::Create | V::Remove | V::Prune) => Some(DEVELOPER),
        (N::Network, V::View | V::List) => Some(VIEWER),
        (N::Repository, V::View | V::List | V::Pull) => Some(VIEWER),
        (N::Repository, V::Push) => Some(DEVELOPER),
        (N::Repository, V::Update | V::Remove | V::Prune) => Some(OWNER),
        (N::Robot, V::List | V::Create | V::Remove) => Some(OWNER),
        // What reaches whose registries is the administrator's; with whose name, an owner's of the team.
        (N::Registry | N::Mirror, V::List | V::Create | V::Remove) => Some(Administrator),
        (N::Credential, V::List) => Some(DEVELOPER),
        (N::Credential, V::Create | V::Remove) => Some(OWNER),
        (N::Fetch, V::List) => Some(VIEWER),
        (N::Operation, V::View | V::List) => Some(VIEWER),
        (N::Operation, V::Remove) => Some(DEVELOPER),
        (N::Event, V::Watch) => Some(VIEWER),
        (N::System, V::View) => Some(VIEWER),
        (N::Audit, V::List) => Some(OWNER),
        // Lists only the caller's own teams, unless an administrator asks.
        (N::Team, V::List) => Some(Need::Caller),
        (N::Team, V::View) => Some(VIEWER),
        (N::Team, V::Create | V::Rename | V::Remove) => Some(Administrator),
        (N::Member, V::List) => Some(VIEWER),
        (N::Member, V::Create | V::Update | V::Remove) => Some(OWNER),
        (N::Folder, V::List) => Some(VIEWER),
        (N::Folder, V::Create | V::Remove) => Some(Administrator),
        (N::User, V::List | V::Create | V::Update | V::Remove) => Some(Administrator),
        // Oneself; others only for an administrator, which the look-up decides.
        (N::User, V::View) => Some(Need::Caller),
        // One's own; those of others only for an administrator, which the look-up decides.
        (N::Token, V::List | V::View | V::Create | V::Remove) => Some(Need::Caller),
        _ => None,
    }
}

/// Whether `caller`, being `role` in the team that the thing belongs to, may do `act`.
pub fn allowed(act: Act, caller: &Caller, role: Option<Role>) -> bool {
    let scopes = caller.scopes();
    match needs(act) {
        None => false,
        Some(Need::Caller) if matches!(act.0, Verb::View | Verb::List) => scopes.read,
        Some(Need::Caller) => scopes.admin,
        Some(Need::Administrator) => caller.is_administrator() && scopes.admin,
        Some(Need::Role(least)) => {
            let scope = match least {
                Role::Viewer => scopes.read,
                Role::Developer => scopes.write,
                Role::Owner => scopes.admin,
            };
            scope && role.is_some_and(|role| role >= least)
        }
    }
}
