//! The OCI description and the sandbox file, checked and sorted into what is done when. Pure: no system calls.

mod mounts;
mod plan;
mod process;

pub use mounts::{Furnished, Furniture, Placement, Shown, Source};
pub(crate) use plan::check_process;
pub use plan::{Joined, Plan, Whose};
pub use process::{Orders, Program};
