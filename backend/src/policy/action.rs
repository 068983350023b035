//! The verbs: as a value for tables and the audit trail, and as a type each for [`super::Granted`].

use super::nouns::NounKind;

mod sealed {
    /// Only the verbs of this file are actions.
    pub trait Sealed {}
}

/// A verb as a type.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// The same verb as a value.
    const VERB: Verb;
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A verb as a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Verb {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Verb {
            /// The word in the audit trail and in sentences.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const VERB: Verb = Verb::$name;
            }
        )+
    };
}

actions! {
    /// Looks at one thing.
    View = "view",
    /// Lists things.
    List = "list",
    /// Makes one.
    Create = "create",
    /// Starts a container or an exec.
    Start = "start",
    /// Stops a container.
    Stop = "stop",
    /// Sends a signal.
    Kill = "kill",
    /// Stops and starts.
    Restart = "restart",
    /// Freezes.
    Pause = "pause",
    /// Thaws.
    Unpause = "unpause",
    /// Gives another name.
    Rename = "rename",
    /// Changes something that exists.
    Update = "update",
    /// Removes one.
    Remove = "remove",
    /// Removes all that is unused.
    Prune = "prune",
    /// Reads a container's output.
    Logs = "read the logs of",
    /// Reads a container's use of resources.
    Stats = "read the statistics of",
    /// Lists a container's processes.
    Top = "list the processes of",
    /// Waits for an end.
    Wait = "wait for",
    /// Joins the streams of a container's main process.
    Attach = "attach to",
    /// Sets the size of a terminal.
    Resize = "resize",
    /// Runs another program in a container.
    Exec = "run a program in",
    /// Reads an archive into the store.
    Load = "load",
    /// Lists what differs from a container's image.
    Changes = "list the changes of",
    /// Copies files out of a container.
    CopyFrom = "copy files from",
    /// Copies files into a container.
    CopyTo = "copy files to",
    /// Copies all of a container's files out.
    Export = "export",
    /// Makes an image of a container.
    Commit = "commit",
    /// Makes an image of a tar.
    Import = "import",
    /// Gives an image out as an archive.
    Save = "save",
    /// Gives an image another reference.
    Tag = "tag",
    /// Follows what happens.
    Watch = "watch",
    /// Reads from a repository, or brings an image from another registry.
    Pull = "pull",
    /// Writes to a repository, or gives an image to another registry.
    Push = "push",
}

/// A verb and what it is done to: a row of the policy, the word of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Act(pub Verb, pub NounKind);
