//! The one writer of a log.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use super::format::{
    Entry, HEAD_FILE, HEADER, Head, Header, INDEX_EVERY, LOG_FOLDER, MOST_DATA, Stream, TRAILER, frame_bytes,
    index_name, segment_name,
};
use super::readers::is_read;
use super::recover::{list_segments, recover};
use crate::sandbox::LogLimits;

/// Most bytes moved in one step: the container's writer gets its turn at the pipe between two steps.
const STEP: usize = 256 << 10;
/// Size of a segment of which nothing is kept once nobody reads it, and how many wait at most for who still reads.
const TRANSIENT_BYTES: u64 = 1 << 20;
const TRANSIENT_FILES: u32 = 1024;

/// Writes frames and commits them one by one.
#[derive(Debug)]
pub struct Writer {
    folder: OwnedFd,
    /// The container's, where who reads holds a lock.
    container: OwnedFd,
    limits: LogLimits,
    segment: File,
    /// Position of the segment's first byte.
    segment_start: u64,
    head: File,
    committed: u64,
    /// The next frame at or beyond this position gets an index entry.
    index_due: u64,
    was_reading: bool,
}

impl Writer {
    /// Opens the log in a container's folder, making it when there is none, and mends what a killed writer left:
    /// frames that were whole but not committed are kept, a frame cut in the middle keeps what arrived.
    ///
    /// # Errors
    /// As mkdir(2), open(2), pread(2).
    pub fn open(container: impl AsFd, limits: LogLimits) -> io::Result<Self> {
        match rustix::fs::mkdirat(&container, LOG_FOLDER, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = rustix::fs::openat(
            &container,
            LOG_FOLDER,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        let head = open_file(folder.as_fd(), HEAD_FILE)?;
        let container = container.as_fd().try_clone_to_owned()?;
        if limits.transient && !is_read(container.as_fd())? {
            drop_segments(folder.as_fd(), &list_segments(folder.as_fd())?)?;
        }
        let found = recover(folder.as_fd(), &head)?;
        let segment = open_file(folder.as_fd(), &segment_name(found.segment_start))?;
        segment.set_len(found.committed - found.segment_start)?;
        let mut writer = Self {
            folder,
            container,
            limits: bounds(limits),
            segment,
            segment_start: found.segment_start,
            head,
            committed: found.committed,
            index_due: found.committed.max(found.segment_start + INDEX_EVERY),
            was_reading: found.reading,
        };
        if found.reading {
            writer.append(Stream::Note, crate::time::now_ns(), b"output may be missing here: its reader was killed")?;
        }
        writer.commit()?;
        Ok(writer)
    }

    /// Bytes of the whole log that may be read.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Whether the writer before this one was killed with bytes in its hands.
    pub fn was_reading(&self) -> bool {
        self.was_reading
    }

    /// New bounds; they hold from the next frame on.
    pub fn set_limits(&mut self, limits: LogLimits) {
        self.limits = bounds(limits);
    }

    /// Writes `data` and commits it. On an error nothing of it is in the log.
    ///
    /// # Errors
    /// As pwritev(2).
    pub fn append(&mut self, stream: Stream, time_ns: i64, data: &[u8]) -> io::Result<()> {
        for data in data.chunks(MOST_DATA) {
            self.make_room(time_ns)?;
            let length = data.len() as u32;
            let header = Header { time_ns, length, stream }.encode();
            let trailer = length.to_le_bytes();
            let place = self.committed - self.segment_start;
            let whole = frame_bytes(data.len());
            let slices = [IoSlice::new(&header), IoSlice::new(data), IoSlice::new(&trailer)];
            let written = rustix::io::pwritev(&self.segment, &slices, place)? as u64;
            if written < whole {
                let rest: Vec<u8> = [&header[..], data, &trailer[..]].concat();
                self.segment.write_all_at(&rest[written as usize..], place + written).inspect_err(|_| self.cut())?;
            }
            self.committed += whole;
            self.commit().inspect_err(|_| self.cut())?;
        }
        Ok(())
    }

    /// Moves up to `available` bytes, which must be in `pipe` now, into the log without a look at them, and answers
    /// how many it was. Being killed in the middle loses nothing: the header says what was to come, the file's length
    /// what came, and the rest is still in the pipe.
    ///
    /// # Errors
    /// As splice(2) and pwrite(2); `EINVAL` for what is no pipe.
    pub fn splice(
        &mut self,
        stream: Stream,
        time_ns: i64,
        pipe: BorrowedFd<'_>,
        available: usize,
    ) -> io::Result<usize> {
        self.make_room(time_ns)?;
        let wanted = available.min(STEP).min(usize::try_from(self.limits.file_bytes).unwrap_or(STEP).max(4096));
        let place = self.committed - self.segment_start;
        let header = |length: usize| Header { time_ns, length: length as u32, stream }.encode();
        self.segment.write_all_at(&header(wanted), place)?;
        let moved = self.move_bytes(pipe, place + HEADER as u64, wanted)?;
        if moved == 0 {
            self.cut();
            return Ok(0);
        }
        if moved < wanted {
            self.segment.write_all_at(&header(moved), place).inspect_err(|_| self.cut())?;
        }
        let end = place + (HEADER + moved) as u64;
        let trailer: [u8; TRAILER] = (moved as u32).to_le_bytes();
        self.segment.write_all_at(&trailer, end).inspect_err(|_| self.cut())?;
        self.committed += frame_bytes(moved);
        self.commit().inspect_err(|_| self.cut())?;
        Ok(moved)
    }

    /// Says, before bytes are taken from where nobody else has them (a terminal), that they are on their way. The next
    /// frame, or `false`, ends it; found by the next writer, it means that output may have been lost.
    ///
    /// # Errors
    /// As pwrite(2).
    pub fn set_reading(&self, reading: bool) -> io::Result<()> {
        self.write_head(reading)
    }

    fn move_bytes(&mut self, pipe: BorrowedFd<'_>, place: u64, wanted: usize) -> io::Result<usize> {
        let mut offset = place;
        let mut moved = 0;
        while moved < wanted {
            let left = wanted - moved;
            match rustix::pipe::splice(pipe, None, &self.segment, Some(&mut offset), left, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => moved += count,
                Err(Errno::INTR) => {}
                // What arrived is kept; the next step meets the same error with nothing in its hands.
                Err(_) if moved > 0 => break,
                Err(error) => {
                    self.cut();
                    return Err(error.into());
                }
            }
        }
        Ok(moved)
    }

    fn commit(&self) -> io::Result<()> {
        self.write_head(false)
    }

    fn write_head(&self, reading: bool) -> io::Result<()> {
        self.head.write_all_at(&Head { committed: self.committed, reading }.encode(), 0)
    }

    /// After an error: nothing that could be taken for a frame lies beyond what is committed.
    fn cut(&self) {
        if let Err(error) = self.segment.set_len(self.committed - self.segment_start) {
            eprintln!("log: cannot cut a half-written frame: {error}");
        }
    }

    /// Begins a new segment when this one is full, and writes an index entry when one is due.
    fn make_room(&mut self, time_ns: i64) -> io::Result<()> {
        let used = self.committed - self.segment_start;
        if used > 0 && used >= self.limits.file_bytes {
            self.rotate()?;
        } else if self.committed >= self.index_due {
            self.write_index(time_ns)?;
        }
        Ok(())
    }

    fn write_index(&mut self, time_ns: i64) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let index = rustix::fs::openat(&self.folder, index_name(self.segment_start), flags, Mode::RUSR | Mode::WUSR)?;
        rustix::io::write(&index, &Entry { time_ns, position: self.committed }.encode())?;
        self.index_due = self.committed + INDEX_EVERY;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.segment = open_file(self.folder.as_fd(), &segment_name(self.committed))?;
        self.segment_start = self.committed;
        self.index_due = self.committed + INDEX_EVERY;
        let segments = list_segments(self.folder.as_fd())?;
        let kept =
            if self.limits.transient && !is_read(self.container.as_fd())? { 1 } else { self.limits.files.max(1) };
        drop_segments(self.folder.as_fd(), &segments[..segments.len().saturating_sub(kept as usize)])
    }
}

/// What is kept of a log that is not kept has bounds too.
fn bounds(limits: LogLimits) -> LogLimits {
    if !limits.transient {
        return limits;
    }
    LogLimits { file_bytes: TRANSIENT_BYTES, files: TRANSIENT_FILES, transient: true }
}

/// Drops all that is written of a log of which nothing is kept, unless somebody reads it. Its writer must be gone.
///
/// # Errors
/// As open(2), unlink(2).
pub fn drop_read(container: &Path) -> io::Result<()> {
    let container = File::open(container)?;
    if is_read(container.as_fd())? {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(&container, LOG_FOLDER, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(()),
        folder => {
            let folder = folder?;
            drop_segments(folder.as_fd(), &list_segments(folder.as_fd())?)
        }
    }
}

fn drop_segments(folder: BorrowedFd<'_>, starts: &[u64]) -> io::Result<()> {
    for start in starts {
        for name in [segment_name(*start), index_name(*start)] {
            match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn open_file(folder: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}
