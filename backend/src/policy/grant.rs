//! The proof that somebody may do something to something. Only this file makes one.

use std::marker::PhantomData;

use sampan_engine::containers::config::ContainerConfig;
use sampan_engine::owner::Owner;

use super::action::{Act, Action, Create, Verb};
use super::elevated::beyond_team;
use super::nouns::{NewContainer, Noun, NounKind, Whole};
use super::rules::{Need, allowed, needs};
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
    /// The user belongs to no team.
    #[error("{actor} is in no team: an owner or an administrator adds members")]
    NoTeam {
        /// Who.
        actor: String,
    },
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
    #[expect(dead_code, reason = "the look-ups of single objects follow with the engine")]
    app: &'a App,
}

impl<'a> Policy<'a> {
    /// The policy of `app`.
    pub fn new(app: &'a App) -> Self {
        Self { app }
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

    /// A container to be, as every door's request was understood: what is looked at is what is made.
    ///
    /// # Errors
    /// [`Denied`], also for what only an administrator may ask for.
    pub fn new_container(
        &self,
        caller: &Caller,
        name: Option<String>,
        config: ContainerConfig,
    ) -> Result<Granted<Create, NewContainer>, Denied> {
        let team = in_view(caller)?;
        check::<Create, NewContainer>(caller, team)?;
        let what = beyond_team(&config);
        if !what.is_empty() && !may_elevate(caller) {
            return Err(Denied::Elevated { what });
        }
        Ok(grant(caller, team.owner.clone(), NewContainer { name, config }))
    }
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

fn forbidden<A: Action, N: Noun>(caller: &Caller) -> Denied {
    Denied::Forbidden { actor: caller.actor(), verb: A::VERB, noun: N::KIND }
}

fn grant<A: Action, N: Noun>(caller: &Caller, place: N::Place, noun: N) -> Granted<A, N> {
    Granted { caller: caller.clone(), place, noun, action: PhantomData }
}
