//! What things are done to. Fields of single objects are private: only [`super::Policy`] makes them, after it looked.

use sampan_engine::containers::config::ContainerConfig;
use sampan_engine::containers::{ExecConfig, Update};
use sampan_engine::owner::Owner;
use sampan_engine::reference::ImageReference;
use sampan_engine::registry::RepositoryName;

use crate::accounts::TeamRow;

mod sealed {
    /// Only the nouns of this file are nouns.
    pub trait Sealed {}
}

/// A noun as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NounKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A further program in a container.
    Exec,
    /// What happens in a team.
    Event,
    /// The instance itself: versions, numbers, use of the disk.
    System,
    /// A team.
    Team,
    /// A user.
    User,
    /// A user in a team.
    Member,
    /// An API token.
    Token,
    /// A host folder that a team was granted.
    Folder,
    /// The audit trail.
    Audit,
    /// A repository of the registry.
    Repository,
    /// Who pulls or pushes and is no person.
    Robot,
    /// Another registry, as the administrator sets it up.
    Registry,
    /// Another place for a registry's bytes.
    Mirror,
    /// A team's name and password at a registry.
    Credential,
    /// What served a pull.
    Fetch,
    /// A piece of work that goes on behind the answer.
    Operation,
}

impl NounKind {
    /// The word in the audit trail and in sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Exec => "exec",
            Self::Event => "event",
            Self::System => "system",
            Self::Team => "team",
            Self::User => "user",
            Self::Member => "member",
            Self::Token => "token",
            Self::Folder => "host folder",
            Self::Audit => "audit entry",
            Self::Repository => "repository",
            Self::Robot => "robot",
            Self::Registry => "registry",
            Self::Mirror => "mirror",
            Self::Credential => "credential",
            Self::Fetch => "fetch",
            Self::Operation => "operation",
        }
    }
}

/// Something that a verb is done to.
pub trait Noun: sealed::Sealed + Send + Sync + 'static {
    /// Whose it is: [`Owner`] for what a team has, `()` for what the instance has.
    type Place: Send + Sync + Clone + std::fmt::Debug;
    /// The same as a value.
    const KIND: NounKind;
}

/// All things of one kind, or a thing there is only one of: needs no look-up before a decision.
pub trait Whole: Noun {}

macro_rules! wholes {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident in $place:ty,)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl Noun for $name {
            type Place = $place;
            const KIND: NounKind = NounKind::$kind;
        }
        impl Whole for $name {}
    )+};
}

wholes! {
    /// The team's containers.
    Containers: Container in Owner,
    /// The team's images.
    Images: Image in Owner,
    /// The team's volumes.
    Volumes: Volume in Owner,
    /// The team's networks.
    Networks: Network in Owner,
    /// What happens in the team.
    Events: Event in Owner,
    /// What the instance says about itself and the team's use of it.
    System: System in Owner,
    /// The team's audit trail.
    AuditTrail: Audit in Owner,
    /// The team's repositories.
    Repositories: Repository in Owner,
    /// The team's robots.
    Robots: Robot in Owner,
    /// The team's names and passwords at registries.
    RegistryCredentials: Credential in Owner,
    /// What served the team's pulls.
    Fetches: Fetch in Owner,
    /// The team's pieces of work.
    Operations: Operation in Owner,
    /// Other registries, as the administrator sets them up.
    Registries: Registry in (),
    /// Their mirrors.
    Mirrors: Mirror in (),
    /// The users of the instance.
    Users: User in (),
    /// The teams of the instance.
    Teams: Team in (),
}

macro_rules! objects {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident in $place:ty {
        $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty,)+
    })+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        pub struct $name {
            $(pub(super) $field: $type,)+
        }
        impl sealed::Sealed for $name {}
        impl Noun for $name {
            type Place = $place;
            const KIND: NounKind = NounKind::$kind;
        }
        impl $name {
            $($(#[doc = $field_doc])+ pub fn $field(&self) -> &$type {
                &self.$field
            })+
        }
    )+};
}

objects! {
    /// One container of the team.
    Container: Container in Owner {
        /// 64 hexadecimal digits.
        id: String,
        /// Its name, without a slash.
        name: String,
    }
    /// A container to be: what is made is exactly what was looked at.
    NewContainer: Container in Owner {
        /// Its name; `None`: one is made up.
        name: Option<String>,
        /// What was asked for.
        config: ContainerConfig,
    }
    /// A change of limits or policy: what is changed is exactly what was looked at.
    ContainerUpdate: Container in Owner {
        /// 64 hexadecimal digits.
        id: String,
        /// The change.
        update: Update,
    }
    /// A program to be run in a container.
    NewExec: Container in Owner {
        /// Id of the container.
        container_id: String,
        /// What was asked for.
        config: ExecConfig,
    }
    /// One exec of a container of the team.
    Exec: Exec in Owner {
        /// Its id.
        id: String,
        /// The container it runs in.
        container_id: String,
    }
    /// One image of the team; there may be none, which the engine says.
    Image: Image in Owner {
        /// As the caller named it.
        reference: String,
    }
    /// One volume of the team; there may be none, which the engine says.
    Volume: Volume in Owner {
        /// Its name.
        name: String,
    }
    /// One network of the team; there may be none, which the engine says.
    Network: Network in Owner {
        /// Name or id.
        reference: String,
    }
    /// One repository of a team: there, or, for a push, to be.
    Repository: Repository in Owner {
        /// `team/name`.
        name: RepositoryName,
        /// As it is; `None`: the first push makes it.
        found: Option<sampan_engine::registry::Repository>,
        /// What a pull by this caller fills it with: another registry's repository.
        fills: Option<ImageReference>,
    }
    /// One robot of the team; there may be none, which the accounts say.
    Robot: Robot in Owner {
        /// `robots.id`.
        id: i64,
    }
    /// One team.
    Team: Team in () {
        /// `teams.id`.
        id: i64,
        /// Its name.
        name: String,
    }
    /// The users of one team.
    Members: Member in () {
        /// `teams.id`.
        team_id: i64,
        /// The team's name.
        team_name: String,
    }
    /// The host folders that one team was granted.
    Folders: Folder in () {
        /// The team.
        team: TeamRow,
    }
    /// One user.
    User: User in () {
        /// `users.id`.
        id: i64,
        /// Its name.
        name: String,
    }
    /// The tokens of one user, in one team or in all.
    Tokens: Token in () {
        /// `users.id`.
        user_id: i64,
    }
    /// One token.
    Token: Token in () {
        /// `tokens.id`.
        id: i64,
        /// Whose it is: `users.id`.
        user_id: i64,
    }
}
