//! Filters of system calls: Docker's profiles, their resolution for one container, a compiler to classic BPF, and the
//! installation into the calling process.

mod architecture;
mod compile;
mod error;
mod only;
mod profile;
mod rules;
#[cfg(test)]
mod tests;
mod tree;

pub use compile::{Program, compile};
pub use error::SeccompError;
pub use only::only;
pub use profile::Profile;
