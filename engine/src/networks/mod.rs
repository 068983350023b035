//! Networks: bridges, addresses and published ports.
//!
//! The work is done by the role `sampan net` (`process`): one thread, two capabilities, no runtime. The engine talks
//! to it through [`Client`]. `netlink` and `nftables` hold messages only; no program is executed.

mod client;
mod error;
pub(crate) mod netlink;
pub(crate) mod nftables;
pub mod process;
mod resolvers;

pub use client::{Bridge, Client, State};
pub use error::NetworkError;
pub use resolvers::Resolvers;
