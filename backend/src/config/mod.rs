//! Settings: flags, then environment, then the TOML file, then defaults.
//!
//! [`names`] lists every setting; [`raw`] reads the texts and remembers where each came from; [`resolved`] checks them.
//! [`log`] is apart: it is needed before anything can be said.

pub mod log;
pub mod names;
mod raw;
mod reach;
mod resolved;

pub use raw::{ConfigError, Flags, Raw};
pub use reach::host_name;
pub use resolved::{AddressPool, Config, Storage};
