//! Containers: the top of the engine.

pub mod config;
