//! Reading a log while it is written.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::format::{
    Frame, HEAD_FILE, HEADER, Header, LOG_FOLDER, MOST_DATA, Stream, TRAILER, decode_frame, segment_name,
};
use super::recover::{list_segments, read_head};

/// A place in a log. Positions count bytes of the whole log since its first day; they only grow, also over rotation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The frame to read next begins here.
    pub at: u64,
    /// Data of stdout and of stderr that lies before these positions is left out.
    pub(super) from: [u64; 2],
}

impl Position {
    /// The frame that begins at `at`, whole.
    pub fn frame(at: u64) -> Self {
        Self { at, from: [0; 2] }
    }

    /// The part of a frame's data that is wanted.
    fn wanted<'data>(&self, frame: Frame<'data>) -> Frame<'data> {
        let from = match frame.stream {
            Stream::Note => return frame,
            Stream::Stdout => self.from[0],
            Stream::Stderr => self.from[1],
        };
        let skipped = usize::try_from(from.saturating_sub(frame.position + HEADER as u64)).unwrap_or(usize::MAX);
        Frame { data: frame.data.get(skipped..).unwrap_or_default(), ..frame }
    }
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) file: File,
}

/// Reads one log; follows it over rotations.
#[derive(Debug)]
pub struct Reader {
    container: OwnedFd,
    /// The log's folder, once there is one.
    folder: Option<OwnedFd>,
    head: Option<File>,
    segment: Option<Segment>,
}

/// What one step read: whole frames, and where they came from.
#[derive(Debug, Default)]
pub struct Step {
    bytes: Vec<u8>,
    start: u64,
    from: Position,
    /// Bytes that were asked for but had been rotated away.
    pub skipped_bytes: u64,
}

impl Step {
    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The frames; data that lies before the position's start within a frame is left out.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let frame = decode_frame(&self.bytes[place..], self.start + place as u64)?;
            place += HEADER + frame.data.len() + TRAILER;
            Some(self.from.wanted(frame))
        })
    }
}

/// One frame of a step, by the place of its data in the step's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When it was read, nanoseconds since 1970.
    pub time_ns: i64,
    /// Where it came from.
    pub stream: Stream,
    /// Its data.
    pub data: std::ops::Range<usize>,
}

impl Step {
    /// The bytes as they were read, and where in them the data of each frame lies: to be given on without a copy.
    pub fn into_pieces(self) -> (Vec<u8>, Vec<Piece>) {
        let place = |data: &[u8]| data.as_ptr().addr() - self.bytes.as_ptr().addr();
        let pieces = self
            .frames()
            .filter(|frame| !frame.data.is_empty())
            .map(|frame| {
                let start = place(frame.data);
                Piece { time_ns: frame.time_ns, stream: frame.stream, data: start..start + frame.data.len() }
            })
            .collect();
        (self.bytes, pieces)
    }
}

impl Reader {
    /// Opens the log of the container whose folder this is. There need not be one yet.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(container: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::at(rustix::fs::open(container, flags, Mode::empty())?))
    }

    /// The same by a descriptor of the container's folder.
    pub fn at(container: OwnedFd) -> Self {
        Self { container, folder: None, head: None, segment: None }
    }

    /// Bytes that may be read now; 0 while there is no log.
    ///
    /// # Errors
    /// As open(2) and pread(2).
    pub fn committed(&mut self) -> io::Result<u64> {
        if self.head.is_none() {
            self.head = self.open_head()?;
        }
        let Some(head) = &self.head else { return Ok(0) };
        Ok(read_head(head)?.map_or(0, |head| head.committed))
    }

    /// Reads whole frames from `position` on, about `bytes` of them but at least one, not beyond `end` (a committed
    /// length), and moves `position` behind them. An empty step: nothing more up to `end`.
    ///
    /// # Errors
    /// As pread(2); `InvalidData` for a log that is no log.
    pub fn step(&mut self, position: &mut Position, end: u64, bytes: usize) -> io::Result<Step> {
        let mut step = Step::default();
        while position.at < end {
            let asked = position.at;
            if !self.seek(&mut position.at)? {
                break;
            }
            step.skipped_bytes += position.at - asked;
            let Some(segment) = &self.segment else { break };
            let most = usize::try_from(end.saturating_sub(position.at)).unwrap_or(usize::MAX);
            let read = read_frames(segment, position.at, most, bytes)?;
            if read.is_empty() {
                // The segment ends here, the next begins here.
                if !self.next_segment(position)? {
                    break;
                }
                continue;
            }
            step.start = position.at;
            step.from = *position;
            position.at += read.len() as u64;
            step.bytes = read;
            break;
        }
        Ok(step)
    }

    /// Makes the segment that holds `at` the current one; `at` moves up when that was rotated away. `false`: no log.
    pub(super) fn seek(&mut self, at: &mut u64) -> io::Result<bool> {
        if let Some(segment) = &self.segment
            && *at >= segment.start
            && *at < segment.start + segment.file.metadata()?.len()
        {
            return Ok(true);
        }
        // A segment may be rotated away between the listing and the opening.
        for _ in 0..10 {
            let segments = self.segments()?;
            let Some(start) = segments.iter().rev().find(|start| **start <= *at).or(segments.first()) else {
                return Ok(false);
            };
            if let Some(segment) = self.open_segment(*start)? {
                *at = (*at).max(segment.start);
                self.segment = Some(segment);
                return Ok(true);
            }
        }
        Err(io::Error::other("the log is rotated faster than it can be read"))
    }

    fn next_segment(&mut self, position: &mut Position) -> io::Result<bool> {
        let current = self.segment.as_ref().map(|segment| segment.start);
        let Some(next) = self.segments()?.into_iter().find(|start| Some(*start) > current && *start >= position.at)
        else {
            return Ok(false);
        };
        self.segment = self.open_segment(next)?;
        position.at = position.at.max(next);
        Ok(true)
    }

    /// Starts of all segments, oldest first; none while there is no log.
    pub(super) fn segments(&mut self) -> io::Result<Vec<u64>> {
        match self.folder()? {
            Some(folder) => list_segments(folder.as_fd()),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn open_segment(&mut self, start: u64) -> io::Result<Option<Segment>> {
        let Some(folder) = self.folder()? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(folder, segment_name(start), flags, Mode::empty()) {
            Ok(file) => Ok(Some(Segment { start, file: file.into() })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn folder(&mut self) -> io::Result<Option<&OwnedFd>> {
        if self.folder.is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            self.folder = match rustix::fs::openat(&self.container, LOG_FOLDER, flags, Mode::empty()) {
                Ok(folder) => Some(folder),
                Err(Errno::NOENT) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(self.folder.as_ref())
    }

    fn open_head(&mut self) -> io::Result<Option<File>> {
        let Some(folder) = self.folder()? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(folder, HEAD_FILE, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whole frames from `at` on: at most `most` bytes, about `bytes`, at least one frame if there is one.
fn read_frames(segment: &Segment, at: u64, most: usize, bytes: usize) -> io::Result<Vec<u8>> {
    let place = at - segment.start;
    let wanted = bytes.clamp(HEADER + TRAILER, HEADER + MOST_DATA + TRAILER).min(most);
    let mut buffer = vec![0; wanted];
    let mut length = read_at(&segment.file, &mut buffer, place)?;
    let mut whole = whole_frames(&buffer[..length]);
    if whole == 0 && length >= HEADER {
        // One frame is larger than the step.
        let Some(header) = Header::decode(&buffer) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no frame begins at {at} of the log")));
        };
        buffer.resize(usize::try_from(header.frame_bytes()).unwrap_or(0).min(most), 0);
        length = read_at(&segment.file, &mut buffer, place)?;
        whole = whole_frames(&buffer[..length]);
        if whole == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the frame at {at} of the log is cut")));
        }
    }
    buffer.truncate(whole);
    Ok(buffer)
}

fn whole_frames(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(header) = Header::decode(&bytes[end..]) {
        let next = end + HEADER + header.length as usize + TRAILER;
        if next > bytes.len() {
            break;
        }
        end = next;
    }
    end
}

/// Reads as much as there is.
pub(super) fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], place + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
