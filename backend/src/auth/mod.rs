//! Who is calling. Every door gets a [`Caller`] from here and hands it to the policy.

mod caller;

pub use caller::{Caller, Door, Role, Scopes, TeamView, Who};
