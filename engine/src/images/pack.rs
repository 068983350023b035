//! A layer's tar as gzip, on all cores, always the same bytes for the same tar.
//!
//! One gzip member: each piece of the tar is deflated for itself and ends at a byte, so that they follow each other as
//! one stream. Spec: RFC 1951, 1952; the way of pigz with `--independent`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Compress, Compression, Crc, FlushCompress};
use sha2::Digest as _;

use crate::digest::Digest;

/// Bytes of the tar that are deflated together.
const PIECE: usize = 1 << 20;
/// Nearly as small as the usual 6, and twice as fast.
const LEVEL: u32 = 4;
/// No name, no time, made on unix, so that nothing but the tar shows in it.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// A packed tar, in a file without a name.
#[derive(Debug)]
pub(super) struct Packed {
    pub file: File,
    pub size: u64,
    pub digest: Digest,
}

/// Given up when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Packs a tar into a file beneath `folder`.
pub(super) fn gzip(mut tar: impl Read, folder: &Path, stop: &AtomicBool) -> io::Result<Packed> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut out = Out { file: tempfile::tempfile_in(folder)?, hasher: sha2::Sha256::new(), size: 0 };
    out.write(&HEAD)?;
    let mut whole = Crc::new();
    let mut ended = false;
    while !ended {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "it was given up"));
        }
        let mut pieces = Vec::new();
        while pieces.len() < cores && !ended {
            let mut piece = Vec::with_capacity(PIECE);
            tar.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            ended = piece.len() < PIECE;
            pieces.push(piece);
        }
        let last = pieces.len() - 1;
        let packed: Vec<io::Result<(Vec<u8>, Crc)>> = std::thread::scope(|scope| {
            let work: Vec<_> = pieces
                .iter()
                .enumerate()
                .map(|(number, piece)| scope.spawn(move || deflate(piece, ended && number == last)))
                .collect();
            work.into_iter()
                .map(|work| work.join().unwrap_or_else(|_| Err(io::Error::other("a packer panicked"))))
                .collect()
        });
        for packed in packed {
            let (bytes, crc) = packed?;
            whole.combine(&crc);
            out.write(&bytes)?;
        }
    }
    out.write(&whole.sum().to_le_bytes())?;
    // Of the tar's length, modulo 2^32.
    out.write(&whole.amount().to_le_bytes())?;
    Ok(Packed { file: out.file, size: out.size, digest: Digest::finish(out.hasher) })
}

fn deflate(piece: &[u8], last: bool) -> io::Result<(Vec<u8>, Crc)> {
    let mut crc = Crc::new();
    crc.update(piece);
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::with_capacity(piece.len() / 2 + 64);
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    loop {
        let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let status = compress.compress_vec(&piece[taken..], &mut out, flush).map_err(io::Error::other)?;
        let all = compress.total_in() == piece.len() as u64;
        // Room that is left says that nothing more waits to be written.
        let done = if last { status == flate2::Status::StreamEnd } else { all && out.len() < out.capacity() };
        if done {
            return Ok((out, crc));
        }
        out.reserve(64 << 10);
    }
}

struct Out {
    file: File,
    hasher: sha2::Sha256,
    size: u64,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use proptest::prelude::*;

    use super::*;

    fn pack(tar: &[u8]) -> (Vec<u8>, Packed) {
        let folder = tempfile::tempdir().unwrap();
        let mut packed = gzip(tar, folder.path(), &AtomicBool::new(false)).unwrap();
        let mut bytes = Vec::new();
        packed.file.seek(SeekFrom::Start(0)).unwrap();
        packed.file.read_to_end(&mut bytes).unwrap();
        (bytes, packed)
    }

    fn unpack(bytes: &[u8]) -> Vec<u8> {
        let mut tar = Vec::new();
        // One member: a reader that stops after the first gets all of it.
        let mut decoder = flate2::read::GzDecoder::new(bytes);
        decoder.read_to_end(&mut tar).unwrap();
        assert_eq!(decoder.into_inner().len(), 0);
        tar
    }

    #[test]
    fn lengths_around_whole_pieces_come_back_as_they_were() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 7] {
            let tar: Vec<u8> = (0..length).map(|at| ((at * at) >> 7) as u8).collect();
            let (bytes, packed) = pack(&tar);
            assert!(unpack(&bytes) == tar, "{length}");
            assert_eq!((packed.size, packed.digest), (bytes.len() as u64, Digest::of(&bytes)));
            assert_eq!(pack(&tar).1.digest, packed.digest);
        }
    }

    #[test]
    fn what_cannot_be_made_smaller_comes_back_too() {
        let mut state = 1_u64;
        let tar: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(3 * PIECE + 5)
        .collect();
        assert!(unpack(&pack(&tar).0) == tar);
    }

    #[test]
    fn it_can_be_given_up() {
        let folder = tempfile::tempdir().unwrap();
        assert!(gzip(&[0; 10][..], folder.path(), &AtomicBool::new(true)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_bytes_come_back(tar: Vec<u8>) {
            prop_assert_eq!(unpack(&pack(&tar).0), tar);
        }
    }
}
