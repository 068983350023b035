//! From a plan to a process that runs: the steps shared by `spawner` and `run`.

mod cradle;
mod network;
mod orders;

pub use cradle::{Blueprint, Cradle};
pub use network::{bring_up_loopback, socket_inside};
pub use orders::{filter, orders, send_orders};
