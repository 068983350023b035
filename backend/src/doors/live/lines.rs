//! Pieces of output cut into lines, each with its stream and time.

use sampan_engine::containers::{Output, StandardStream};
use serde_json::json;

use super::socket::Frame;

/// Longest line that is kept together; what is longer comes in several.
const LINE_BYTES: usize = 32 << 10;

/// Cuts pieces into lines.
#[derive(Debug, Default)]
pub struct Lines {
    stdout: Line,
    stderr: Line,
}

#[derive(Debug, Default)]
struct Line {
    at_ns: i64,
    bytes: Vec<u8>,
}

impl Lines {
    /// The lines that are whole after `output`.
    pub fn take(&mut self, output: &Output) -> Vec<Frame> {
        let line = match output.stream {
            StandardStream::Stdout => &mut self.stdout,
            StandardStream::Stderr => &mut self.stderr,
        };
        let mut frames = Vec::new();
        for part in output.bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in part.chunks(LINE_BYTES) {
                if line.bytes.is_empty() {
                    line.at_ns = output.at_ns;
                }
                line.bytes.extend_from_slice(piece);
                if line.bytes.ends_with(b"\n") || line.bytes.len() >= LINE_BYTES {
                    frames.push(frame(output.stream, line));
                }
            }
        }
        frames
    }

    /// What is left when there is no more output.
    pub fn finish(&mut self) -> Vec<Frame> {
        let streams = [(StandardStream::Stdout, &mut self.stdout), (StandardStream::Stderr, &mut self.stderr)];
        streams
            .into_iter()
            .filter(|(_, line)| !line.bytes.is_empty())
            .map(|(stream, line)| frame(stream, line))
            .collect()
    }
}

/// `at_ns` is a text, since it has more digits than a number of a browser.
fn frame(stream: StandardStream, line: &mut Line) -> Frame {
    let stream = match stream {
        StandardStream::Stdout => "stdout",
        StandardStream::Stderr => "stderr",
    };
    let bytes = std::mem::take(&mut line.bytes);
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
    Frame::Text(json!({ "at_ns": line.at_ns.to_string(), "stream": stream, "text": text }).to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn output(stream: StandardStream, at_ns: i64, bytes: &[u8]) -> Output {
        Output { stream, at_ns, bytes: Bytes::copy_from_slice(bytes) }
    }

    fn line(stream: &str, at_ns: i64, text: &str) -> Frame {
        Frame::Text(format!(r#"{{"at_ns":"{at_ns}","stream":"{stream}","text":"{text}"}}"#))
    }

    #[test]
    fn a_line_has_the_time_of_its_beginning_and_streams_do_not_mix() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&output(StandardStream::Stdout, 1, b"one\ntw")), [line("stdout", 1, "one")]);
        assert_eq!(lines.take(&output(StandardStream::Stderr, 2, b"err\n")), [line("stderr", 2, "err")]);
        assert_eq!(
            lines.take(&output(StandardStream::Stdout, 3, b"o\n\nrest")),
            [line("stdout", 1, "two"), line("stdout", 3, "")]
        );
        assert_eq!(lines.finish(), [line("stdout", 3, "rest")]);
        assert_eq!(lines.finish(), []);
    }

    #[test]
    fn a_line_without_an_end_does_not_grow_without_an_end() {
        let mut lines = Lines::default();
        let frames = lines.take(&output(StandardStream::Stdout, 1, &vec![b'x'; 3 * LINE_BYTES]));
        assert_eq!(frames.len(), 3);
        assert!(lines.finish().is_empty());
    }
}
