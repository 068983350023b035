//! One thing that happened.

use std::collections::BTreeMap;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since 1970: when it happened, not when it was told.
    pub at_ns: i64,
    /// The team whose object it is.
    pub team_id: i64,
    /// What kind of object.
    pub noun: Noun,
    /// What happened to it.
    pub action: Action,
    /// Id of a container or image; name of a volume or network.
    pub id: String,
    /// Docker's attributes: `name`, `image`, `exitCode`, `signal`, labels.
    pub attributes: BTreeMap<String, String>,
}

/// Kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noun {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl Noun {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }
}

/// What happened. The words are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Made.
    Create,
    /// Main process started.
    Start,
    /// Main process ended.
    Die,
    /// Stopped as a person asked.
    Stop,
    /// A signal was sent.
    Kill,
    /// Stopped and started.
    Restart,
    /// Frozen.
    Pause,
    /// Thawed.
    Unpause,
    /// Out of memory.
    Oom,
    /// Renamed.
    Rename,
    /// Limits or policy changed.
    Update,
    /// Container or image removed.
    Destroy,
    /// A client attached.
    Attach,
    /// A client let go by the detach keys.
    Detach,
    /// The terminal's size changed.
    Resize,
    /// An exec was made.
    ExecCreate,
    /// An exec started.
    ExecStart,
    /// An exec ended.
    ExecDie,
    /// A probe says otherwise than before; the attribute `health` says how.
    HealthStatus,
    /// `top` was asked.
    Top,
    /// Image came from a registry.
    Pull,
    /// Image went to a registry.
    Push,
    /// Image loaded from an archive.
    Load,
    /// An image was made of a container.
    Commit,
    /// All of a container's files were copied out.
    Export,
    /// Files were copied out of a container.
    ArchivePath,
    /// Files were copied into a container.
    ExtractToDir,
    /// Image made of a tar.
    Import,
    /// Image given out as an archive.
    Save,
    /// Image got a reference.
    Tag,
    /// Image lost a reference.
    Untag,
    /// Image removed.
    Delete,
    /// Unused objects were removed.
    Prune,
    /// Volume mounted for a container.
    Mount,
    /// Volume let go by a container.
    Unmount,
    /// Container joined a network.
    Connect,
    /// Container left a network.
    Disconnect,
}

impl Action {
    /// Whether something is other than before for those who were not part of it.
    pub fn changes_something(self) -> bool {
        use Action::{
            ArchivePath, Attach, Connect, Detach, Disconnect, ExecCreate, ExecDie, ExecStart, Export, Mount, Push,
            Resize, Save, Top, Unmount,
        };
        // What goes with each start and each end says nothing beside these.
        let of_a_run = matches!(self, Connect | Disconnect | Mount | Unmount);
        !of_a_run
            && !matches!(
                self,
                Attach | Detach | ExecCreate | ExecStart | ExecDie | Export | ArchivePath | Push | Resize | Save | Top
            )
    }

    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Die => "die",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Oom => "oom",
            Self::Rename => "rename",
            Self::Update => "update",
            Self::Destroy => "destroy",
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Resize => "resize",
            Self::ExecCreate => "exec_create",
            Self::ExecStart => "exec_start",
            Self::ExecDie => "exec_die",
            Self::HealthStatus => "health_status",
            Self::Top => "top",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Load => "load",
            Self::Commit => "commit",
            Self::Export => "export",
            Self::ArchivePath => "archive-path",
            Self::ExtractToDir => "extract-to-dir",
            Self::Import => "import",
            Self::Save => "save",
            Self::Tag => "tag",
            Self::Untag => "untag",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Mount => "mount",
            Self::Unmount => "unmount",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
        }
    }
}
