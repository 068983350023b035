//! Everything a client touches: doors, accounts, policy, services. The program is `sampan`.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod admin;
pub mod app;
pub mod auth;
mod ballast;
pub mod cli;
mod clock;
pub mod config;
pub mod doctor;
pub mod doors;
pub mod operations;
pub mod policy;
pub mod serve;
pub mod service;
#[cfg(test)]
mod testing;
pub mod texts;
