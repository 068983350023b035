//! The last lines of a log, from its end backwards.

use std::io;

use super::format::{HEADER, Header, Stream, TRAILER, decode_trailer};
use super::read::{Position, Reader, Segment, read_at};

/// Bytes looked at in one go.
const WINDOW: usize = 64 << 10;
/// How far back the beginning of a line is looked for once all lines are counted.
const LONGEST_LINE: u64 = 4 << 20;

/// Which streams are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Standard output (or a terminal).
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Streams {
    /// Both.
    pub const BOTH: Self = Self { stdout: true, stderr: true };

    /// Whether this one is wanted. Notes are not lines of the container.
    pub fn has(self, stream: Stream) -> bool {
        match stream {
            Stream::Note => false,
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// Counts lines from the end. Per stream: where its wanted data begins, and whether the beginning of a counted line is
/// still looked for.
#[derive(Debug)]
struct Count {
    wanted: usize,
    found: usize,
    streams: [StreamCount; 2],
    finished_at: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct StreamCount {
    from: u64,
    frame: u64,
    open: bool,
    seen: bool,
}

impl Reader {
    /// Where the last `lines` lines of `streams` begin, looking back from `end` (a committed length). A last line
    /// without its newline counts as a line.
    ///
    /// # Errors
    /// As pread(2); `InvalidData` for a log that is no log.
    pub fn tail(&mut self, lines: usize, streams: Streams, end: u64) -> io::Result<Position> {
        let nothing = StreamCount { from: end, frame: end, open: false, seen: false };
        let mut count = Count { wanted: lines, found: 0, streams: [nothing; 2], finished_at: None };
        let segments = self.segments()?;
        let mut at = end;
        for start in segments.into_iter().rev().filter(|start| *start < end) {
            let Some(segment) = self.open_segment(start)? else { break };
            while at > start && !count.is_done(at) {
                at = back_one_window(&segment, at, streams, &mut count)?;
            }
            if count.is_done(at) {
                break;
            }
        }
        Ok(count.position(at, end))
    }
}

impl Count {
    fn is_done(&self, at: u64) -> bool {
        let open = self.streams.iter().any(|stream| stream.open);
        self.found >= self.wanted
            && (!open || self.finished_at.is_some_and(|finished| finished.saturating_sub(at) > LONGEST_LINE))
    }

    /// Goes backwards over a piece of one frame's data, which lies at `position` of the log.
    fn back_over(&mut self, stream: usize, frame: u64, position: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let mut end = data.len();
        if !self.streams[stream].seen {
            self.streams[stream].seen = true;
            if data[end - 1] != b'\n' && self.found < self.wanted {
                self.found += 1;
                self.streams[stream].open = true;
            }
        }
        while let Some(newline) = data[..end].iter().rposition(|byte| *byte == b'\n') {
            if self.streams[stream].open {
                let after = position + newline as u64 + 1;
                self.streams[stream] = StreamCount { from: after, frame, open: false, seen: true };
            }
            if self.found >= self.wanted {
                self.finished_at.get_or_insert(position);
                return;
            }
            self.found += 1;
            self.streams[stream].open = true;
            end = newline;
        }
        if self.streams[stream].open {
            self.streams[stream].from = position;
            self.streams[stream].frame = frame;
        }
        if self.found >= self.wanted {
            self.finished_at.get_or_insert(position);
        }
    }

    fn position(self, at: u64, end: u64) -> Position {
        let begin = |stream: StreamCount| {
            if stream.open { (at.min(stream.frame), stream.from) } else { (stream.frame, stream.from) }
        };
        let [stdout, stderr] = self.streams.map(begin);
        Position { at: stdout.0.min(stderr.0).min(end), from: [stdout.1, stderr.1] }
    }
}

/// Goes back over the frames that lie whole in the window before `at`, or over one that is larger. Answers where the
/// earliest of them begins.
fn back_one_window(segment: &Segment, at: u64, streams: Streams, count: &mut Count) -> io::Result<u64> {
    let length = WINDOW.min(usize::try_from(at - segment.start).unwrap_or(WINDOW));
    let window_start = at - length as u64;
    let mut window = vec![0; length];
    if read_at(&segment.file, &mut window, window_start - segment.start)? < length {
        return Err(no_log(at));
    }
    let mut end = length;
    while end >= HEADER + TRAILER && !count.is_done(window_start + end as u64) {
        let data_length = decode_trailer(&window[end - TRAILER..end]).ok_or_else(|| no_log(at))? as usize;
        let Some(begin) = end.checked_sub(HEADER + data_length + TRAILER) else { break };
        let header = Header::decode(&window[begin..]).filter(|header| header.length as usize == data_length);
        let stream = header.ok_or_else(|| no_log(at))?.stream;
        if streams.has(stream) {
            let data = begin + HEADER;
            let position = window_start + data as u64;
            let frame = window_start + begin as u64;
            count.back_over(place_of(stream), frame, position, &window[data..end - TRAILER]);
        }
        end = begin;
    }
    if end < length || count.is_done(at) {
        return Ok(window_start + end as u64);
    }
    back_over_large_frame(segment, at, &window, streams, count)
}

/// The frame that ends at `at` is larger than the window: its data is read piece by piece, as far as needed.
fn back_over_large_frame(
    segment: &Segment,
    at: u64,
    window: &[u8],
    streams: Streams,
    count: &mut Count,
) -> io::Result<u64> {
    let data_length = u64::from(decode_trailer(&window[window.len() - TRAILER..]).ok_or_else(|| no_log(at))?);
    let data_end = at - TRAILER as u64;
    let data_start = data_end.checked_sub(data_length).filter(|start| *start >= segment.start + HEADER as u64);
    let data_start = data_start.ok_or_else(|| no_log(at))?;
    let frame = data_start - HEADER as u64;
    let mut bytes = [0; HEADER];
    read_at(&segment.file, &mut bytes, frame - segment.start)?;
    let header = Header::decode(&bytes).filter(|header| u64::from(header.length) == data_length);
    let stream = header.ok_or_else(|| no_log(at))?.stream;
    if !streams.has(stream) {
        return Ok(frame);
    }
    let mut end = data_end;
    let mut piece = vec![0; WINDOW];
    while end > data_start && !count.is_done(end) {
        let begin = end.saturating_sub(WINDOW as u64).max(data_start);
        let piece = &mut piece[..usize::try_from(end - begin).unwrap_or(0)];
        if read_at(&segment.file, piece, begin - segment.start)? < piece.len() {
            return Err(no_log(at));
        }
        count.back_over(place_of(stream), frame, begin, piece);
        end = begin;
    }
    Ok(frame)
}

fn place_of(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

fn no_log(at: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no frame ends at {at} of the log"))
}
