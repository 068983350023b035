//! Containers at Docker's door.

mod config;
mod echo;
mod host_config;
mod list_filter;
mod log_config;
mod mounts;
mod network_settings;
mod ports;
mod request;
mod resources;
mod restart_policy;
mod security;
mod stats_view;
mod view;
