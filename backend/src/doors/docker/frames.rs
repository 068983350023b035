//! Docker's multiplexed stream: stdout and stderr in one, each piece with a head of 8 bytes.
//!
//! Head: stream (1 stdout, 2 stderr), three zero bytes, length of the piece as a big-endian u32.
//! Source: moby `api/swagger.yaml`, `ContainerAttach`, "Stream format".

use bytes::{BufMut, Bytes, BytesMut};
use sampan_engine::containers::StandardStream;

/// How output is written to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As it is: the container has a terminal.
    Raw,
    /// With heads.
    Multiplexed,
}

impl Framing {
    /// Of a container with or without a terminal.
    pub fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed }
    }

    /// The content type of the answer; before 1.42 both were "raw".
    pub fn content_type(self, version: super::version::Version) -> &'static str {
        match self {
            Self::Multiplexed if version.knows(42) => "application/vnd.docker.multiplexed-stream",
            _ => "application/vnd.docker.raw-stream",
        }
    }

    /// A piece as it goes over the wire: `prefix` (a timestamp, or nothing) and `piece` within one frame.
    pub fn frame(self, stream: StandardStream, prefix: &[u8], piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(8 + prefix.len() + piece.len());
        if self == Self::Multiplexed {
            out.put_u8(match stream {
                StandardStream::Stdout => 1,
                StandardStream::Stderr => 2,
            });
            out.put_bytes(0, 3);
            // Pieces are a log's chunks, far below 4 GiB.
            out.put_u32(u32::try_from(prefix.len() + piece.len()).unwrap_or(u32::MAX));
        }
        out.extend_from_slice(prefix);
        out.extend_from_slice(piece);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::docker::version::Version;

    #[test]
    fn a_piece_gets_stream_and_big_endian_length() {
        let framed = Framing::Multiplexed.frame(StandardStream::Stderr, b"t ", b"oops\n");
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x07t oops\n");
        assert_eq!(&Framing::Multiplexed.frame(StandardStream::Stdout, b"", b"")[..], b"\x01\0\0\0\0\0\0\0");
    }

    #[test]
    fn a_terminals_output_is_left_as_it_is() {
        assert_eq!(&Framing::Raw.frame(StandardStream::Stdout, b"", b"hi\r\n")[..], b"hi\r\n");
    }

    #[test]
    fn the_content_type_tells_the_framing_since_1_42() {
        let at = |minor| Version { major: 1, minor };
        assert_eq!(Framing::of(false).content_type(at(42)), "application/vnd.docker.multiplexed-stream");
        assert_eq!(Framing::of(false).content_type(at(41)), "application/vnd.docker.raw-stream");
        assert_eq!(Framing::of(true).content_type(at(51)), "application/vnd.docker.raw-stream");
    }
}
