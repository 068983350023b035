//! What a killed writer, or a machine that lost its power, left behind.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{Dir, Mode, OFlags};

use super::format::{
    ENTRY, Entry, HEAD, HEADER, Head, Header, TRAILER, decode_trailer, index_name, parse_segment_name, segment_name,
};

/// Where a writer goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recovered {
    pub(super) segment_start: u64,
    pub(super) committed: u64,
    /// Bytes were being taken from a terminal.
    pub(super) reading: bool,
}

/// Starts of all segments, oldest first.
pub(super) fn list_segments(folder: BorrowedFd<'_>) -> io::Result<Vec<u64>> {
    let mut starts = Vec::new();
    for entry in Dir::read_from(folder)? {
        starts.extend(parse_segment_name(entry?.file_name().to_bytes()));
    }
    starts.sort_unstable();
    Ok(starts)
}

/// Reads `head`; `None` when it says nothing.
pub(super) fn read_head(head: &File) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD];
    for _ in 0..100 {
        match head.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        if let Some(found) = Head::decode(&bytes) {
            return Ok(Some(found));
        }
        // Read while it was being written.
        std::thread::yield_now();
    }
    Ok(None)
}

/// Finds the end of the log, mending its last frame.
pub(super) fn recover(folder: BorrowedFd<'_>, head: &File) -> io::Result<Recovered> {
    let said = read_head(head)?;
    let Some(start) = list_segments(folder)?.last().copied() else {
        // Positions stay monotone even when somebody removed the segments.
        let committed = said.map_or(0, |head| head.committed);
        return Ok(Recovered { segment_start: committed, committed, reading: false });
    };
    let segment: File = rustix::fs::openat(
        folder,
        segment_name(start),
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?
    .into();
    let size = segment.metadata()?.len();
    let trusted = said
        .map(|head| head.committed)
        .filter(|committed| *committed >= start && *committed - start <= size)
        .filter(|committed| ends_a_frame(&segment, *committed - start));
    let from = match trusted {
        Some(committed) => committed - start,
        None => last_indexed(folder, start, size)?,
    };
    let end = walk(&segment, from, size)?;
    let reading = said.is_some_and(|head| head.reading);
    Ok(Recovered { segment_start: start, committed: start + end, reading })
}

/// Whether a whole frame ends at this place of the segment.
fn ends_a_frame(segment: &File, end: u64) -> bool {
    if end == 0 {
        return true;
    }
    let mut trailer = [0; TRAILER];
    let Some(place) = end.checked_sub(TRAILER as u64) else { return false };
    if segment.read_exact_at(&mut trailer, place).is_err() {
        return false;
    }
    let Some(length) = decode_trailer(&trailer) else { return false };
    let mut header = [0; HEADER];
    let Some(place) = place.checked_sub(u64::from(length) + HEADER as u64) else { return false };
    segment.read_exact_at(&mut header, place).is_ok()
        && Header::decode(&header).is_some_and(|header| header.length == length)
}

/// The last place within the segment that its index names, to walk on from; else its beginning.
fn last_indexed(folder: BorrowedFd<'_>, start: u64, size: u64) -> io::Result<u64> {
    let entries = read_index(folder, start)?;
    let mut inside = entries.iter().rev().map(|entry| entry.position.wrapping_sub(start));
    Ok(inside.find(|place| *place < size).unwrap_or(0))
}

/// All entries of a segment's index.
pub(super) fn read_index(folder: BorrowedFd<'_>, start: u64) -> io::Result<Vec<Entry>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file: File = match rustix::fs::openat(folder, index_name(start), flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut &file, &mut bytes)?;
    Ok(bytes.chunks_exact(ENTRY).filter_map(Entry::decode).collect())
}

/// Goes over whole frames from `place` on. A last frame that was cut keeps the data that arrived.
fn walk(segment: &File, mut place: u64, size: u64) -> io::Result<u64> {
    let mut bytes = [0; HEADER];
    while size - place > HEADER as u64 {
        segment.read_exact_at(&mut bytes, place)?;
        let Some(header) = Header::decode(&bytes) else { break };
        let data_end = place + HEADER as u64 + u64::from(header.length);
        let mut trailer = [0; TRAILER];
        if data_end + TRAILER as u64 <= size {
            segment.read_exact_at(&mut trailer, data_end)?;
            if decode_trailer(&trailer) == Some(header.length) {
                place = data_end + TRAILER as u64;
                continue;
            }
        }
        let arrived = size.min(data_end) - place - HEADER as u64;
        let length = u32::try_from(arrived).unwrap_or(u32::MAX);
        segment.write_all_at(&Header { length, ..header }.encode(), place)?;
        segment.write_all_at(&length.to_le_bytes(), place + HEADER as u64 + arrived)?;
        return Ok(place + HEADER as u64 + arrived + TRAILER as u64);
    }
    Ok(place)
}
