//! Picks the role: `serve`, `net`, or a client command.
fn main() {}
