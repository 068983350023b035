//! The harness of the end-to-end tests: through public doors only.

pub mod client;
pub mod images;
pub mod proxy;
pub mod registry;
pub mod server;
pub mod upstream;
