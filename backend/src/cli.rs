//! The command line of `sampan`.

use std::path::PathBuf;

use clap::Parser;

use crate::admin;
use crate::config::{Config, ConfigError, Flags, Raw};

/// A self-hosted container platform
#[derive(Debug, Parser)]
#[command(name = "sampan", version)]
pub struct Cli {
    /// Where the instance is.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that may stand anywhere on the line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Place {
    /// TOML file with the settings [env: SAMPAN_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where images, volumes, containers and the database lie [env: SAMPAN_DATA_ROOT] [default: /var/lib/sampan]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_root: Option<String>,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Runs the server; started as root, which it gives up
    Serve(Box<Flags>),
    /// Ends what is left running when no server does, and with --purge gives back host ids, too
    Down {
        /// Settings.
        #[command(flatten)]
        flags: Box<Flags>,
        /// Gives back host ids and the state root as well; the data stays
        #[arg(long)]
        purge: bool,
    },
    /// Says what kernel and host offer, what is missing, and the fix to type
    Preflight(Box<Flags>),
    /// Reads database, blobs, layers and indexes, names what is damaged and who needs it; ends with 1 when anything is
    Doctor {
        /// Makes anew or fetches from where it came what is damaged, and takes out what cannot be had; no server may run
        /// meanwhile
        #[arg(long)]
        repair: bool,
    },
    /// Prints a completion script
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Users, teams and tokens from this host's command line
    #[command(subcommand)]
    Admin(admin::Command),
}

impl Place {
    /// The settings, with the flags that only some commands have.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn resolve(&self, flags: Flags) -> Result<Config, ConfigError> {
        let flags = Flags { config: self.config.clone(), data_root: self.data_root.clone(), ..flags };
        Config::resolve(&Raw::read(&flags)?)
    }
}
