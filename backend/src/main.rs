//! Picks the role before any thread is started.

use std::process::ExitCode;

use clap::Parser;
use sampan::cli::{Cli, Command};
use sampan::config::Flags;

fn main() -> ExitCode {
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
