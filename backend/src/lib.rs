//! Everything a client touches: doors, accounts, policy, services. The program is `sampan`.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod app;
pub mod auth;
mod clock;
pub mod config;
pub mod doors;
pub mod policy;
pub mod service;
