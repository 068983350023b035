//! Detach keys: a sequence typed at a terminal that leaves the container without ending it.
//!
//! Source: moby/term `ascii.go`, `proxy.go`; the default is ctrl-p ctrl-q.

use super::error::DockerError;

/// The sequence, and how much of it was typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    typed: usize,
}

/// What a piece of input comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// What goes on to the container.
    pub forward: Vec<u8>,
    /// The sequence was completed; what followed it is dropped.
    pub detach: bool,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q`, `a,ctrl-]`, …; empty is the default.
    ///
    /// # Errors
    /// 400 when a key is neither one character nor `ctrl-` and one of `a-z@[\]^_`.
    pub fn parse(text: &str) -> Result<Self, DockerError> {
        if text.is_empty() {
            return Ok(Self { sequence: vec![16, 17], typed: 0 });
        }
        let refused = || DockerError::invalid(format!("Invalid detach keys ({text}) provided"));
        let sequence = text.split(',').map(|key| code(key).ok_or_else(refused)).collect::<Result<_, _>>()?;
        Ok(Self { sequence, typed: 0 })
    }

    /// Looks at input. Keys that begin the sequence are held back until it is clear that they do not complete it.
    pub fn feed(&mut self, input: &[u8]) -> Typed {
        let mut forward = Vec::with_capacity(input.len());
        for &byte in input {
            while self.typed > 0 && byte != self.sequence[self.typed] {
                // The longest end of what was held back that begins the sequence again stays held back.
                let keep = (0..self.typed)
                    .rev()
                    .find(|&keep| self.sequence[self.typed - keep..self.typed] == self.sequence[..keep])
                    .unwrap_or(0);
                forward.extend_from_slice(&self.sequence[..self.typed - keep]);
                self.typed = keep;
            }
            if byte != self.sequence[self.typed] {
                forward.push(byte);
                continue;
            }
            self.typed += 1;
            if self.typed == self.sequence.len() {
                self.typed = 0;
                return Typed { forward, detach: true };
            }
        }
        Typed { forward, detach: false }
    }

    /// What is still held back when the input ends.
    pub fn rest(&self) -> &[u8] {
        &self.sequence[..self.typed]
    }
}

/// The byte a key sends.
fn code(key: &str) -> Option<u8> {
    if let [single] = key.as_bytes() {
        return Some(*single);
    }
    let lower = key.to_ascii_lowercase();
    match lower.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        b"@" => Some(0),
        b"[" => Some(27),
        b"\\" => Some(28),
        b"]" => Some(29),
        b"^" => Some(30),
        b"_" => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(keys: &mut DetachKeys, input: &[u8]) -> (Vec<u8>, bool) {
        let typed = keys.feed(input);
        (typed.forward, typed.detach)
    }

    #[test]
    fn the_default_sequence_detaches_also_over_two_reads() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(feed(&mut keys, b"ls\n\x10"), (b"ls\n".to_vec(), false));
        assert_eq!(feed(&mut keys, b"\x11after"), (vec![], true));
    }

    #[test]
    fn a_begun_sequence_is_given_back_when_it_does_not_complete() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(feed(&mut keys, b"\x10"), (vec![], false));
        assert_eq!(keys.rest(), b"\x10");
        assert_eq!(feed(&mut keys, b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(feed(&mut keys, b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(feed(&mut keys, b"\x11"), (vec![], true));
    }

    #[test]
    fn overlapping_beginnings_are_found() {
        let mut keys = DetachKeys::parse("a,a,b").unwrap();
        assert_eq!(feed(&mut keys, b"aaab"), (b"a".to_vec(), true));
    }

    #[test]
    fn own_sequences_are_read_or_refused() {
        assert_eq!(DetachKeys::parse("ctrl-A,x,ctrl-]").unwrap().sequence, [1, b'x', 29]);
        for text in ["ctrl-", "ctrl-ä", "up", ",", "ctrl-p,"] {
            let message = format!("Invalid detach keys ({text}) provided");
            assert_eq!(DetachKeys::parse(text).unwrap_err(), DockerError::invalid(message));
        }
    }
}
