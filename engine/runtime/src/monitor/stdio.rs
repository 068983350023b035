//! Output: from the container's pipes or terminal into its log.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::container::{Container, Phase, Streams};
use super::epoll::{Epoll, Token, Watch};
use crate::log::{Stream, Writer};
use crate::sandbox::Stdio;
use crate::time::now_ns;

/// A pipe of this size or more, once it was found full, is made as large as an ordinary user may.
const FULL: usize = 60 << 10;
const LARGE_PIPE: usize = 1 << 20;
/// Taken from a terminal in one step.
const TERMINAL_STEP: usize = 64 << 10;
/// Most that is drained after the end: what is left of a pipe whose writers are all dead is at most its size, but a
/// process in the host's pid namespace may go on writing.
const DRAIN: usize = 16 << 20;

/// One descriptor that is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) descriptor: OwnedFd,
    pub(super) stream: Stream,
    watch: Watch,
    enlarged: bool,
}

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
enum Brought {
    Bytes(usize),
    /// Nothing now, or never again.
    Nothing,
}

impl Source {
    fn new(descriptor: OwnedFd, stream: Stream) -> Self {
        Self { descriptor, stream, watch: Watch::Level, enlarged: false }
    }

    fn token(&self, number: u64) -> Token {
        if self.stream == Stream::Stderr { Token::Stderr(number) } else { Token::Stdout(number) }
    }
}

impl Streams {
    /// Out of the descriptors that came with `adopt`, or that keeper kept, in that order.
    pub(super) fn from_descriptors(stdio: Stdio, descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut descriptors = descriptors.into_iter();
        if stdio.tty {
            let master = descriptors.next()?;
            rustix::io::ioctl_fionbio(&master, true).ok()?;
            return descriptors.next().is_none().then_some(Self::Terminal(Source::new(master, Stream::Stdout)));
        }
        let stdin = if descriptors.len() == 3 { descriptors.next() } else { None };
        let stdout = Source::new(descriptors.next()?, Stream::Stdout);
        let stderr = Source::new(descriptors.next()?, Stream::Stderr);
        descriptors.next().is_none().then_some(Self::Pipes { stdin, stdout, stderr })
    }
}

impl Container {
    /// Begins to wait for output.
    pub(super) fn watch_output(&mut self, epoll: &Epoll) -> io::Result<()> {
        let number = self.number;
        for source in self.streams.sources() {
            epoll.add(&source.descriptor, source.token(number), source.watch)?;
        }
        Ok(())
    }

    /// Lets go of its streams.
    pub(super) fn close_streams(&mut self, epoll: &Epoll) {
        for source in self.streams.sources() {
            epoll.remove(&source.descriptor);
        }
        self.streams = Streams::None;
    }

    /// Moves one step of output.
    pub(super) fn read_output(&mut self, epoll: &Epoll, is_error: bool) {
        let number = self.number;
        let terminal = matches!(self.streams, Streams::Terminal(_));
        let mut streams = std::mem::replace(&mut self.streams, Streams::None);
        if let Some(source) = streams.sources().nth(usize::from(is_error)) {
            let brought = self.read_source(source, terminal);
            let wanted = if brought == Brought::Nothing { Watch::Edge } else { Watch::Level };
            if source.watch != wanted {
                source.watch = wanted;
                if let Err(error) = epoll.modify(&source.descriptor, source.token(number), wanted) {
                    eprintln!("monitor: container {}: {error}", self.id);
                }
            }
        }
        self.streams = streams;
    }

    /// Moves all output that is there.
    pub(super) fn drain_output(&mut self) {
        let terminal = matches!(self.streams, Streams::Terminal(_));
        let mut streams = std::mem::replace(&mut self.streams, Streams::None);
        for source in streams.sources() {
            let mut drained = 0;
            while let Brought::Bytes(count) = self.read_source(source, terminal) {
                drained += count;
                if drained > DRAIN {
                    eprintln!("monitor: container {}: something still writes after its end", self.id);
                    break;
                }
            }
        }
        self.streams = streams;
    }

    fn read_source(&mut self, source: &mut Source, terminal: bool) -> Brought {
        if terminal { self.read_terminal(source) } else { self.read_pipe(source) }
    }

    fn read_pipe(&mut self, source: &mut Source) -> Brought {
        let available = match rustix::io::ioctl_fionread(&source.descriptor) {
            Ok(available) => usize::try_from(available).unwrap_or(usize::MAX),
            Err(error) => {
                eprintln!("monitor: container {}: its output cannot be read: {error}", self.id);
                return Brought::Nothing;
            }
        };
        if available == 0 {
            return Brought::Nothing;
        }
        if available >= FULL && !source.enlarged {
            source.enlarged = true;
            // Beyond the user's share of pipe memory the kernel refuses; the pipe works as it is.
            let _ = rustix::pipe::fcntl_setpipe_size(&source.descriptor, LARGE_PIPE);
        }
        let stream = source.stream;
        match self.with_log(|log| log.splice(stream, now_ns(), source.descriptor.as_fd(), available)) {
            Ok(0) => Brought::Nothing,
            Ok(count) => Brought::Bytes(count),
            Err(error) => self.drop_output(source, available, &error),
        }
    }

    fn read_terminal(&mut self, source: &mut Source) -> Brought {
        let mut bytes = Vec::with_capacity(4096);
        if let Err(error) = self.with_log(|log| log.set_reading(true)) {
            return self.drop_output(source, TERMINAL_STEP, &error);
        }
        while bytes.len() < TERMINAL_STEP {
            bytes.reserve(4096);
            match rustix::io::read(&source.descriptor, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) | Err(Errno::AGAIN | Errno::IO) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    eprintln!("monitor: container {}: its terminal cannot be read: {error}", self.id);
                    break;
                }
            }
        }
        let written = if bytes.is_empty() {
            self.with_log(|log| log.set_reading(false))
        } else {
            self.with_log(|log| log.append(Stream::Stdout, now_ns(), &bytes))
        };
        match written {
            Ok(()) if bytes.is_empty() => Brought::Nothing,
            Ok(()) => Brought::Bytes(bytes.len()),
            Err(error) => {
                self.count_lost(bytes.len(), &error);
                Brought::Bytes(bytes.len())
            }
        }
    }

    /// Runs `write` on the log, opened if need be, and says in it how much was lost before.
    fn with_log<T>(&mut self, write: impl FnOnce(&mut Writer) -> io::Result<T>) -> io::Result<T> {
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(Writer::open(&self.folder, self.log_limits)?),
        };
        if self.lost_bytes > 0 {
            let text = format!("{} bytes of output were lost: the log could not be written", self.lost_bytes);
            log.append(Stream::Note, now_ns(), text.as_bytes())?;
            self.lost_bytes = 0;
        }
        write(log)
    }

    /// The log cannot be written (no space, most likely): the container must not stand still for that.
    fn drop_output(&mut self, source: &Source, most: usize, error: &io::Error) -> Brought {
        let mut bytes = vec![0; most.clamp(1, TERMINAL_STEP)];
        match rustix::io::read(&source.descriptor, &mut bytes) {
            Ok(count) if count > 0 => {
                self.count_lost(count, error);
                Brought::Bytes(count)
            }
            _ => Brought::Nothing,
        }
    }

    fn count_lost(&mut self, bytes: usize, error: &io::Error) {
        if self.lost_bytes == 0 {
            eprintln!("monitor: container {}: its log cannot be written: {error}", self.id);
        }
        self.lost_bytes += bytes as u64;
    }

    /// Whether the journal must first say that it runs.
    pub(super) fn unwritten_start(&mut self) -> Option<i64> {
        match &mut self.phase {
            Phase::Running { unwritten, .. } => unwritten.take(),
            Phase::Waiting { .. } | Phase::Starting => None,
        }
    }
}
