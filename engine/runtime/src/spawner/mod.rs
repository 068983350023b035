//! The only door to privileged acts on containers: one process of root, with one thread for its whole life.
//!
//! It reads what a container is from the data root by itself and checks it again, whoever asks. What it makes it gives
//! away: processes are keeper's children, descriptors are kept by keeper and held by the team's monitor. So it may die
//! at any time, and what it knew is found again from keeper when it is asked for.

mod announce;
mod archive;
mod arguments;
mod device_rules;
mod dispatch;
mod exec;
mod features;
mod files;
mod flush;
mod folders;
mod grants;
mod network;
mod orphans;
mod peers;
mod pool;
mod prepared;
mod running;
mod server;
mod sources;
mod start;
mod stdio;
mod trash;
mod unpack;
mod usage;

pub use arguments::Arguments;
pub use server::run;
