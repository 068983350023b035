//! The only unsafe code: system calls that neither `rustix` nor `nix` offer, with safe signatures and no policy.

pub mod bpf;
pub mod clone;
pub mod descriptors;
pub mod launch;
pub mod loopback;
pub mod memory;
pub mod mounts;
pub mod pidfd;
pub mod seccomp;
pub mod signals;
#[cfg(test)]
pub mod testing;
