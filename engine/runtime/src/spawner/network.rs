//! The network of a container: asked from net, which never enters a namespace itself.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{AddressFamily, SocketType};

use super::peers::{Peers, strange};
use crate::lifecycle::{bring_up_loopback, socket_inside};
use crate::sandbox::{NetworkMode, Team};
use crate::wire::Refusal;
use crate::wire::net::{Answer, Request};
use crate::wire::spawner::Endpoint;

/// Furnishes a new network namespace.
pub(super) fn furnish(
    peers: &mut Peers,
    id: &str,
    team: &Team,
    mode: &NetworkMode,
    mac: Option<[u8; 6]>,
    namespace: BorrowedFd<'_>,
) -> Result<Option<Endpoint>, Refusal> {
    match mode {
        NetworkMode::Bridge => attach(peers, id, &team.key, mac, namespace).map(Some),
        _ => bring_up_loopback(namespace).map(|()| None),
    }
}

/// Puts it on the team's bridge; the address is kept under `id`.
fn attach(
    peers: &mut Peers,
    id: &str,
    team: &str,
    mac: Option<[u8; 6]>,
    namespace: BorrowedFd<'_>,
) -> Result<Endpoint, Refusal> {
    // NETLINK_ROUTE is protocol 0, the default.
    let route = socket_inside(namespace, AddressFamily::NETLINK, SocketType::RAW, None)?;
    let request = Request::Attach { id: id.to_owned(), team: team.to_owned(), mac };
    match peers.net(&request, &[namespace, route.as_fd()])? {
        Answer::Attached(endpoint) => Ok(endpoint),
        _ => Err(strange("net")),
    }
}

/// What net knows of a container that kept its namespace while spawner died.
pub(super) fn find(peers: &mut Peers, id: &str) -> Result<Option<Endpoint>, Refusal> {
    // Pages are sorted by id; the page after the id just below holds it first.
    let mut after = id.to_owned();
    after.pop();
    loop {
        let Answer::State { endpoints, next, .. } = peers.net(&Request::State { after }, &[])? else {
            return Err(strange("net"));
        };
        if let Some((_, endpoint)) = endpoints.into_iter().find(|(other, _)| other == id) {
            return Ok(Some(endpoint));
        }
        match next {
            Some(next) if next.as_str() < id => after = next,
            _ => return Ok(None),
        }
    }
}
