//! The words of `guard` to the keeper that it started, one way, over the connection that keeper was born with.

use serde::{Deserialize, Serialize};

/// A process that a killed keeper left behind ended. Told before it is reaped: until then its entry in /proc names
/// guard as its parent, from then on this message is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanEnded {
    /// Host pid.
    pub pid: i32,
    /// Raw wait status (waitpid(2)).
    pub status: i32,
    /// When it was seen, nanoseconds since 1970.
    pub at_ns: i64,
}
