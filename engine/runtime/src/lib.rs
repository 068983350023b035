//! Sampan's OCI runtime and its small privileged processes.
//!
//! Synchronous, no HTTP, no SQL, no users: it knows a bundle, a team's id range and a cgroup, not an image.
//! The binary `sampan-runtime` has five faces over this library: `guard`, `keeper`, `spawner`, `monitor` and `run`.

pub mod archive;
pub mod capabilities;
pub mod cgroups;
pub mod failure;
pub mod guard;
pub mod init;
pub mod journal;
pub mod keeper;
pub mod lifecycle;
pub mod log;
pub mod monitor;
pub mod namespaces;
pub mod own_program;
pub mod rlimits;
pub mod rootfs;
pub mod run;
pub mod sandbox;
pub mod seccomp;
pub mod space;
pub mod spawner;
pub mod spec;
pub mod sys;
pub mod terminal;
pub mod time;
pub mod user_namespace;
pub mod wire;
