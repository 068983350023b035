//! May they: the one place that decides, for every door, and the only maker of [`Granted`].
//!
//! A handler asks [`Policy`] for a `Granted<Action, Noun>` and hands it to a service; a service takes nothing else.
//! [`action`] has the verbs, [`nouns`] what they are done to, [`rules`] who may, [`grant`] makes the proof, and
//! [`elevated`] says what in a container's description only an administrator may ask for.

pub mod action;
mod elevated;
mod folders;
mod grant;
mod nouns;
mod people;
mod registry;
mod rules;

pub use action::{Act, Action, Verb};
pub use elevated::beyond_team;
pub use grant::{Denied, Granted, Policy};
pub use nouns::*;
pub use rules::{Need, allowed, needs};
