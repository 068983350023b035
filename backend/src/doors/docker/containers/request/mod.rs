//! Docker's create request, read into what the engine makes.

mod create_request;
#[cfg(test)]
mod tests;
mod values;

pub use create_request::{CreateRequest, RUNTIME};
