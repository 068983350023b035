//! Tracked UDP flows, which outlive a change of the rules. Spec: `nfnetlink_conntrack.h`.
//!
//! A flow keeps the translation it began with. So flows to a port that was just published, or is no longer, are
//! forgotten; else a client that sends on and on would never reach the new container.

use std::io;
use std::net::Ipv4Addr;

use super::Socket;
use super::message::{ACK, Attributes, Batch, DUMP};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
/// Bytes of `struct nfgenmsg`.
const HEADER: [u8; 4] = [2, 0, 0, 0];
const UDP: u8 = 17;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_SOURCE_PORT: u16 = 2;
const PROTOCOL_DESTINATION_PORT: u16 = 3;
const FILTER_ORIGINAL_FLAGS: u16 = 1;
/// In a dump's filter: compare the protocol's number, compare the destination port.
const COMPARE_PROTOCOL: u32 = 1 << 3;
const COMPARE_DESTINATION_PORT: u32 = 1 << 5;

/// A tracked UDP flow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flow {
    /// Where the first packet went to.
    destination: Ipv4Addr,
    /// Who answers.
    answering: Ipv4Addr,
    /// The original tuple as the kernel gave it, to name the flow.
    tuple: Vec<u8>,
}

/// Forgets UDP flows whose first packet went to `port` of an address that `own` accepts, or which `container`
/// answers.
///
/// # Errors
/// As the kernel answers; a flow that ended meanwhile is none.
pub fn forget_udp(
    socket: &mut Socket,
    port: u16,
    own: impl Fn(Ipv4Addr) -> bool,
    container: Option<Ipv4Addr>,
) -> io::Result<()> {
    let mut flows = Vec::new();
    let mut batch = Batch::new();
    batch.message(GET, DUMP, &HEADER);
    batch.nest(TUPLE_ORIGINAL, |tuple| {
        tuple.nest(TUPLE_PROTOCOL, |protocol| {
            protocol.attribute(PROTOCOL_NUMBER, &[UDP]).attribute(PROTOCOL_DESTINATION_PORT, &port.to_be_bytes());
        });
    });
    batch.nest(FILTER, |filter| {
        filter.number(FILTER_ORIGINAL_FLAGS, COMPARE_PROTOCOL | COMPARE_DESTINATION_PORT);
    });
    socket.exchange(batch, |_, payload| flows.extend(parse(payload, port)))?;

    for flow in flows {
        if !own(flow.destination) && Some(flow.answering) != container {
            continue;
        }
        let mut batch = Batch::new();
        batch.message(DELETE, ACK, &HEADER).nest(TUPLE_ORIGINAL, |tuple| {
            tuple.raw(&flow.tuple);
        });
        match socket.exchange(batch, |_, _| {}) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A UDP flow to `port`, checked again: kernels before 5.8 ignore the filter.
fn parse(payload: &[u8], port: u16) -> Option<Flow> {
    let attributes = Attributes::after(payload, HEADER.len());
    let original = attributes.inside(TUPLE_ORIGINAL);
    let protocol = original.inside(TUPLE_PROTOCOL);
    if protocol.find(PROTOCOL_NUMBER) != Some(&[UDP])
        || protocol.find(PROTOCOL_DESTINATION_PORT) != Some(&port.to_be_bytes())
    {
        return None;
    }
    protocol.find(PROTOCOL_SOURCE_PORT)?;
    let destination: [u8; 4] = original.inside(TUPLE_IP).find(IP_DESTINATION)?.try_into().ok()?;
    let answering: [u8; 4] = attributes.inside(TUPLE_REPLY).inside(TUPLE_IP).find(IP_SOURCE)?.try_into().ok()?;
    Some(Flow {
        destination: destination.into(),
        answering: answering.into(),
        tuple: attributes.find(TUPLE_ORIGINAL)?.to_vec(),
    })
}
