//! Picks the role before any thread is started.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use sampan::cli::{Cli, Command};
use sampan::config::Flags;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|role| role == "net") {
        return net(std::env::args_os().skip(2));
    }
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Admin(command) => cli
            .place
            .resolve(Flags::default())
            .map_err(anyhow::Error::from)
            .and_then(|config| sampan::admin::run(&config.data_root, &command)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sampan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A helper that keeper starts, not a command for people: it is small and reads its own few arguments.
fn net(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match sampan_engine::networks::process::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sampan net: {:#}", anyhow::Error::from(error));
            ExitCode::FAILURE
        }
    }
}
