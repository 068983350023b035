//! How long a client of the `--http` address may take for what.

use std::time::Duration;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A client that takes no frame for so long is let go.
    pub slow: Duration,
    /// How often a quiet client is asked whether it is there.
    pub ping: Duration,
    /// A client that says nothing at all for so long is gone.
    pub silent: Duration,
    /// How often it is asked whether the caller still may: a websocket outlives a revocation by no more.
    pub allowed: Duration,
    /// A form or JSON comes whole within so long.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { slow: seconds(10), ping: seconds(20), silent: seconds(65), allowed: seconds(5), body: seconds(30) }
    }
}
