//! Grants for repositories and robots. Who is not of the team sees what is public, and nothing else: a repository that
//! they may not see looks as one that is not there.

use sampan_engine::reference::ImageReference;
use sampan_engine::registry::RepositoryName;

use super::action::{Act, Action, Verb};
use super::grant::{Denied, Granted, Policy, forbidden, grant, hidden};
use super::nouns::{NounKind, Repository, Robot};
use super::rules::allowed;
use crate::accounts::TeamRow;
use crate::auth::{Caller, TeamView, Who};

/// Verbs of registry tokens, with ours.
const ACTIONS: [(&str, Verb); 3] = [("pull", Verb::Pull), ("push", Verb::Push), ("delete", Verb::Remove)];

impl Policy<'_> {
    /// The repository of that name. For a push it need not be there yet.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn repository<A: Action>(
        &self,
        caller: &Caller,
        name: &RepositoryName,
    ) -> Result<Granted<A, Repository>, Denied> {
        let unknown = || hidden(NounKind::Repository, name.whole());
        let Some(team) = self.team_of(name).await? else { return Err(unknown()) };
        let found = self.app().engine.registry().find(team.id, name.name()).await?;
        let public = A::VERB == Verb::Pull && found.as_ref().is_some_and(|found| found.public);
        let view = own(caller, &team, name);
        match view {
            Some(view) if allowed(Act(A::VERB, NounKind::Repository), caller, Some(view.role)) || public => {}
            Some(_) => return Err(forbidden::<A, Repository>(caller)),
            None if public => {}
            None => return Err(unknown()),
        }
        let filled = self.filled_with(name);
        if filled.is_some() && A::VERB == Verb::Push {
            return Err(Denied::Cache { repository: name.whole().to_owned() });
        }
        // What comes by the team's name at the other registry comes for nobody else.
        let fills = filled.filter(|_| A::VERB == Verb::Pull && view.is_some());
        if found.is_none() && A::VERB != Verb::Push && fills.is_none() {
            return Err(unknown());
        }
        let action = ACTIONS.iter().find(|(_, verb)| *verb == A::VERB).map(|(action, _)| *action);
        if let Some(action) = action.filter(|action| !caller.registry_allows(name.whole(), action)) {
            return Err(Denied::OutOfScope { repository: name.whole().to_owned(), action });
        }
        Ok(grant(caller, team.owner()?, Repository { name: name.clone(), found, fills }))
    }

    /// The repository of that name (behind the team's) of the team in view, which must be there.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn own_repository<A: Action>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Granted<A, Repository>, Denied> {
        let view = caller.team().ok_or_else(|| Denied::NoTeam { actor: caller.actor() })?;
        match format!("{}/{name}", view.name.to_lowercase()).parse() {
            Ok(name) => self.repository(caller, &name).await,
            Err(_) => Err(hidden(NounKind::Repository, name)),
        }
    }

    /// What a registry token for the caller may say about a repository, there or not.
    ///
    /// # Errors
    /// [`Denied`] when the database cannot be asked.
    pub async fn registry_actions(&self, caller: &Caller, name: &RepositoryName) -> Result<Vec<&'static str>, Denied> {
        let Some(team) = self.team_of(name).await? else { return Ok(Vec::new()) };
        let found = self.app().engine.registry().find(team.id, name.name()).await?;
        let public = found.is_some_and(|found| found.public);
        let view = own(caller, &team, name);
        let cache = self.filled_with(name).is_some();
        let may = |verb| {
            if cache && verb == Verb::Push {
                return false;
            }
            let own = view.is_some_and(|view| allowed(Act(verb, NounKind::Repository), caller, Some(view.role)));
            own || (public && verb == Verb::Pull)
        };
        Ok(ACTIONS.into_iter().filter(|(_, verb)| may(*verb)).map(|(action, _)| action).collect())
    }

    /// Teams whose repositories a list for the caller shows beside the public ones.
    ///
    /// # Errors
    /// [`Denied`] when the database cannot be asked.
    pub async fn catalog_teams(&self, caller: &Caller) -> Result<Vec<i64>, Denied> {
        let list = |role| allowed(Act(Verb::List, NounKind::Repository), caller, Some(role));
        // One that may see some of them only is not told of the others.
        if matches!(caller.who(), Who::Robot { repositories, .. } if !repositories.is_empty()) {
            return Ok(Vec::new());
        }
        match (caller.team(), caller.user_id()) {
            (Some(view), _) => Ok(list(view.role).then_some(view.owner.team_id).into_iter().collect()),
            (None, Some(user_id)) => {
                let memberships = self.app().accounts.memberships(user_id).await?;
                Ok(memberships.iter().filter(|member| list(member.role)).map(|member| member.team_id).collect())
            }
            (None, None) => Ok(Vec::new()),
        }
    }

    /// The robot of that id in the team in view.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn robot<A: Action>(&self, caller: &Caller, id: i64) -> Result<Granted<A, Robot>, Denied> {
        let view = caller.team().ok_or_else(|| Denied::NoTeam { actor: caller.actor() })?;
        match allowed(Act(A::VERB, NounKind::Robot), caller, Some(view.role)) {
            true => Ok(grant(caller, view.owner.clone(), Robot { id })),
            false => Err(forbidden::<A, Robot>(caller)),
        }
    }

    /// Another registry's repository that the one of that name is filled with.
    fn filled_with(&self, name: &RepositoryName) -> Option<ImageReference> {
        let ours = |host: &str| self.app().config.is_own_registry(host);
        sampan_engine::registry::cached(name.name()).filter(|reference| !ours(reference.registry()))
    }

    async fn team_of(&self, name: &RepositoryName) -> Result<Option<TeamRow>, Denied> {
        match self.app().accounts.team_named(name.team()).await {
            Ok(team) => Ok(Some(team)),
            Err(error) if error.kind() == sampan_engine::Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The caller's view of the team, if it is theirs and the repository is one that they may see there.
fn own<'a>(caller: &'a Caller, team: &TeamRow, name: &RepositoryName) -> Option<&'a TeamView> {
    let view = caller.team().filter(|view| view.owner.team_id == team.id)?;
    match caller.who() {
        Who::Robot { repositories, .. } if !name.name().starts_with(repositories.as_str()) => None,
        _ => Some(view),
    }
}
