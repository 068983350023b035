//! Writing and reading netlink messages and their attributes.
//!
//! A message is `struct nlmsghdr` (length, type, flags, sequence, port; 16 bytes, native order), a family header, and
//! attributes (`struct nlattr`: length, type), each padded to 4 bytes.

/// This is a request.
pub const REQUEST: u16 = 0x1;
/// An acknowledgement is wanted.
pub const ACK: u16 = 0x4;
/// All objects are wanted.
pub const DUMP: u16 = 0x300;
/// Fails when it exists.
pub const EXCLUSIVE: u16 = 0x200;
/// Made when it does not exist.
pub const CREATE: u16 = 0x400;

/// An error (0: an acknowledgement): `struct nlmsgerr`.
pub const ERROR: u16 = 2;
/// The end of a dump.
pub const DONE: u16 = 3;
/// Bytes of `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// An attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// What is left of an attribute's type without its flags.
const TYPE_MASK: u16 = 0x3fff;

/// Requests that go out in one write, in order.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each message begins.
    starts: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a message of `kind` whose family header is `header`.
    pub fn message(&mut self, kind: u16, flags: u16, header: &[u8]) -> &mut Self {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(header);
        self.pad();
        self
    }

    /// Adds an attribute to the last message.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(start);
        self
    }

    /// Adds a text, ended by a zero byte.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.close(start);
        self
    }

    /// Adds a number in native order (rtnetlink).
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds a number in network order (netfilter).
    pub fn number_be(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds an attribute that holds what `inside` adds. At most 65,531 bytes: callers cut longer lists.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NESTED);
        inside(self);
        self.close(start);
        self
    }

    /// Adds bytes without an attribute's header (the peer's header inside a veth's description).
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Asks for an acknowledgement of the last message.
    pub fn acknowledge_last(&mut self) -> &mut Self {
        if let Some(start) = self.starts.last() {
            let at = start + 6;
            let flags = native_u16(&self.bytes, at).unwrap_or(0) | ACK;
            self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        }
        self
    }

    /// How many messages it holds.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The bytes to send, numbered from `first` on.
    pub(super) fn finish(mut self, first: u32) -> Vec<u8> {
        let mut sequence = first;
        for (position, start) in self.starts.iter().enumerate() {
            let end = self.starts.get(position + 1).copied().unwrap_or(self.bytes.len());
            let length = u32::try_from(end - start).unwrap_or(u32::MAX);
            self.bytes[*start..start + 4].copy_from_slice(&length.to_ne_bytes());
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
        self.bytes
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        debug_assert!(length <= usize::from(u16::MAX), "an attribute of {length} bytes");
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its type.
    pub kind: u16,
    /// Which request it answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Cuts what was received into messages; stops at the first one that is cut short.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(native_u32(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|message| message.len() >= HEADER_BYTES)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind: native_u16(message, 4)?,
            sequence: native_u32(message, 8)?,
            payload: &message[HEADER_BYTES..],
        })
    })
}

/// Walks over attributes: type without flags, value.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Those of a message, after a family header of `header` bytes.
    pub fn after(payload: &'a [u8], header: usize) -> Self {
        Self { bytes: payload.get(header.next_multiple_of(4)..).unwrap_or_default() }
    }

    /// The first one of `kind`.
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == kind).then_some(value))
    }

    /// The attributes inside the first one of `kind`; none when it is missing.
    pub fn inside(self, kind: u16) -> Attributes<'a> {
        Attributes::new(self.find(kind).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(native_u16(self.bytes, 0)?);
        let kind = native_u16(self.bytes, 2)? & TYPE_MASK;
        let value = self.bytes.get(4..length)?;
        self.bytes = self.bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A number in native order.
pub fn attribute_u32(value: &[u8]) -> Option<u32> {
    native_u32(value, 0)
}

/// A text without its closing zero byte.
pub fn attribute_text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn native_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn native_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ACK, Attributes, Batch, messages};

    #[test]
    fn reads_back_what_it_wrote() {
        let mut batch = Batch::new();
        batch.message(16, ACK, &[1, 2, 3, 4]).text(3, "eth0").nest(18, |nest| {
            nest.number(1, 7).attribute(2, &[9]);
        });
        batch.message(20, 0, &[]).number_be(5, 1);
        let bytes = batch.finish(40);

        let found: Vec<_> = messages(&bytes).map(|message| (message.kind, message.sequence)).collect();
        assert_eq!(found, [(16, 40), (20, 41)]);
        let first = messages(&bytes).next().expect("a message");
        let attributes = Attributes::after(first.payload, 4);
        assert_eq!(attributes.find(3), Some(&b"eth0\0"[..]));
        assert_eq!(attributes.inside(18).find(2), Some(&[9_u8][..]));
    }

    proptest! {
        #[test]
        fn never_panics_on_foreign_bytes(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                let _ = Attributes::after(message.payload, 4).count();
            }
            let _ = Attributes::new(&bytes).inside(1).count();
        }
    }
}
