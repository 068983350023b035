//! Connections to the privileged processes beside us: spawner, keeper and the teams' monitors (net has its own client
//! in `networks`).

mod client;
mod keeper;
mod monitor;
mod monitors;
mod spawner;

pub use client::ProcessError;
pub(crate) use client::watched;
pub(crate) use keeper::Keeper;
pub(crate) use monitor::Monitor;
pub(crate) use monitors::{Monitors, Told};
pub use spawner::Spawner;
