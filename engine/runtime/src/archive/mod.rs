//! A container's files as a tar, and a tar as files of a container.
//!
//! All of it runs in a child of spawner that has the container's root as its only root and no rights outside of it
//! ([`crate::spawner`] sees to that), without running anything: no program, no library of the container. Links are
//! followed by openat2(2) inside that root only, so a container that changes its links meanwhile leads nowhere but to
//! itself (CVE-2018-15664, CVE-2019-14271).
//!
//! Tars are written with `tar-core`, which also reads all others here: it makes the headers, pax records and maps of
//! sparse files, and does no input or output of its own.

mod changes;
mod delta;
mod filter;
mod layer;
mod pack;
mod path;
mod read;
mod take;
mod write;

pub use changes::changes;
pub use delta::Views;
pub use filter::confine_calls;
pub use layer::layer;
pub use read::{export, look, read};
pub use write::{Writing, write};

use crate::failure::refusal;
use crate::wire::{Refusal, RefusalKind};

/// Most bytes of a path, as the kernel's PATH_MAX without its NUL.
const PATH_BYTES: usize = 4095;

/// A name for an error text.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).collect()
}

/// There is nothing at a path; the words are for whoever knows the container's name.
fn missing(path: &str) -> Refusal {
    refusal(RefusalKind::NotFound, path)
}
