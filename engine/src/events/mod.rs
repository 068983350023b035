//! What happens, told upwards: one broadcast and a bounded memory of the last ones.

mod bus;
mod event;

pub use bus::{EventQuery, EventStream, Events};
pub use event::{Action, Event, Noun};
