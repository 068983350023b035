//! Why something was not done to an account.

use sampan_engine::kind::Kind;

/// Why something was not done to a user, team, membership, token or session.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// There is none of that name.
    #[error("no such {noun}: {name}")]
    NotFound {
        /// `user`, `team`, `member`, `token`.
        noun: &'static str,
        /// As asked for.
        name: String,
    },
    /// There is one of that name already.
    #[error("the {noun} {name} exists already")]
    Taken {
        /// `user`, `team`, `member`, `token`.
        noun: &'static str,
        /// Its name.
        name: String,
    },
    /// Not a name.
    #[error(
        "the {noun} name {name:?} must have 1 to 63 of the characters A-Z a-z 0-9 _ . - @ and begin with a letter or a digit"
    )]
    BadName {
        /// `user`, `team` or `token`.
        noun: &'static str,
        /// As asked for.
        name: String,
    },
    /// A password that is too short or too long.
    #[error("a password must have 8 to 1024 bytes, this one has {bytes}")]
    BadPassword {
        /// Its length.
        bytes: usize,
    },
    /// The last owner of a team cannot go.
    #[error("{user} is the last owner of the team {team}: make somebody else an owner first")]
    LastOwner {
        /// The user.
        user: String,
        /// The team.
        team: String,
    },
    /// The last administrator cannot go.
    #[error("{user} is the last administrator: make somebody else an administrator first")]
    LastAdministrator {
        /// The user.
        user: String,
    },
    /// A team that still has things.
    #[error("the team {team} still has {what}: remove them first")]
    TeamInUse {
        /// The team.
        team: String,
        /// What it has.
        what: String,
    },
    /// The team that everything starts with cannot be removed.
    #[error("the team default cannot be removed or renamed: the docker socket belongs to it")]
    DefaultTeam,
    /// A user who is not in the team.
    #[error("{user} is not in the team {team}: add the member first")]
    NotAMember {
        /// The user.
        user: String,
        /// The team.
        team: String,
    },
    /// An expiry in the past, an unknown scope.
    #[error("{message}")]
    Invalid {
        /// What is wrong with which value.
        message: String,
    },
    /// Every range of host ids of this instance is in use.
    #[error(
        "all {ranges} ranges of host ids of this instance are in use: remove a team, or restart `sampan serve` to reserve more"
    )]
    NoIdRange {
        /// How many there are.
        ranges: usize,
    },
    /// Too many password checks wait already.
    #[error("too many passwords are being checked at this moment: try again in a few seconds")]
    Busy,
    /// The hash of a password could not be made or read.
    #[error("cannot hash a password: {reason}")]
    Hash {
        /// Why.
        reason: String,
    },
    /// A sealed value cannot be opened: the key file is another one.
    #[error("cannot open a sealed value of {owner}: the sealing key of the data root is another one")]
    Sealed {
        /// Whose value.
        owner: String,
    },
    /// A file could not be read or written.
    #[error("cannot read or write {}", .path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database could not be read or written.
    #[error("the database failed")]
    Store(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the database's schema cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row says something that this release does not know.
    #[error("the database has a {what} that this release does not know: {value}")]
    Unreadable {
        /// What.
        what: &'static str,
        /// As it stands there.
        value: String,
    },
}

impl AccountsError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Taken { .. }
            | Self::LastOwner { .. }
            | Self::LastAdministrator { .. }
            | Self::TeamInUse { .. }
            | Self::DefaultTeam => Kind::Conflict,
            Self::BadName { .. } | Self::BadPassword { .. } | Self::NotAMember { .. } | Self::Invalid { .. } => {
                Kind::Invalid
            }
            Self::NoIdRange { .. } | Self::Busy => Kind::Exhausted,
            Self::Store(_) | Self::File { .. } if sampan_engine::disk_is_full(self) => Kind::Exhausted,
            Self::Hash { .. }
            | Self::Sealed { .. }
            | Self::File { .. }
            | Self::Store(_)
            | Self::Migrate(_)
            | Self::Unreadable { .. } => Kind::Internal,
        }
    }

    /// Turns a broken UNIQUE into [`AccountsError::Taken`].
    pub(super) fn taken(noun: &'static str, name: &str, source: sqlx::Error) -> Self {
        match &source {
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Taken { noun, name: name.to_owned() },
            _ => Self::Store(source),
        }
    }
}
