//! Bytes on disk; no files are opened here. docs/formats/log.md says the same in words.

use std::fmt::Write as _;

/// The folder in a container's folder.
pub const LOG_FOLDER: &str = "log";
/// The file in it that says how much is committed; a follower watches it.
pub const HEAD_FILE: &str = "head";
/// Most bytes of data in one frame. A reader's buffer holds at least one whole frame.
pub const MOST_DATA: usize = 1 << 20;

/// Bytes before a frame's data.
pub(super) const HEADER: usize = 16;
/// Bytes after it.
pub(super) const TRAILER: usize = 4;
/// Bytes of `head`.
pub(super) const HEAD: usize = 32;
/// Bytes of an index entry.
pub(super) const ENTRY: usize = 24;
/// A segment has an index entry for the first frame after each so many bytes.
pub(super) const INDEX_EVERY: u64 = 256 << 10;

const HEAD_MAGIC: [u8; 8] = *b"spnlog1\n";
const FRAME_MARK: u8 = 0xB7;
const ENTRY_MARK: u64 = 0x7361_6d70_616e_6c67;

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Not the container's: a sentence of ours about the log itself ("output was lost").
    Note,
    /// Standard output, or all output of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// 0, 1 or 2: its number on disk and in Docker's stream framing.
    pub fn number(self) -> u8 {
        match self {
            Self::Note => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Note, Self::Stdout, Self::Stderr].into_iter().find(|stream| stream.number() == number)
    }
}

/// One chunk as it was read from the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'data> {
    /// Where the frame begins, counted from the beginning of the whole log.
    pub position: u64,
    /// When it was read, nanoseconds since 1970.
    pub time_ns: i64,
    /// Where it came from.
    pub stream: Stream,
    /// Its bytes.
    pub data: &'data [u8],
}

/// What stands before a frame's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) time_ns: i64,
    pub(super) length: u32,
    pub(super) stream: Stream,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12] = self.stream.number();
        bytes[13] = FRAME_MARK;
        let check = check(&bytes[..14]);
        bytes[14..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// `None` when this is no header.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let header = Self {
            time_ns: i64::from_le_bytes(bytes[..8].try_into().ok()?),
            length: u32::from_le_bytes(bytes[8..12].try_into().ok()?),
            stream: Stream::from_number(bytes[12])?,
        };
        (header.encode() == *bytes && header.length as usize <= MOST_DATA).then_some(header)
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(self) -> u64 {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of a frame with so much data.
pub(super) fn frame_bytes(data: usize) -> u64 {
    (HEADER + data + TRAILER) as u64
}

/// Reads a length that stands after a frame's data.
pub(super) fn decode_trailer(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..TRAILER)?.try_into().ok()?)).filter(|length| *length as usize <= MOST_DATA)
}

/// The frame at the beginning of `bytes`, which lie at `position` of the log; `None` when it is not whole.
pub(super) fn decode_frame(bytes: &[u8], position: u64) -> Option<Frame<'_>> {
    let header = Header::decode(bytes)?;
    let end = HEADER + header.length as usize;
    let data = bytes.get(HEADER..end)?;
    (decode_trailer(bytes.get(end..)?)? == header.length).then_some(Frame {
        position,
        time_ns: header.time_ns,
        stream: header.stream,
        data,
    })
}

/// The content of `head`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the whole log that may be read.
    pub(super) committed: u64,
    /// Something is being taken from a terminal and is nowhere else.
    pub(super) reading: bool,
}

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&HEAD_MAGIC);
        bytes[8..16].copy_from_slice(&self.committed.to_le_bytes());
        bytes[16..24].copy_from_slice(&(!self.committed).to_le_bytes());
        bytes[24] = u8::from(self.reading);
        bytes
    }

    /// `None` when it was read while it was being written, or is no head.
    pub(super) fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let committed = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
        let complement = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
        (bytes[..8] == HEAD_MAGIC && committed == !complement).then_some(Self { committed, reading: bytes[24] != 0 })
    }
}

/// One entry of a segment's time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time_ns: i64,
    pub(super) position: u64,
}

impl Entry {
    pub(super) fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.to_le_bytes());
        bytes[16..].copy_from_slice(&self.mark().to_le_bytes());
        bytes
    }

    fn mark(self) -> u64 {
        self.time_ns.cast_unsigned() ^ self.position.rotate_left(32) ^ ENTRY_MARK
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let entry = Self {
            time_ns: i64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            position: u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
        };
        (bytes.get(16..ENTRY)? == entry.mark().to_le_bytes()).then_some(entry)
    }
}

/// Name of the segment whose first byte is at `start` of the log.
pub(super) fn segment_name(start: u64) -> String {
    name(start, ".log")
}

/// Name of its time index.
pub(super) fn index_name(start: u64) -> String {
    name(start, ".idx")
}

/// The start in a segment's name.
pub(super) fn parse_segment_name(name: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(name).ok()?.strip_suffix(".log")?;
    let start = u64::from_str_radix(digits, 16).ok()?;
    (segment_name(start).as_bytes() == name).then_some(start)
}

fn name(start: u64, ending: &str) -> String {
    let mut name = String::with_capacity(20);
    // Writing to a string cannot fail.
    let _ = write!(name, "{start:016x}{ending}");
    name
}

/// FNV-1a, 32 bits folded to 16: enough to tell a header from text.
fn check(bytes: &[u8]) -> u16 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 16) as u16 ^ (hash & 0xFFFF) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_reads_back_and_a_changed_one_does_not(
            time_ns: i64, length in 0..=MOST_DATA as u32, number in 0..3_u8, place in 0..HEADER, change in 1..=255_u8
        ) {
            let header = Header { time_ns, length, stream: Stream::from_number(number).expect("a stream") };
            let mut bytes = header.encode();
            prop_assert_eq!(Header::decode(&bytes), Some(header));
            bytes[place] ^= change;
            prop_assert_ne!(Header::decode(&bytes), Some(header));
        }

        #[test]
        fn a_head_and_an_entry_read_back(committed: u64, reading: bool, time_ns: i64) {
            let head = Head { committed, reading };
            prop_assert_eq!(Head::decode(&head.encode()), Some(head));
            let entry = Entry { time_ns, position: committed };
            prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }

        #[test]
        fn a_name_reads_back(start: u64) {
            prop_assert_eq!(parse_segment_name(segment_name(start).as_bytes()), Some(start));
            prop_assert_eq!(parse_segment_name(index_name(start).as_bytes()), None);
        }
    }
}
