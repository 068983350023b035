//! The harness of the end-to-end tests: through public doors only.

pub mod images;
pub mod server;
