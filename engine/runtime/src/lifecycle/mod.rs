//! From a plan to a process that runs: the steps shared by `spawner` and `run`.

mod cradle;
mod network;
mod orders;

pub use cradle::{Blueprint, Cradle};
pub(crate) use cradle::{hear, out_of_turn};
pub use network::{bring_up_loopback, socket_inside};
pub(crate) use orders::send;
pub use orders::{filter, orders, send_orders};
