//! Sampan's OCI runtime and its small privileged processes.
//!
//! Synchronous, no HTTP, no SQL, no users: it knows a bundle, a team's id range and a cgroup, not an image.
//! The binary `sampan-runtime` has four faces over this library: `keeper`, `spawner`, `monitor` and `run`.

pub mod capabilities;
pub mod cgroups;
pub mod keeper;
pub mod rlimits;
pub mod sandbox;
pub mod seccomp;
pub mod sys;
pub mod time;
pub mod wire;
