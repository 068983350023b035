//! Picks the face: `keeper`, `spawner`, `monitor` or `run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let face = arguments.next().unwrap_or_default();
    eprintln!("sampan-runtime: no face named {face:?}; it has keeper, spawner, monitor and run");
    ExitCode::from(125)
}
