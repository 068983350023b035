//! Who is calling. Every door gets a [`Caller`] from here and hands it to the policy.
//!
//! | what was shown | who looks |
//! |---|---|
//! | a bearer token | [`token`] |
//! | a session cookie | [`session`] |
//! | a ticket for a websocket | [`Tickets`] |
//! | a process at the docker socket | [`socket`] |
//! | name, password and code | [`login`], which begins a session |
//! | the setup token of the first run | [`setup`] |
//! | Basic or Bearer at the registry | [`registry`] |
//! | nothing new, but something is still open | [`lasting`] |

mod caller;
pub mod lasting;
pub mod login;
mod password;
pub mod registry;
mod sealing;
pub mod secret;
pub mod session;
pub mod setup;
pub mod socket;
mod throttle;
mod tickets;
pub mod token;
pub mod totp;

pub use caller::{Caller, Door, RegistryScope, Role, Scopes, TeamView, UnknownRole, UnknownScope, Who};
pub use password::Passwords;
pub use sealing::SealingKey;
pub use throttle::{Throttle, TooMany};
pub use tickets::Tickets;
