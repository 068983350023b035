//! Picks the face: `guard`, `keeper`, `spawner`, `monitor` or `run`.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use sampan_runtime::{guard, keeper, monitor, spawner};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let face = words.next().unwrap_or_default();
    let done = match face.to_str() {
        Some("run") => return ExitCode::from(sampan_runtime::run::run(words)),
        Some("init") => return sampan_runtime::init::reaper(words.map(|word| word.to_string_lossy().into_owned())),
        Some("guard") => guard(words),
        Some("spawner") => spawner(words),
        Some("keeper") => keeper(words),
        Some("monitor") => monitor(words),
        _ => Err(format!("no face named {face:?}; it has guard, keeper, spawner, monitor and run").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sampan-runtime: {}", chain(error.as_ref()));
            ExitCode::from(125)
        }
    }
}

fn guard(words: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    Ok(guard::run(words)?)
}

fn keeper(words: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    Ok(keeper::run(keeper::Arguments::parse(words)?)?)
}

fn spawner(words: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    Ok(spawner::run(spawner::Arguments::parse(words)?)?)
}

fn monitor(words: impl Iterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    Ok(monitor::run(monitor::Arguments::parse(words)?)?)
}

/// An error with all its causes, once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
