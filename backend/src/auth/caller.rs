//! The one word for "who is calling", whatever door they came through.

use sampan_engine::owner::Owner;
use serde::{Deserialize, Serialize};

/// Somebody who was recognised. Made only by this module; the policy decides what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub(in crate::auth) who: Who,
    pub(in crate::auth) team: Option<TeamView>,
    pub(in crate::auth) administrator: bool,
    pub(in crate::auth) scopes: Scopes,
    pub(in crate::auth) door: Door,
    pub(in crate::auth) shown: Shown,
    /// What a registry token allows at most; `None`: no such token was shown.
    pub(in crate::auth) registry: Option<Vec<RegistryScope>>,
}

/// Verbs in one repository that a registry token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryScope {
    /// `team/name`, or [`RegistryScope::CATALOG`].
    pub repository: String,
    /// `pull`, `push`, `delete`; `*` for the catalog.
    pub actions: Vec<String>,
}

impl RegistryScope {
    /// Stands for the list of repositories, which no repository can be named.
    pub const CATALOG: &str = "";
}

/// What they showed: it is looked at again while something stays open for them. Only the SHA-256 is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Shown {
    /// A bearer token.
    Token([u8; 32]),
    /// A session's cookie.
    Session([u8; 32]),
    /// Nothing: the place where they called says who they are.
    Place,
    /// Something at the registry, which looks at it anew for each request.
    Registry,
}

/// What kind of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user, by session or token.
    User {
        /// `users.id`.
        id: i64,
        /// Their name.
        name: String,
    },
    /// Root of this host, at the docker socket or the command line.
    HostRoot,
    /// A host user whose group the administrator let in.
    HostUser {
        /// Host uid.
        uid: u32,
    },
    /// A process in a container of the team, through a mounted socket.
    Container {
        /// Host uid, within the team's range.
        uid: u32,
    },
    /// A robot of the team: at the registry only.
    Robot {
        /// Its name.
        name: String,
        /// What the names of the repositories that it may see begin with.
        repositories: String,
    },
    /// This instance by itself: what it does without being asked.
    Itself,
    /// Nobody that is known: at the registry only, for what is public.
    Nobody,
}

/// The team in view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamView {
    /// The team as the engine knows it.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// The caller's role in it.
    pub role: Role,
}

/// What a user is in a team. Each may all that the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Works with containers, images and volumes.
    Developer,
    /// Also decides who belongs to the team.
    Owner,
}

impl Role {
    /// The word in the database, the API and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Owner => "owner",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "developer" => Ok(Self::Developer),
            "owner" => Ok(Self::Owner),
            _ => Err(UnknownRole { text: text.to_owned() }),
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{text}`; the roles are viewer, developer and owner")]
pub struct UnknownRole {
    text: String,
}

/// What a token (or any caller) may do at most, whatever its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// Looking.
    pub read: bool,
    /// What a developer does.
    pub write: bool,
    /// What an owner or an administrator does.
    pub admin: bool,
}

impl Scopes {
    /// Everything that the role allows.
    pub const ALL: Self = Self { read: true, write: true, admin: true };

    /// From the words `read`, `write` and `admin`; each is only what it says.
    ///
    /// # Errors
    /// [`UnknownScope`], also for an empty list.
    pub fn from_words(words: &[String]) -> Result<Self, UnknownScope> {
        let mut scopes = Self { read: false, write: false, admin: false };
        for word in words {
            match word.as_str() {
                "read" => scopes.read = true,
                "write" => scopes.write = true,
                "admin" => scopes.admin = true,
                _ => return Err(UnknownScope { text: word.clone() }),
            }
        }
        if words.is_empty() { Err(UnknownScope { text: String::new() }) } else { Ok(scopes) }
    }

    /// The words.
    pub fn words(self) -> Vec<&'static str> {
        let all = [(self.read, "read"), (self.write, "write"), (self.admin, "admin")];
        all.into_iter().filter_map(|(is, word)| is.then_some(word)).collect()
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope `{text}`; the scopes are read, write and admin, and a token has at least one")]
pub struct UnknownScope {
    text: String,
}

/// Where the caller came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Docker Engine API.
    Docker,
    /// REST and websockets.
    Rest,
    /// Pages.
    Pages,
    /// `sampan admin`.
    CommandLine,
    /// The registry, `/v2/`.
    Registry,
}

impl Door {
    /// The word in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Rest => "rest",
            Self::Pages => "pages",
            Self::CommandLine => "command line",
            Self::Registry => "registry",
        }
    }
}

impl Caller {
    /// What kind of somebody.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// The team in view; `None`: the user is in no team yet.
    pub fn team(&self) -> Option<&TeamView> {
        self.team.as_ref()
    }

    /// May do what only an administrator may (if the scopes let it).
    pub fn is_administrator(&self) -> bool {
        self.administrator
    }

    /// What the caller may do at most.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// Whether nobody known calls.
    pub fn is_nobody(&self) -> bool {
        self.who == Who::Nobody
    }

    /// Whether the registry token that was shown, if one was, allows a verb in a repository.
    pub fn registry_allows(&self, repository: &str, action: &str) -> bool {
        self.registry.as_ref().is_none_or(|scopes| {
            let mut of_it = scopes.iter().filter(|scope| scope.repository == repository);
            of_it.any(|scope| scope.actions.iter().any(|allowed| allowed == action))
        })
    }

    /// Where they came in.
    pub fn door(&self) -> Door {
        self.door
    }

    /// `users.id`, when a user calls.
    pub fn user_id(&self) -> Option<i64> {
        match &self.who {
            Who::User { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Who, for people and the audit trail.
    pub fn actor(&self) -> String {
        match &self.who {
            Who::User { name, .. } => name.clone(),
            Who::HostRoot => "host root".to_owned(),
            Who::HostUser { uid } => format!("host user {uid}"),
            Who::Container { uid } => format!("container user {uid}"),
            Who::Robot { name, .. } => format!("robot {name}"),
            Who::Itself => "Sampan".to_owned(),
            Who::Nobody => "nobody".to_owned(),
        }
    }
}

impl Caller {
    /// Root of this host at the command line, with no team in view.
    pub(crate) fn command_line() -> Self {
        Self {
            who: Who::HostRoot,
            team: None,
            administrator: true,
            scopes: Scopes::ALL,
            door: Door::CommandLine,
            shown: Shown::Place,
            registry: None,
        }
    }

    /// This instance, for the audit trail.
    pub(crate) fn by_itself() -> Self {
        Self { who: Who::Itself, administrator: false, ..Self::command_line() }
    }

    /// The same caller at another door.
    pub(in crate::auth) fn at(self, door: Door) -> Self {
        Self { door, ..self }
    }
}
