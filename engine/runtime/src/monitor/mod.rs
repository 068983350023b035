//! `monitor`, one per team: logs, stdin, the end of each container, restarts, the journal.
//!
//! The instance's own user, no capability, its own leaf cgroup so that its work is charged to the team. One thread, one
//! epoll loop over the output of all containers. It holds nothing that keeper does not hold too: killed at any moment,
//! the next monitor takes folders, pidfds and streams from keeper and the rest from journals, and output that was on
//! its way is still in the pipe.

mod adopt;
mod answer;
mod arguments;
mod container;
mod end;
mod epoll;
mod filter;
mod keeper;
mod policy;
mod restore;
mod run;
mod setup;
mod spawner;
mod stdio;

pub use arguments::Arguments;
pub use run::run;
pub use setup::MonitorError;
