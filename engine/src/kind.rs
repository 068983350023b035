//! What a caller can do about an error: all that a door may look at.

use sampan_runtime::wire::RefusalKind;

/// Kind of an error, the same for every noun; each door maps it once to its own statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// There is no such thing, or the caller may not know that there is.
    NotFound,
    /// The thing is in a state that does not allow it.
    Conflict,
    /// The caller may see it, but not do this.
    Forbidden,
    /// Not offered by this release, this kernel or this host.
    Unsupported,
    /// No space, no memory, no ids, over a quota.
    Exhausted,
    /// Another server did not do its part.
    Upstream,
    /// Something of ours failed.
    Internal,
    /// The program to run does not exist in the root: exit status 127.
    CommandNotFound,
    /// The program exists but cannot be run: exit status 126.
    CommandNotRunnable,
    /// It already is as asked.
    NotModified,
}

impl From<RefusalKind> for Kind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Invalid => Self::Invalid,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::Conflict => Self::Conflict,
            RefusalKind::CommandNotFound => Self::CommandNotFound,
            RefusalKind::CommandNotRunnable => Self::CommandNotRunnable,
            RefusalKind::Unsupported => Self::Unsupported,
            RefusalKind::Exhausted => Self::Exhausted,
            RefusalKind::Internal => Self::Internal,
        }
    }
}
