//! Filters of system calls: Docker's profiles, their resolution for one container, a compiler to classic BPF, and the
//! installation into the calling process.

mod compile;
mod error;
mod profile;

pub use compile::{Program, compile};
pub use error::SeccompError;
pub use profile::Profile;
