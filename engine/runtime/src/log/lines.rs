//! Lines out of frames: parts of a line are joined over frames, each stream by itself.

use super::format::{Frame, Stream};

/// A line that grows longer is given out in pieces.
const LONGEST: usize = 1 << 20;

/// One line, or a piece of a very long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'data> {
    /// When its first byte was read, nanoseconds since 1970.
    pub time_ns: i64,
    /// Where it came from.
    pub stream: Stream,
    /// Its bytes, with the newline if it has one.
    pub text: &'data [u8],
    /// It is the beginning of a line, not a further piece of one.
    pub begins: bool,
}

/// Splits frames into lines.
#[derive(Debug, Default)]
pub struct Lines {
    pending: [Pending; 3],
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    time_ns: i64,
    /// Pieces of this line were given out already.
    continued: bool,
}

impl Lines {
    /// Gives out the lines that end in this frame.
    pub fn split(&mut self, frame: Frame<'_>, mut give: impl FnMut(Line<'_>)) {
        let stream = frame.stream;
        let pending = &mut self.pending[usize::from(stream.number())];
        let mut rest = frame.data;
        while let Some(newline) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(newline + 1);
            if pending.is_clean() {
                give(Line { time_ns: frame.time_ns, stream, text: line, begins: true });
            } else {
                pending.bytes.extend_from_slice(line);
                pending.give(stream, &mut give);
            }
            *pending = Pending::reuse(std::mem::take(&mut pending.bytes));
            rest = after;
        }
        if rest.is_empty() {
            return;
        }
        if pending.is_clean() {
            pending.time_ns = frame.time_ns;
        }
        pending.bytes.extend_from_slice(rest);
        if pending.bytes.len() >= LONGEST {
            pending.give(stream, &mut give);
            pending.bytes.clear();
            pending.continued = true;
        }
    }

    /// Gives out what never got its newline.
    pub fn finish(&mut self, mut give: impl FnMut(Line<'_>)) {
        for stream in [Stream::Note, Stream::Stdout, Stream::Stderr] {
            let pending = &mut self.pending[usize::from(stream.number())];
            if !pending.bytes.is_empty() {
                pending.give(stream, &mut give);
            }
            *pending = Pending::default();
        }
    }
}

impl Pending {
    fn is_clean(&self) -> bool {
        self.bytes.is_empty() && !self.continued
    }

    fn reuse(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    fn give(&self, stream: Stream, give: &mut impl FnMut(Line<'_>)) {
        give(Line { time_ns: self.time_ns, stream, text: &self.bytes, begins: !self.continued });
    }
}
