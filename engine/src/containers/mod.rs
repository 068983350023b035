//! Containers: the top of the engine.

mod attach;
pub mod config;
mod container;
mod error;
mod exec;
mod handle;

pub use attach::{AttachRequest, Attached, Output, OutputStream, StandardStream, StdinWriter};
pub use container::{Container, MountKind, MountPoint, Resolved, Run, State};
pub use error::ContainerError;
pub use exec::{ExecConfig, ExecState};
pub use handle::{Containers, Created, LogQuery, Pruned, Stopped, Top, Update, WaitCondition};
