//! The frame of a tar that is fed piece by piece: entries, their content, its end. Used for layers and for the archives
//! that carry them.

use bytes::Bytes;
use tar_core::SparseEntry;
use tar_core::parse::{Limits, ParseError, ParseEvent, ParsedEntry, Parser};

use super::LayerError;
use super::names::PATH_BYTES;

/// Size of a tar's and of an index's block.
pub const BLOCK: u64 = 512;

/// Who takes the entries.
pub(crate) trait Entries {
    /// One entry whose content begins at `data` in the tar; gives the bytes of content that follow. A sparse file comes
    /// with its map and its logical size.
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<u64, LayerError>;

    /// The next bytes of its content.
    fn content(&mut self, _bytes: Bytes) -> Result<(), LayerError> {
        Ok(())
    }

    /// Its content is complete.
    fn close(&mut self) -> Result<(), LayerError> {
        Ok(())
    }
}

/// Finds entries in a stream.
#[derive(Debug)]
pub(crate) struct Framer {
    parser: Parser,
    /// Header bytes that came and do not suffice yet.
    pending: Vec<u8>,
    /// How many of them it takes.
    wanted: usize,
    /// Bytes of content still to come.
    content: u64,
    /// Bytes of padding behind it.
    padding: u64,
    /// Position in the tar.
    offset: u64,
    ended: bool,
}

impl Default for Framer {
    fn default() -> Self {
        let limits = Limits {
            max_metadata_size: 1 << 20,
            max_path_len: Some(PATH_BYTES as u32 + 1),
            max_pending_entries: 16,
            max_sparse_entries: 10_000,
        };
        let mut parser = Parser::new(limits);
        // Times before 1970 are an error to the parser else; what it passes over is checked by who takes the entries.
        parser.set_ignore_pax_errors(true);
        parser.set_allow_empty_path(true);
        let wanted = BLOCK as usize;
        Self { parser, pending: Vec::new(), wanted, content: 0, padding: 0, offset: 0, ended: false }
    }
}

impl Framer {
    /// The next bytes of the tar.
    ///
    /// # Errors
    /// The first thing that is wrong with it; the framer is of no use afterwards.
    pub fn feed(&mut self, mut bytes: Bytes, entries: &mut impl Entries) -> Result<(), LayerError> {
        while !bytes.is_empty() && !self.ended {
            if self.content > 0 {
                let part = bytes.split_to(within(self.content, &bytes));
                self.content -= part.len() as u64;
                self.offset += part.len() as u64;
                entries.content(part)?;
                if self.content == 0 {
                    entries.close()?;
                }
            } else if self.padding > 0 {
                let part = bytes.split_to(within(self.padding, &bytes)).len() as u64;
                self.padding -= part;
                self.offset += part;
            } else if self.pending.is_empty() && bytes.len() >= self.wanted {
                let used = self.step(&bytes, entries)?;
                drop(bytes.split_to(used));
            } else {
                let part = bytes.split_to(self.wanted.saturating_sub(self.pending.len()).min(bytes.len()));
                self.pending.extend_from_slice(&part);
                if self.pending.len() >= self.wanted {
                    let pending = std::mem::take(&mut self.pending);
                    match self.step(&pending, entries)? {
                        0 => self.pending = pending,
                        used => self.feed(Bytes::from(pending).split_off(used), entries)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The tar is over.
    ///
    /// # Errors
    /// [`LayerError::Truncated`] when it ends within an entry. Missing end marks are forgiven, as others do.
    pub fn finish(&self) -> Result<(), LayerError> {
        let within = self.content + self.padding > 0 || self.pending.iter().any(|byte| *byte != 0);
        match within && !self.ended {
            true => Err(LayerError::Truncated { offset: self.offset + self.pending.len() as u64 }),
            false => Ok(()),
        }
    }

    /// Parses what stands at the beginning of `input`; gives the bytes used, 0 when more are needed.
    fn step(&mut self, input: &[u8], entries: &mut impl Entries) -> Result<usize, LayerError> {
        let event = self.parser.parse(input).map_err(|error| self.refuse(&error))?;
        let (used, content) = match event {
            ParseEvent::NeedData { min_bytes } => {
                self.wanted = min_bytes.max(input.len() + 1);
                return Ok(0);
            }
            ParseEvent::Entry { consumed, entry } => {
                (consumed, Some(entries.entry(&entry, self.offset + consumed as u64, None)?))
            }
            ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                let sparse = Some((sparse_map, real_size));
                (consumed, Some(entries.entry(&entry, self.offset + consumed as u64, sparse)?))
            }
            // Defaults for later entries: nobody's layers use them, and readers disagree about them.
            ParseEvent::GlobalExtensions { consumed, .. } => (consumed, None),
            ParseEvent::End { consumed } => {
                self.ended = true;
                (consumed, None)
            }
        };
        self.wanted = BLOCK as usize;
        self.offset += used as u64;
        if let Some(content) = content {
            self.content = content;
            self.padding = content.wrapping_neg() % BLOCK;
            if content == 0 {
                entries.close()?;
            }
        }
        Ok(used)
    }

    fn refuse(&self, error: &ParseError) -> LayerError {
        let too_large =
            |what: &str, limit: u64| LayerError::TooLarge { what: format!("{what} at byte {}", self.offset), limit };
        match error {
            ParseError::PathTooLong { limit, .. } => too_large("a path", u64::from(*limit)),
            ParseError::MetadataTooLarge { limit, .. } => too_large("headers of one entry", u64::from(*limit)),
            ParseError::TooManySparseEntries { limit, .. } => too_large("pieces of one sparse file", *limit as u64),
            ParseError::TooManyPendingEntries { limit, .. } => too_large("headers of one entry", *limit as u64),
            other => LayerError::Tar { offset: self.offset, reason: other.to_string() },
        }
    }
}

fn within(wanted: u64, bytes: &Bytes) -> usize {
    usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len())
}
