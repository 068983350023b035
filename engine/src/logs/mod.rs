//! Reading containers' logs: from anywhere, to now or on and on.
//!
//! The format is the runtime's ([`sampan_runtime::log`]) and so are the files' readers; here they are made to wait
//! without a thread each. Reading is done in big steps on the blocking pool, and what was read is given on without a
//! copy. One inotify instance tells all followers of the whole process when there is more.

mod read;
mod watch;

pub use read::{Ended, From, Piece, Pieces, Query, Stream, read};
