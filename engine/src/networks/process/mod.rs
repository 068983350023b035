//! The role `sampan net`: one thread that owns bridges, addresses and published ports of an instance.
//!
//! It holds CAP_NET_ADMIN and CAP_NET_BIND_SERVICE and nothing else, and runs as the instance's user. It may be killed
//! at any time: what counts lies in the kernel (bridges with the team in their alias, veth pairs, the table
//! `sampan-<instance>`) and in small files under `net/` in the state root, written whole. A new one compares both,
//! drops what is no longer there, and loads the table anew in one transaction.
//!
//! | file | what it does |
//! |---|---|
//! | `arguments` | what keeper passes on |
//! | `server` | socket, clients, timers |
//! | `networks` | the state, and each request to its function |
//! | `adopt` | the comparison at the start |
//! | `subnets`, `bridges` | free subnets, a team's bridges, free addresses |
//! | `attach`, `detach` | endpoints |
//! | `publish`, `reservations` | ports, and the sockets that keep them from other programs |
//! | `table`, `foreign` | our rules, and accepts in chains of others that drop |
//! | `forwarding` | IP forwarding and the bridges' kernel parameters |
//! | `files`, `host_lock` | small files; the lock that all instances share |

mod adopt;
mod arguments;
mod attach;
mod bridges;
mod detach;
mod files;
mod foreign;
mod forwarding;
mod host_lock;
mod keeper;
mod networks;
mod publish;
mod reservations;
mod server;
mod subnets;
mod table;
#[cfg(test)]
mod tests;

pub use server::run;
