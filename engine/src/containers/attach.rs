//! A client on the standard streams of a container or an exec.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use super::ContainerError;

/// Bytes to standard input. `shutdown` (or dropping it) is the half-close: the container sees the end of its input if
/// it was made so (`stdin_once`), an exec always.
pub type StdinWriter = tokio::io::DuplexStream;

/// Output as it comes; ends when the container or exec has ended and all was given.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<Output, ContainerError>> + Send>>;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it came from; a terminal's is all `Stdout`.
    pub stream: StandardStream,
    /// Nanoseconds since 1970.
    pub at_ns: i64,
    /// The bytes, not cut at lines.
    pub bytes: Bytes,
}

/// Which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StandardStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a client wants of a container's streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// To write.
    pub stdin: bool,
    /// To read standard output.
    pub stdout: bool,
    /// To read standard error.
    pub stderr: bool,
    /// First what was written before.
    pub logs: bool,
    /// Then what comes; without it the output ends at what is there now.
    pub stream: bool,
}

/// A client's ends.
pub struct Attached {
    /// When it was asked for and the container has one.
    pub stdin: Option<StdinWriter>,
    /// What the container writes. Of one that does not run: from its next start on.
    pub output: OutputStream,
    /// Whether it is a terminal (raw on Docker's wire, without frames).
    pub tty: bool,
}
