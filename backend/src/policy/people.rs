//! Grants for teams, users, members, granted folders and tokens: what the instance has, seen by who the caller is.

use super::action::{Act, Action, Verb};
use super::grant::{Denied, Granted, Policy, forbidden, grant, hidden};
use super::nouns::{Folders, Members, Noun, NounKind, Team, Token, Tokens, User};
use super::rules::allowed;
use crate::accounts::TeamRow;
use crate::auth::{Caller, Role};

impl Policy<'_> {
    /// The team of that name: the one in view, or for an administrator any.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn team_named<A: Action>(&self, caller: &Caller, name: &str) -> Result<Granted<A, Team>, Denied> {
        let team = self.visible_team::<A, Team>(caller, name).await?;
        Ok(grant(caller, (), Team { id: team.id, name: team.name }))
    }

    /// The members of the team of that name.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn members<A: Action>(&self, caller: &Caller, team: &str) -> Result<Granted<A, Members>, Denied> {
        let team = self.visible_team::<A, Members>(caller, team).await?;
        Ok(grant(caller, (), Members { team_id: team.id, team_name: team.name }))
    }

    /// The host folders that the team of that name was granted.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn folders<A: Action>(&self, caller: &Caller, team: &str) -> Result<Granted<A, Folders>, Denied> {
        let team = self.visible_team::<A, Folders>(caller, team).await?;
        Ok(grant(caller, (), Folders { team }))
    }

    /// The user of that name: oneself, or for an administrator any.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn user<A: Action>(&self, caller: &Caller, name: &str) -> Result<Granted<A, User>, Denied> {
        let user = match self.app().accounts.user_named(name).await {
            Ok(user) => user,
            Err(error) if error.kind() == sampan_engine::Kind::NotFound => return Err(hidden(NounKind::User, name)),
            Err(error) => return Err(error.into()),
        };
        let own = caller.user_id() == Some(user.id);
        if !own && !administers(caller) {
            return Err(hidden(NounKind::User, name));
        }
        permit::<A, User>(caller, None)?;
        Ok(grant(caller, (), User { id: user.id, name: user.name }))
    }

    /// The caller's own tokens. Nobody sees those of others but by [`Policy::token`].
    ///
    /// # Errors
    /// [`Denied`], also for callers that are no user.
    pub fn own_tokens<A: Action>(&self, caller: &Caller) -> Result<Granted<A, Tokens>, Denied> {
        let Some(user_id) = caller.user_id() else { return Err(forbidden::<A, Tokens>(caller)) };
        permit::<A, Tokens>(caller, None)?;
        Ok(grant(caller, (), Tokens { user_id }))
    }

    /// One token: one's own, or for an administrator any.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn token<A: Action>(&self, caller: &Caller, id: i64) -> Result<Granted<A, Token>, Denied> {
        let unknown = || hidden(NounKind::Token, &id.to_string());
        let token = match self.app().accounts.token(id).await {
            Ok(token) => token,
            Err(error) if error.kind() == sampan_engine::Kind::NotFound => return Err(unknown()),
            Err(error) => return Err(error.into()),
        };
        if caller.user_id() != Some(token.user_id) && !administers(caller) {
            return Err(unknown());
        }
        permit::<A, Token>(caller, None)?;
        Ok(grant(caller, (), Token { id, user_id: token.user_id }))
    }

    /// A team that the caller may know of, if they may do `A` to what it has of `N`.
    async fn visible_team<A: Action, N: Noun>(&self, caller: &Caller, name: &str) -> Result<TeamRow, Denied> {
        let team = match self.app().accounts.team_named(name).await {
            Ok(team) => team,
            Err(error) if error.kind() == sampan_engine::Kind::NotFound => return Err(hidden(NounKind::Team, name)),
            Err(error) => return Err(error.into()),
        };
        let role = role_in(caller, team.id);
        if !allowed(Act(Verb::View, NounKind::Team), caller, role) {
            return Err(hidden(NounKind::Team, name));
        }
        permit::<A, N>(caller, role)?;
        Ok(team)
    }
}

fn administers(caller: &Caller) -> bool {
    caller.is_administrator() && caller.scopes().admin
}

/// What the caller is in a team: what they are in the one in view, nothing elsewhere; an administrator is an owner.
fn role_in(caller: &Caller, team_id: i64) -> Option<Role> {
    match caller.team() {
        Some(view) if view.owner.team_id == team_id => Some(if administers(caller) { Role::Owner } else { view.role }),
        _ if administers(caller) => Some(Role::Owner),
        _ => None,
    }
}

fn permit<A: Action, N: Noun>(caller: &Caller, role: Option<Role>) -> Result<(), Denied> {
    if allowed(Act(A::VERB, N::KIND), caller, role) { Ok(()) } else { Err(forbidden::<A, N>(caller)) }
}
