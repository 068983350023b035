//! What can be typed.

use crate::auth::Role;

/// Accounts of an instance.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Makes a user
    CreateUser {
        /// Their name
        name: String,
        /// Makes them an administrator of the instance
        #[arg(long)]
        admin: bool,
        /// Reads the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Makes a team
    CreateTeam {
        /// Its name
        name: String,
    },
    /// Puts a user into a team, or gives a member another role
    AddMember {
        /// Name of the team
        team: String,
        /// Name of the user
        user: String,
        /// viewer, developer or owner
        role: Role,
    },
    /// Makes an API token with the user's role in one team; its last line is the token alone
    CreateToken {
        /// Name of the user
        user: String,
        /// Name of the team
        #[arg(long)]
        team: String,
        /// Name of the token; made up when it is not given
        #[arg(long)]
        name: Option<String>,
        /// What it may at most: read, write, admin
        #[arg(long, value_delimiter = ',', default_value = "read,write,admin")]
        scopes: Vec<String>,
        /// Days until it expires; without: it does not
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
    },
    /// Lets a team's containers bind a folder of the host and what lies beneath it
    GrantFolder {
        /// Name of the team
        team: String,
        /// Absolute path of the folder (or file)
        path: String,
        /// Only to read
        #[arg(long)]
        read_only: bool,
    },
    /// Takes a granted folder away; containers that run keep it until they end
    RevokeFolder {
        /// Name of the team
        team: String,
        /// Its path, as it was granted
        path: String,
    },
    /// Gives a user another password and ends their sessions
    ResetPassword {
        /// Name of the user
        name: String,
        /// Reads the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Prints the certificate of the local authority, which clients of --https must trust
    Ca,
    /// Takes a user's second factor away
    ResetTotp {
        /// Name of the user
        name: String,
    },
}

impl Command {
    /// Whether a password is to be read from standard input.
    pub(super) fn wants_password(&self) -> bool {
        matches!(self, Self::CreateUser { .. } | Self::ResetPassword { .. })
    }
}
