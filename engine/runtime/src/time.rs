//! The one clock of what is written down: wall time in nanoseconds since 1970.

use std::time::SystemTime;

/// Nanoseconds since 1970; before 1970 and after 2262 the nearest that can be told.
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}
