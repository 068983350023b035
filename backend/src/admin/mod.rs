//! `sampan admin`: accounts from the command line of the host, beside a running instance or without one.
//!
//! Works as the owner of the data root on the same database as the server, which sees each change at once because it
//! keeps no copy.

mod command;
mod place;
mod run;

pub use command::Command;
pub(crate) use place::enter;
pub use run::run;
