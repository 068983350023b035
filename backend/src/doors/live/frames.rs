//! The size of a client's frames, refused by what their headers say: the codec behind looks only when a frame is whole,
//! so that a header that tells of gigabytes would make it gather gigabytes.

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use futures_util::StreamExt;

/// Most bytes of a frame from a client.
pub const FRAME_BYTES: usize = 64 << 10;

/// The same bytes, with an error in the place of the first header that tells of more than [`FRAME_BYTES`].
pub fn bounded(payload: Payload) -> Payload {
    let mut frames = Frames::default();
    let checked = payload.map(move |piece| {
        let piece = piece?;
        if frames.fit(&piece) { Ok(piece) } else { Err(PayloadError::Overflow) }
    });
    Payload::Stream { payload: Box::pin(checked) }
}

/// Where in a stream of frames (RFC 6455, 5.2) one is.
#[derive(Debug, Default)]
struct Frames {
    /// What of the present frame's header has come; empty within its payload.
    header: Vec<u8>,
    /// Bytes of the present frame's payload that are still to come.
    left: u64,
}

impl Frames {
    /// Goes on over `bytes`; false: a frame is too large.
    fn fit(&mut self, mut bytes: &[u8]) -> bool {
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.header.push(*first);
            bytes = rest;
            if let Some(length) = length(&self.header) {
                if length > FRAME_BYTES as u64 {
                    return false;
                }
                self.header.clear();
                self.left = length;
            }
        }
        true
    }
}

/// The length of the payload, once the header is whole.
fn length(header: &[u8]) -> Option<u64> {
    let [_, second, rest @ ..] = header else { return None };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let short = second & 0x7f;
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < extended + mask {
        return None;
    }
    let long = rest[..extended].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(if extended == 0 { u64::from(short) } else { long })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a client: masked, of each of the three ways to write a length.
    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0xff; 4]);
        frame.extend(std::iter::repeat_n(0xff, length));
        frame
    }

    #[test]
    fn frames_within_the_limit_fit_however_they_are_cut() {
        let stream: Vec<u8> = [0, 1, 125, 126, 1000, 65_535, FRAME_BYTES].into_iter().flat_map(frame).collect();
        for size in [1, 2, 3, 7, 4096, stream.len()] {
            let mut frames = Frames::default();
            assert!(stream.chunks(size).all(|piece| frames.fit(piece)), "{size}");
            assert_eq!((frames.left, frames.header.len()), (0, 0));
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header_alone() {
        let mut frames = Frames::default();
        assert!(frames.fit(&frame(5)));
        let large = frame(FRAME_BYTES + 1);
        assert!(frames.fit(&large[..13]));
        assert!(!frames.fit(&large[13..14]));
        assert!(!Frames::default().fit(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    }
}
