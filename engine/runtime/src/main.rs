//! Picks the face: `keeper`, `spawner`, `monitor` or `run`.
fn main() {}
