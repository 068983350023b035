//! What containers use.

mod sample;

pub use sample::{NetworkCounters, Point, Sample, SampleStream, Stats};
