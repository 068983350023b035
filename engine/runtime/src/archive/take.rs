//! Reads a tar that comes through a pipe.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use tar_core::SparseEntry;
use tar_core::parse::{Limits, ParseEvent, ParsedEntry, Parser};

use super::PATH_BYTES;
use crate::failure::{Doing, refusal, refused_by};
use crate::wire::{Refusal, RefusalKind};

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Most bytes of the headers of one entry.
const HEADER_BYTES: usize = 2 << 20;
/// Size of a tar's block.
const BLOCK: u64 = 512;

/// Who takes the entries.
pub(super) trait Entries {
    /// One entry; its content, where it has one, is read from `content` or passed over.
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        sparse: Option<(Vec<SparseEntry>, u64)>,
        content: &mut Content<'_>,
    ) -> Result<(), Refusal>;
}

/// A stream with what was read of it too early.
struct Input {
    stream: File,
    waiting: Vec<u8>,
    begin: usize,
}

impl Input {
    /// Makes at least `wanted` bytes wait, unless the stream ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.begin > 0 && self.waiting.len() - self.begin < wanted {
            self.waiting.drain(..self.begin);
            self.begin = 0;
        }
        while self.waiting.len() - self.begin < wanted {
            let filled = self.waiting.len();
            self.waiting.resize(filled + PIECE, 0);
            let read = read(&mut self.stream, &mut self.waiting[filled..]);
            self.waiting.truncate(filled + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    fn at_hand(&self) -> &[u8] {
        &self.waiting[self.begin..]
    }
}

fn read(stream: &mut File, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// The bytes of one entry.
pub(super) struct Content<'a> {
    input: &'a mut Input,
    left: u64,
}

impl Content<'_> {
    /// Writes the next `length` bytes to a place in a file.
    pub fn copy(&mut self, to: &File, mut at: u64, length: u64) -> io::Result<()> {
        if length > self.left {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file is wrong"));
        }
        self.left -= length;
        let mut left = length;
        while left > 0 {
            let part = self.next(left)?;
            to.write_all_at(&self.input.waiting[self.input.begin..][..part], at)?;
            self.input.begin += part;
            at += part as u64;
            left -= part as u64;
        }
        Ok(())
    }

    /// How many bytes of the next `wanted` are at hand; some.
    fn next(&mut self, wanted: u64) -> io::Result<usize> {
        if self.input.at_hand().is_empty() {
            self.input.fill(1)?;
        }
        match self.input.at_hand().len() {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file")),
            length => Ok(usize::try_from(wanted).unwrap_or(length).min(length)),
        }
    }

    /// Passes over the rest and the padding of `size` bytes.
    fn finish(mut self, size: u64) -> io::Result<()> {
        let mut left = self.left + (size.next_multiple_of(BLOCK) - size);
        while left > 0 {
            let part = self.next(left)?;
            self.input.begin += part;
            left -= part as u64;
        }
        Ok(())
    }
}

/// Reads a whole tar.
pub(super) fn take(stream: File, entries: &mut impl Entries) -> Result<(), Refusal> {
    let mut parser = Parser::new(Limits {
        max_metadata_size: 1 << 20,
        max_path_len: Some(PATH_BYTES as u32 + 1),
        max_pending_entries: 16,
        max_sparse_entries: 10_000,
    });
    parser.set_ignore_pax_errors(true);
    parser.set_allow_empty_path(true);
    let mut input = Input { stream, waiting: Vec::new(), begin: 0 };
    let mut wanted = BLOCK as usize;
    let doing = || "read the archive".to_owned();
    loop {
        input.fill(wanted).doing(doing)?;
        // A copy, since entries borrow their names from it while their content is read.
        let header = input.at_hand()[..wanted.min(input.at_hand().len())].to_vec();
        let event = parser.parse(&header).map_err(|error| broken(error.to_string()))?;
        let (entry, sparse, consumed) = match event {
            ParseEvent::NeedData { min_bytes } => {
                if header.len() < wanted {
                    // Missing end marks are forgiven, as others do.
                    let end = header.iter().all(|&byte| byte == 0);
                    return if end { Ok(()) } else { Err(broken("it ends within an entry".to_owned())) };
                }
                wanted = min_bytes.max(header.len() + 1);
                if wanted > HEADER_BYTES {
                    return Err(broken("the headers of an entry are too large".to_owned()));
                }
                continue;
            }
            ParseEvent::Entry { consumed, entry } => (entry, None, consumed),
            ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                (entry, Some((sparse_map, real_size)), consumed)
            }
            ParseEvent::GlobalExtensions { consumed, .. } => {
                input.begin += consumed;
                wanted = BLOCK as usize;
                continue;
            }
            ParseEvent::End { .. } => return Ok(()),
        };
        input.begin += consumed;
        wanted = BLOCK as usize;
        let size = if has_content(&entry) { entry.size } else { 0 };
        let mut content = Content { input: &mut input, left: size };
        entries.entry(&entry, sparse, &mut content)?;
        content.finish(size).map_err(|error| match error.raw_os_error() {
            None => broken(error.to_string()),
            Some(_) => refused_by(error, doing),
        })?;
    }
}

/// Only files have any, whatever the header says, as in Go's tar.
fn has_content(entry: &ParsedEntry<'_>) -> bool {
    use tar_core::EntryType::{Continuous, GnuSparse, Regular};
    matches!(entry.entry_type, Regular | Continuous | GnuSparse)
}

pub(super) fn broken(why: String) -> Refusal {
    refusal(RefusalKind::Invalid, format!("the archive is broken: {why}"))
}
