//! A container's files as tars: copied out and in, exported, compared with its image. The work is done by a child of
//! spawner inside the container's own root (`sampan_runtime::archive`); here are its streams.

mod changes;
mod copy;
mod export;
mod work;

pub use changes::ChangeStream;
pub use work::FileStream;
pub(super) use work::{Working, stream};
