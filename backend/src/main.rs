//! Picks the role before any thread is started.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use sampan::cli::{Cli, Command, Place};
use sampan::config::{Config, Flags, log};
use sampan_engine::{host, networks};

fn main() -> ExitCode {
    match role() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sampan: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `net` and `keep` are roles that serve and keeper start, not commands for people: they read their own words.
fn role() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("net") => networks::process::run(words).map(|()| ExitCode::SUCCESS).context("net"),
        Some("keep") => keep(&words.collect::<Vec<_>>()).map(|()| ExitCode::SUCCESS),
        _ => {
            let Cli { place, command } = Cli::parse();
            dispatch(&place, command)
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
        Command::Doctor { repair } => {
            let sound = sampan::doctor::run(&place.resolve(Flags::default())?, repair)?;
            return Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sampan", &mut std::io::stdout());
        }
        Command::Admin(command) => sampan::admin::run(&place.resolve(Flags::default())?.data_root, &command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything speaks TLS. It can be there already only if somebody did this twice.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A refusal costs memory, nothing else.
    host::be_thrifty();
    let filter = log::filter(std::env::var(log::VARIABLE).ok().as_deref());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let prepared = sampan::serve::prepare(config)?;
    sampan::serve::run(prepared)
}

fn down(config: &Config, purge: bool) -> anyhow::Result<()> {
    host::require_root("sampan down")?;
    let done = host::down(&config.data_root, &config.state_root, &sampan::serve::helpers(config)?, purge)?;
    println!("{} containers ended, helpers {}", done.ended.len(), if done.helpers { "ended" } else { "did not run" });
    Ok(())
}

/// Enters the instance's scope where systemd runs, then becomes guard, keeper's parent: `keep INSTANCE PROGRAM ARGUMENTS…`. Never comes
/// back when it succeeds.
fn keep(words: &[OsString]) -> anyhow::Result<()> {
    let [instance, program, arguments @ ..] = words else { anyhow::bail!("keep needs an instance and a program") };
    host::parent(&instance.to_string_lossy())?;
    rustix::process::setsid().context("begin a session")?;
    Err(std::process::Command::new(program).args(arguments).exec()).context("become guard")
}
