//! Where to begin for "since": by the index, not by reading.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::format::{Entry, HEADER, Header};
use super::read::{Position, Reader};
use super::recover::read_index;

impl Reader {
    /// A frame from which all that was written at `time_ns` or later can be read; what is older there is left out by
    /// its own time.
    ///
    /// # Errors
    /// As open(2) and pread(2).
    pub fn since(&mut self, time_ns: i64) -> io::Result<Position> {
        let mut best = None;
        for start in self.segments()? {
            let Some(segment) = self.open_segment(start)? else { continue };
            let first = first_time(&segment.file)?.map(|time_ns| Entry { time_ns, position: start });
            let Some(folder) = self.folder()? else { break };
            let indexed = read_index(folder.as_fd(), start)?;
            for entry in first.into_iter().chain(indexed) {
                // The block before this entry may hold frames as late as this entry's.
                if best.is_some() && entry.time_ns >= time_ns {
                    return Ok(Position::frame(best.unwrap_or(0)));
                }
                best = Some(entry.position);
            }
        }
        Ok(Position::frame(best.unwrap_or(0)))
    }
}

fn first_time(segment: &File) -> io::Result<Option<i64>> {
    let mut header = [0; HEADER];
    match segment.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(Header::decode(&header).map(|header| header.time_ns)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
