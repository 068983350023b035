//! The harness of the end-to-end tests: through public doors only.
