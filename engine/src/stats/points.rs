//! The last points of one chart in half their bytes: they are held for every running container.

use std::collections::VecDeque;

use super::Point;

/// Points kept: ten minutes in steps of ten seconds.
const POINTS: usize = 60;
const SECOND_NS: i64 = 1_000_000_000;

/// The last points of one chart, oldest first.
#[derive(Debug, Default)]
pub(super) struct Points(VecDeque<Packed>);

/// A point as a chart can show it: to the second, in KiB, with seven digits.
#[derive(Debug, Clone, Copy)]
struct Packed {
    /// Seconds since 1970, until 2106.
    at: u32,
    memory_kib: u32,
    cpu_percent: f32,
    received_per_second: f32,
    sent_per_second: f32,
    pids: u32,
}

impl Points {
    /// Adds one, and forgets the oldest of too many.
    pub(super) fn add(&mut self, point: &Point) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(Packed::from(point));
    }

    /// All, oldest first.
    pub(super) fn all(&self) -> Vec<Point> {
        self.0.iter().map(Point::from).collect()
    }
}

impl From<&Point> for Packed {
    fn from(point: &Point) -> Self {
        Self {
            at: u32::try_from(point.at_ns / SECOND_NS).unwrap_or(u32::MAX),
            memory_kib: u32::try_from(point.memory_bytes >> 10).unwrap_or(u32::MAX),
            cpu_percent: point.cpu_percent as f32,
            received_per_second: point.received_per_second as f32,
            sent_per_second: point.sent_per_second as f32,
            pids: u32::try_from(point.pids).unwrap_or(u32::MAX),
        }
    }
}

impl From<&Packed> for Point {
    fn from(packed: &Packed) -> Self {
        Self {
            at_ns: i64::from(packed.at) * SECOND_NS,
            cpu_percent: packed.cpu_percent.into(),
            memory_bytes: u64::from(packed.memory_kib) << 10,
            received_per_second: packed.received_per_second.into(),
            sent_per_second: packed.sent_per_second.into(),
            pids: packed.pids.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_minutes_stay_and_read_as_they_were() {
        let mut points = Points::default();
        let point = |turn: u32| Point {
            at_ns: (1_800_000_000 + i64::from(turn) * 10) * SECOND_NS,
            cpu_percent: f64::from(turn) * 0.5,
            memory_bytes: (3 << 40) + (u64::from(turn) << 10),
            received_per_second: 1e9,
            sent_per_second: 0.0,
            pids: 20_000,
        };
        (0..70).for_each(|turn| points.add(&point(turn)));
        assert_eq!(points.all(), (10..70).map(point).collect::<Vec<_>>());
    }
}
