//! The proof that somebody may do something to something. Only this file makes one.

use std::marker::PhantomData;

use std::sync::Arc;

use sampan_engine::Kind;
use sampan_engine::containers::config::{ContainerConfig, NamespaceMode, Network as NetworkMode};
use sampan_engine::containers::{Container as Seen, ContainerError, ExecConfig, Update as Change};
use sampan_engine::owner::Owner;

use super::action::{self, Act, Action, Create, Verb};
use super::elevated::{beyond_team, update_beyond_team};
use super::folders;
use super::nouns::{
    Container, ContainerUpdate, Exec, Image, Network, NewContainer, NewExec, Noun, NounKind, Volume, Whole,
};
use super::rules::{Need, allowed, needs};
use crate::accounts::AccountsError;
use crate::app::App;
use crate::auth::{Caller, TeamView};

/// That the caller may do `A` to this `N`. Services take nothing else, so that a handler that forgot to ask does not
/// compile.
#[derive(Debug, Clone)]
pub struct Granted<A: Action, N: Noun> {
    caller: Caller,
    place: N::Place,
    noun: N,
    action: PhantomData<A>,
}

impl<A: Action, N: Noun> Granted<A, N> {
    /// Who may.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// To what.
    pub fn noun(&self) -> &N {
        &self.noun
    }

    /// Whether the caller may also do `verb` to it.
    pub fn may(&self, verb: Verb) -> bool {
        allowed(Act(verb, N::KIND), &self.caller, self.caller.team().map(|team| team.role))
    }

    /// Whether an administrator asks, with all that they may.
    pub fn is_elevated(&self) -> bool {
        may_elevate(&self.caller)
    }

    /// What, as a value.
    pub fn act(&self) -> Act {
        Act(A::VERB, N::KIND)
    }
}

impl<A: Action, N: Noun<Place = Owner>> Granted<A, N> {
    /// The team whose thing it is.
    pub fn owner(&self) -> &Owner {
        &self.place
    }
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// There is no such thing, or the caller may not know that there is.
    #[error("no such {}: {reference}", .noun.as_str())]
    NotFound {
        /// What kind of thing.
        noun: NounKind,
        /// As the caller named it.
        reference: String,
    },
    /// The caller may see it, but not do this.
    #[error("{actor} may not {} this {}: {}", .verb.as_str(), .noun.as_str(), takes(*.verb, *.noun))]
    Forbidden {
        /// Who.
        actor: String,
        /// What they wanted.
        verb: Verb,
        /// To what.
        noun: NounKind,
    },
    /// The container would reach beyond the team's own sandbox.
    #[error("only an administrator may have {}", .what.join(", "))]
    Elevated {
        /// Each thing that was asked for.
        what: Vec<String>,
    },
    /// The caller may, but the registry token that was shown does not say so.
    #[error("the token does not allow to {action} {repository}: ask for another one")]
    OutOfScope {
        /// `team/name`.
        repository: String,
        /// `pull`, `push` or `delete`.
        action: &'static str,
    },
    /// The repository fills itself.
    #[error("{repository} is filled from another registry: nobody pushes there")]
    Cache {
        /// `team/cache/host/name`.
        repository: String,
    },
    /// The repository could not be looked up.
    #[error(transparent)]
    Registry(#[from] sampan_engine::registry::RegistryError),
    /// A host folder that the team was not granted, or not in this way.
    #[error("{why}")]
    Folder {
        /// Who can do what about it.
        why: String,
    },
    /// The user belongs to no team.
    #[error("{actor} is in no team: an owner or an administrator adds members")]
    NoTeam {
        /// Who.
        actor: String,
    },
    /// The container could not be looked up: no such one, or several begin so.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The accounts could not be read.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

impl Denied {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::OutOfScope { .. } | Self::Cache { .. } => Kind::Forbidden,
            Self::Registry(error) => error.kind(),
            Self::Forbidden { .. } | Self::Elevated { .. } | Self::Folder { .. } | Self::NoTeam { .. } => {
                Kind::Forbidden
            }
            Self::Container(error) => error.kind(),
            Self::Accounts(error) => error.kind(),
        }
    }
}

fn takes(verb: Verb, noun: NounKind) -> String {
    match needs(Act(verb, noun)) {
        Some(Need::Role(role)) => format!("it takes the role {} and a token whose scopes allow it", role.as_str()),
        Some(Need::Administrator) => "it takes an administrator".to_owned(),
        Some(Need::Caller) => "it takes a token whose scopes allow it".to_owned(),
        None => "nobody may".to_owned(),
    }
}

/// Asks the rules for one instance.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    app: &'a App,
}

impl<'a> Policy<'a> {
    /// The policy of `app`.
    pub fn new(app: &'a App) -> Self {
        Self { app }
    }

    pub(super) fn app(&self) -> &'a App {
        self.app
    }

    /// Something that the team in view has, as a whole: its containers, its images, its events.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn team<A: Action, N: Whole<Place = Owner>>(&self, caller: &Caller, noun: N) -> Result<Granted<A, N>, Denied> {
        let team = in_view(caller)?;
        check::<A, N>(caller, team)?;
        Ok(grant(caller, team.owner.clone(), noun))
    }

    /// Something that the instance has, as a whole: its users, its teams.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn instance<A: Action, N: Whole<Place = ()>>(&self, caller: &Caller, noun: N) -> Result<Granted<A, N>, Denied> {
        let role = caller.team().map(|team| team.role);
        if allowed(Act(A::VERB, N::KIND), caller, role) {
            Ok(grant(caller, (), noun))
        } else {
            Err(forbidden::<A, N>(caller))
        }
    }

    /// A container to be, as every door's request was understood: what is looked at is what is made. Host folders that
    /// the team was granted become such binds; an administrator's are with the host's ids.
    ///
    /// # Errors
    /// [`Denied`], also for what only an administrator may ask for.
    pub async fn new_container(
        &self,
        caller: &Caller,
        name: Option<String>,
        mut config: ContainerConfig,
    ) -> Result<Granted<Create, NewContainer>, Denied> {
        let team = in_view(caller)?;
        check::<Create, NewContainer>(caller, team)?;
        if !may_elevate(caller) && folders::binds(&config) {
            let granted = self.app.accounts.folders(team.owner.team_id).await?;
            folders::cover(&team.name, &granted, &mut config)?;
        }
        elevate(caller, beyond_team(&config))?;
        for joined in joined(&config) {
            self.look(caller, team, joined, true)?;
        }
        Ok(grant(caller, team.owner.clone(), NewContainer { name, config }))
    }

    /// The container that `reference` (name, id or beginning of an id) names in the team in view.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn container<A: Action>(&self, caller: &Caller, reference: &str) -> Result<Granted<A, Container>, Denied> {
        let team = in_view(caller)?;
        check::<A, Container>(caller, team)?;
        let seen = self.look(caller, team, reference, enters(A::VERB))?;
        Ok(grant(caller, team.owner.clone(), Container { id: seen.id.clone(), name: seen.name.clone() }))
    }

    /// A change of a container.
    ///
    /// # Errors
    /// [`Denied`], also for limits that only an administrator may set.
    pub fn container_update(
        &self,
        caller: &Caller,
        reference: &str,
        update: Change,
    ) -> Result<Granted<action::Update, ContainerUpdate>, Denied> {
        let team = in_view(caller)?;
        check::<action::Update, ContainerUpdate>(caller, team)?;
        let id = self.look(caller, team, reference, false)?.id.clone();
        elevate(caller, update_beyond_team(&update))?;
        Ok(grant(caller, team.owner.clone(), ContainerUpdate { id, update }))
    }

    /// A program to be run in a container.
    ///
    /// # Errors
    /// [`Denied`], also for a privileged one, and for one in a container that reaches beyond its sandbox.
    pub fn new_exec(
        &self,
        caller: &Caller,
        reference: &str,
        config: ExecConfig,
    ) -> Result<Granted<action::Exec, NewExec>, Denied> {
        let team = in_view(caller)?;
        check::<action::Exec, NewExec>(caller, team)?;
        let container_id = self.look(caller, team, reference, true)?.id.clone();
        if config.privileged {
            elevate(caller, vec!["a privileged program in a container".to_owned()])?;
        }
        Ok(grant(caller, team.owner.clone(), NewExec { container_id, config }))
    }

    /// An exec of one of the team's containers.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn exec<A: Action>(&self, caller: &Caller, id: &str) -> Result<Granted<A, Exec>, Denied> {
        let team = in_view(caller)?;
        check::<A, Exec>(caller, team)?;
        let exec = self.app.engine.containers().exec_get(&team.owner, id)?;
        self.look(caller, team, &exec.container_id, A::VERB == Verb::Start)?;
        Ok(grant(caller, team.owner.clone(), Exec { id: exec.id, container_id: exec.container_id }))
    }

    /// An image of the team, by reference or id.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn image<A: Action>(&self, caller: &Caller, reference: &str) -> Result<Granted<A, Image>, Denied> {
        let team = in_view(caller)?;
        check::<A, Image>(caller, team)?;
        Ok(grant(caller, team.owner.clone(), Image { reference: reference.to_owned() }))
    }

    /// A volume of the team.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn volume<A: Action>(&self, caller: &Caller, name: &str) -> Result<Granted<A, Volume>, Denied> {
        let team = in_view(caller)?;
        check::<A, Volume>(caller, team)?;
        Ok(grant(caller, team.owner.clone(), Volume { name: name.to_owned() }))
    }

    /// A network of the team.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn network<A: Action>(&self, caller: &Caller, reference: &str) -> Result<Granted<A, Network>, Denied> {
        let team = in_view(caller)?;
        check::<A, Network>(caller, team)?;
        Ok(grant(caller, team.owner.clone(), Network { reference: reference.to_owned() }))
    }

    /// Looks a container up in the team. `enters`: the caller will be inside it, or share what it has; then one that
    /// reaches beyond its sandbox is for an administrator only, or a developer would be what an administrator made.
    fn look(&self, caller: &Caller, team: &TeamView, reference: &str, enters: bool) -> Result<Arc<Seen>, Denied> {
        let seen = self.app.engine.containers().get(&team.owner, reference)?;
        if enters {
            elevate(caller, beyond_team(&seen.config))?;
        }
        Ok(seen)
    }
}

/// Verbs by which a caller gets inside a container, or at what only those inside can read or write.
fn enters(verb: Verb) -> bool {
    matches!(verb, Verb::Attach | Verb::Exec | Verb::CopyFrom | Verb::CopyTo | Verb::Export | Verb::Commit)
}

/// Containers whose namespaces the new one would share.
fn joined(config: &ContainerConfig) -> impl Iterator<Item = &str> {
    let network = match &config.network {
        NetworkMode::Container { container } => Some(container.as_str()),
        _ => None,
    };
    [network, shared(&config.security.pid), shared(&config.security.ipc)].into_iter().flatten()
}

fn shared(mode: &NamespaceMode) -> Option<&str> {
    match mode {
        NamespaceMode::Container { container } => Some(container),
        NamespaceMode::Own | NamespaceMode::Host => None,
    }
}

fn elevate(caller: &Caller, what: Vec<String>) -> Result<(), Denied> {
    if what.is_empty() || may_elevate(caller) { Ok(()) } else { Err(Denied::Elevated { what }) }
}

fn may_elevate(caller: &Caller) -> bool {
    caller.is_administrator() && caller.scopes().admin
}

fn in_view(caller: &Caller) -> Result<&TeamView, Denied> {
    caller.team().ok_or_else(|| Denied::NoTeam { actor: caller.actor() })
}

fn check<A: Action, N: Noun>(caller: &Caller, team: &TeamView) -> Result<(), Denied> {
    if allowed(Act(A::VERB, N::KIND), caller, Some(team.role)) { Ok(()) } else { Err(forbidden::<A, N>(caller)) }
}

pub(super) fn forbidden<A: Action, N: Noun>(caller: &Caller) -> Denied {
    Denied::Forbidden { actor: caller.actor(), verb: A::VERB, noun: N::KIND }
}

pub(super) fn hidden(noun: NounKind, reference: &str) -> Denied {
    Denied::NotFound { noun, reference: reference.to_owned() }
}

pub(super) fn grant<A: Action, N: Noun>(caller: &Caller, place: N::Place, noun: N) -> Granted<A, N> {
    Granted { caller: caller.clone(), place, noun, action: PhantomData }
}
