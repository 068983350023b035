//! Reading: tables, foreign base chains on the forward hook, and rules that carry a comment of ours.

use std::io;

use super::transaction::{SUBSYSTEM, comment_data};
use crate::networks::netlink::{Attributes, Batch, Socket, attribute_text};

const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
const DUMP: u16 = 0x300;
/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;
const FORWARD: u32 = 2;
const DROP: u32 = 0;

/// A filtering base chain on the forward hook that sees IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// As in the kernel: 1 inet, 2 ip.
    pub family: super::Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What no rule decides is dropped: by policy, or by a last rule that drops or rejects everything.
    pub drops: bool,
}

/// Whether there is an IPv4 table of this name.
///
/// # Errors
/// As the kernel answers.
pub fn has_table(socket: &mut Socket, table: &str) -> io::Result<bool> {
    let mut found = false;
    let mut batch = Batch::new();
    batch.message(GET_TABLE, DUMP, &[2, 0, 0, 0]);
    socket.exchange(batch, |kind, payload| {
        let name = Attributes::after(payload, HEADER).find(1).map(attribute_text);
        found |= kind == NEW_TABLE && name.as_deref() == Some(table);
    })?;
    Ok(found)
}

/// All filtering base chains on the forward hook that see IPv4.
///
/// # Errors
/// As the kernel answers.
pub fn base_chains_on_forward(socket: &mut Socket) -> io::Result<Vec<BaseChain>> {
    let mut chains = Vec::new();
    let mut batch = Batch::new();
    batch.message(GET_CHAIN, DUMP, &[0, 0, 0, 0]);
    socket.exchange(batch, |kind, payload| chains.extend(base_chain(kind, payload)))?;
    for chain in chains.iter_mut().filter(|chain| !chain.drops) {
        let mut last = Vec::new();
        each_rule(socket, chain, |rule| last = rule.find(4).unwrap_or_default().to_vec())?;
        chain.drops = drops_everything(&last);
    }
    Ok(chains)
}

/// Numbers of the rules in `chain` that carry exactly this comment.
///
/// # Errors
/// As the kernel answers.
pub fn rules_with_comment(socket: &mut Socket, chain: &BaseChain, comment: &str) -> io::Result<Vec<u64>> {
    let wanted = comment_data(comment);
    let mut handles = Vec::new();
    each_rule(socket, chain, |rule| {
        if rule.find(7) == Some(&wanted) {
            handles.extend(rule.find(3).and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?))));
        }
    })?;
    Ok(handles)
}

fn each_rule(socket: &mut Socket, chain: &BaseChain, mut each: impl FnMut(Attributes<'_>)) -> io::Result<()> {
    let mut batch = Batch::new();
    batch.message(GET_RULE, DUMP, &[chain.family as u8, 0, 0, 0]).text(1, &chain.table).text(2, &chain.name);
    socket.exchange(batch, |kind, payload| {
        let rule = Attributes::after(payload, HEADER);
        // Kernels before 4.15 list other tables too.
        if kind == NEW_RULE
            && rule.find(1).map(attribute_text).as_ref() == Some(&chain.table)
            && rule.find(2).map(attribute_text).as_ref() == Some(&chain.name)
        {
            each(rule);
        }
    })
}

fn base_chain(kind: u16, payload: &[u8]) -> Option<BaseChain> {
    let family = match payload.first()? {
        1 => super::Family::Inet,
        2 => super::Family::Ipv4,
        _ => return None,
    };
    let chain = Attributes::after(payload, HEADER);
    let on_forward = chain.inside(4).find(1).and_then(number_be) == Some(FORWARD);
    let filters = chain.find(7).map(attribute_text).as_deref() == Some("filter");
    (kind == NEW_CHAIN && on_forward && filters).then_some(())?;
    Some(BaseChain {
        family,
        table: attribute_text(chain.find(1)?),
        name: attribute_text(chain.find(3)?),
        drops: chain.find(5).and_then(number_be) == Some(DROP),
    })
}

/// Whether a rule of these expressions drops or rejects whatever comes.
fn drops_everything(expressions: &[u8]) -> bool {
    let mut decides = false;
    for (_, expression) in Attributes::new(expressions) {
        let expression = Attributes::new(expression);
        match expression.find(1).map(attribute_text).as_deref() {
            Some("counter" | "log") => {}
            Some("reject") => decides = true,
            Some("immediate") => {
                let code = expression.inside(2).inside(2).inside(2).find(1).and_then(number_be);
                decides = code == Some(DROP);
            }
            _ => return false,
        }
    }
    decides
}

fn number_be(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}
