//! The real docker CLI against a real server: what a person types, what they read, what a script sees as exit code.

mod docker;

#[path = "docker/files.rs"]
mod files;
#[path = "docker/folders.rs"]
mod folders;
#[path = "docker/health.rs"]
mod health;
#[path = "docker/images.rs"]
mod images;
#[path = "docker/lifecycle.rs"]
mod lifecycle;
#[path = "docker/options.rs"]
mod options;
#[path = "docker/protocol.rs"]
mod protocol;
#[path = "docker/refusals.rs"]
mod refusals;
#[path = "docker/run.rs"]
mod run;
#[path = "docker/sharing.rs"]
mod sharing;
#[path = "docker/streams.rs"]
mod streams;
#[path = "docker/survive.rs"]
mod survive;
