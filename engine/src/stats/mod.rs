//! What containers use.

mod points;
mod sample;
mod watch;

pub use sample::{NetworkCounters, Point, Sample};
pub(crate) use watch::{History, chart_all};
pub use watch::{SampleStream, Stats};
