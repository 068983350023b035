//! `guard`: keeper's parent, which starts another keeper when this one is killed.
//!
//! Root, one thread, no socket of its own, and of all words it only says one. It is the subreaper above keeper: what a
//! killed keeper leaves behind becomes its child, so that no exit status is lost to a stranger on any kernel; each end is
//! told to the keeper of that time. Killed itself it takes nothing along: keeper goes on without it, and a keeper that is
//! killed then is followed by one when `serve` is started again.

mod run;

pub use run::{GuardError, run};
