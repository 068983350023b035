//! Picks the role before any thread is started.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use sampan::cli::{Cli, Command, Place};
use sampan::config::{Config, Flags};
use sampan_engine::{host, networks};

fn main() -> ExitCode {
    let Cli { place, command } = Cli::parse();
    match dispatch(&place, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sampan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(place: &Place, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(flags) => serve(place.resolve(*flags)?)?,
        Command::Down { flags, purge } => down(&place.resolve(*flags)?, purge)?,
        Command::Preflight(flags) => {
            let fine = sampan::serve::preflight(&place.resolve(*flags)?);
            return Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sampan", &mut std::io::stdout());
        }
        Command::Admin(command) => sampan::admin::run(&place.resolve(Flags::default())?.data_root, &command)?,
        Command::Net { words } => networks::process::run(words)?,
        Command::Keep { instance, words } => keep(&instance, &words)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SAMPAN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let prepared = sampan::serve::prepare(config)?;
    sampan::serve::run(prepared)
}

fn down(config: &Config, purge: bool) -> anyhow::Result<()> {
    host::require_root("sampan down")?;
    let done = host::down(&config.data_root, &config.state_root, purge)?;
    println!("{} containers ended, helpers {}", done.ended.len(), if done.helpers { "ended" } else { "did not run" });
    Ok(())
}

/// Never comes back when it succeeds.
fn keep(instance: &str, words: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("no program was named")?;
    host::parent(instance)?;
    rustix::process::setsid().context("begin a session")?;
    Err(std::process::Command::new(program).args(arguments).exec()).context("become keeper")
}
