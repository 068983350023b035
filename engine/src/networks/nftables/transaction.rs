//! One transaction: all of its changes happen at one instant, or none.

use std::io;

use super::expression::Expression;
use crate::networks::netlink::{Batch, Socket};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
pub(super) const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const NEW_ELEMENTS: u16 = SUBSYSTEM | 12;
const DELETE_ELEMENTS: u16 = SUBSYSTEM | 14;

const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const LIST_ELEMENT: u16 = 1;
const VALUE: u16 = 1;
const SET_IS_MAP: u32 = 8;
/// Elements in one message: an attribute holds at most 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 500;
/// In a rule's user data: a comment, as nft(8) writes and shows it.
const COMMENT: u8 = 0;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ipv4 = 2,
}

/// Where a base chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub number: u32,
    /// Smaller is earlier.
    pub priority: i32,
    /// `filter` or `nat`.
    pub kind: &'static str,
}

/// A base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Its place; the policy is accept.
    pub hook: Hook,
}

/// A set, or a map if it has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// nft(8)'s number of the key's type (types of a concatenation: 6 bits each) and its bytes.
    pub key: (u32, u32),
    /// The same of a map's value.
    pub value: Option<(u32, u32)>,
}

/// Changes to be made together.
#[derive(Debug)]
pub struct Transaction {
    batch: Batch,
}

impl Transaction {
    /// Begins one.
    pub fn new() -> Self {
        let mut batch = Batch::new();
        batch.message(BATCH_BEGIN, 0, &[0, 0, 0, 10]);
        Self { batch }
    }

    /// Makes sure that there is a table.
    pub fn table(&mut self, family: Family, table: &str) -> &mut Self {
        self.message(NEW_TABLE, CREATE, family).text(1, table);
        self
    }

    /// Removes a table with all that it holds; fails when it is not there.
    pub fn delete_table(&mut self, family: Family, table: &str) -> &mut Self {
        self.message(DELETE_TABLE, 0, family).text(1, table);
        self
    }

    /// Makes sure that there is a base chain, and empties it.
    pub fn empty_chain(&mut self, family: Family, table: &str, chain: &Chain) -> &mut Self {
        let message = self.message(NEW_CHAIN, CREATE, family);
        message.text(1, table).text(3, chain.name).nest(4, |hook| {
            hook.number_be(1, chain.hook.number).number_be(2, chain.hook.priority.cast_unsigned());
        });
        message.number_be(5, 1).text(7, chain.hook.kind);
        self.message(DELETE_RULE, 0, family).text(1, table).text(2, chain.name);
        self
    }

    /// Makes sure that there is a set or map, and empties it. `id` differs from those of other sets made here.
    pub fn empty_set(&mut self, family: Family, table: &str, set: &Set, id: u32) -> &mut Self {
        let message = self.message(NEW_SET, CREATE, family);
        message.text(1, table).text(2, set.name);
        message.number_be(3, if set.value.is_some() { SET_IS_MAP } else { 0 });
        message.number_be(4, set.key.0).number_be(5, set.key.1);
        if let Some((kind, bytes)) = set.value {
            message.number_be(6, kind).number_be(7, bytes);
        }
        message.number_be(10, id);
        self.message(DELETE_ELEMENTS, 0, family).text(1, table).text(2, set.name);
        self
    }

    /// Adds a rule at the end of a chain, with a comment that `nft list` shows.
    pub fn rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        comment: &str,
        expressions: &[Expression<'_>],
    ) -> &mut Self {
        self.new_rule(CREATE | APPEND, family, (table, chain), comment, expressions)
    }

    /// Adds a rule at the head of a chain.
    pub fn first_rule(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        comment: &str,
        expressions: &[Expression<'_>],
    ) -> &mut Self {
        self.new_rule(CREATE, family, (table, chain), comment, expressions)
    }

    /// Removes a rule by its number.
    pub fn delete_rule(&mut self, family: Family, table: &str, chain: &str, handle: u64) -> &mut Self {
        let message = self.message(DELETE_RULE, 0, family);
        message.text(1, table).text(2, chain).attribute(3, &handle.to_be_bytes());
        self
    }

    /// Adds elements: key and, for maps, value. An element that is there already with another value fails.
    pub fn add(&mut self, family: Family, table: &str, set: &str, elements: &[(Vec<u8>, Option<Vec<u8>>)]) {
        self.elements(NEW_ELEMENTS, CREATE, family, (table, set), elements);
    }

    /// Takes elements out; fails when one is not there.
    pub fn remove(&mut self, family: Family, table: &str, set: &str, keys: impl IntoIterator<Item = Vec<u8>>) {
        let elements: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        self.elements(DELETE_ELEMENTS, 0, family, (table, set), &elements);
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.batch.count() == 1
    }

    /// Does it. A transaction without a change does nothing.
    ///
    /// # Errors
    /// As the kernel answers to the first change that it refuses.
    pub fn commit(mut self, socket: &mut Socket) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        // The last change asks for the answer: kernels before 6.10 do not acknowledge the end of a batch.
        self.batch.acknowledge_last();
        self.batch.message(BATCH_END, 0, &[0, 0, 0, 10]);
        socket.transact(self.batch)
    }

    fn message(&mut self, kind: u16, flags: u16, family: Family) -> &mut Batch {
        self.batch.message(kind, flags, &[family as u8, 0, 0, 0])
    }

    fn new_rule(
        &mut self,
        flags: u16,
        family: Family,
        (table, chain): (&str, &str),
        comment: &str,
        expressions: &[Expression<'_>],
    ) -> &mut Self {
        let message = self.message(NEW_RULE, flags, family);
        message.text(1, table).text(2, chain).nest(4, |list| {
            for expression in expressions {
                expression.encode(list);
            }
        });
        message.attribute(7, &comment_data(comment));
        self
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        family: Family,
        (table, set): (&str, &str),
        elements: &[(Vec<u8>, Option<Vec<u8>>)],
    ) {
        for part in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(kind, flags, family).text(1, table).text(2, set).nest(3, |list| {
                for (key, value) in part {
                    list.nest(LIST_ELEMENT, |element| {
                        element.nest(1, |data| {
                            data.attribute(VALUE, key);
                        });
                        if let Some(value) = value {
                            element.nest(2, |data| {
                                data.attribute(VALUE, value);
                            });
                        }
                    });
                }
            });
        }
    }
}

impl Default for Transaction {
    fn default() -> Self {
        Self::new()
    }
}

/// A comment as nft(8) stores it: type, length, text with a zero byte.
pub(super) fn comment_data(comment: &str) -> Vec<u8> {
    let text = &comment.as_bytes()[..comment.len().min(127)];
    let mut data = vec![COMMENT, u8::try_from(text.len() + 1).unwrap_or(u8::MAX)];
    data.extend_from_slice(text);
    data.push(0);
    data
}
