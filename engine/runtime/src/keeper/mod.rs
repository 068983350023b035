//! `keeper`: parent of all, reaps, restarts, keeps descriptors. It parses nothing but the words of [`crate::wire`].
//!
//! Root, one thread, one poll loop. It is the parent (or subreaper) of spawner, net, the monitors and the containers'
//! main processes, and outlives `serve`. What it knows is small: who its children are, which statuses nobody asked for
//! yet, and descriptors under names. When it is killed nothing else dies: guard, its parent, starts the next one, which
//! ends the old spawner and net and starts new ones (children born by them would have the wrong parent), hears from guard
//! how the orphans of the first one ended; and monitors come back by themselves.

mod answer;
pub(crate) mod arguments;
mod children;
mod clients;
mod guard;
mod helpers;
mod run;
mod store;

pub use arguments::{ArgumentError, Arguments};
pub(crate) use run::prepare_process;
pub use run::{KeeperError, run};
