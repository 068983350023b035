//! The state of an instance's networks, and each request to its function.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use sampan_runtime::wire::net::{Answer, Port, Request};
use sampan_runtime::wire::spawner::Endpoint;
use sampan_runtime::wire::{Refusal, RefusalKind, VERSION};

use super::arguments::Arguments;
use super::bridges::Bridge;
use super::files::{EndpointFile, Folder};
use super::keeper::Keeper;
use crate::networks::NetworkError;
use crate::networks::netlink::Socket;

/// Entries on one page of the state: a message holds 160 KiB, an entry with many ports has some hundred bytes.
const PAGE: usize = 200;
/// How often all endpoints are compared with the kernel, for those whose namespace ended without a word.
const CHECK_PERIOD: Duration = Duration::from_secs(300);

/// Everything.
#[derive(Debug)]
pub(super) struct Networks {
    pub(super) arguments: Arguments,
    /// Links, addresses, routes.
    pub(super) route: Socket,
    /// nftables and conntrack.
    pub(super) filter: Socket,
    pub(super) endpoint_files: Folder,
    pub(super) port_files: Folder,
    pub(super) host_files: Folder,
    pub(super) keeper: Option<Keeper>,
    pub(super) bridges: Vec<Bridge>,
    pub(super) endpoints: BTreeMap<String, EndpointFile>,
    /// Endpoints that were let go of and whose link may still be there.
    pub(super) leaving: Vec<Leaving>,
    pub(super) published: BTreeMap<String, Published>,
    /// Interfaces between which nothing is forwarded, since this instance switched forwarding on.
    pub(super) closed: Vec<String>,
    /// Number in the next link's name.
    pub(super) next_link: u64,
    /// Where the search for a free host port goes on.
    pub(super) next_port: u16,
    /// When all endpoints are compared with the kernel again.
    pub(super) next_check: Instant,
}

/// An endpoint that was let go of.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) endpoint: EndpointFile,
    pub(super) since: Instant,
    /// When its link is looked for.
    pub(super) look_at: Instant,
}

/// What is published for one id.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) ports: Vec<Port>,
    /// One for each port, in the same order; `None` where another program took the port while `net` was away.
    pub(super) sockets: Vec<Option<OwnedFd>>,
    /// Where the table leads them; `None` while the container has no address.
    pub(super) address: Option<Ipv4Addr>,
}

impl Networks {
    /// Does what a request says.
    pub(super) fn answer(&mut self, request: Request, descriptors: Vec<OwnedFd>) -> Answer {
        self.act(request, descriptors).unwrap_or_else(|error| Answer::Refused(Refusal::from(error)))
    }

    fn act(&mut self, request: Request, descriptors: Vec<OwnedFd>) -> Result<Answer, NetworkError> {
        match request {
            Request::Hello { .. } => return Ok(Answer::Welcome { version: VERSION }),
            Request::Attach { id, team, mac } => {
                check_id(&id)?;
                check_team(&team)?;
                let [namespace, socket] = two(descriptors)?;
                return self.attach(&id, &team, mac, namespace, socket).map(Answer::Attached);
            }
            Request::Loopback => {
                let [_, socket] = two(descriptors)?;
                super::attach::bring_loopback_up(socket)?;
            }
            Request::Rename { from, to } => {
                check_id(&to)?;
                self.rename(&from, &to)?;
            }
            Request::Detach { id } => self.detach(&id)?,
            Request::Publish { id, address, ports } => {
                check_id(&id)?;
                return self.publish(&id, address, &ports).map(|ports| Answer::Published { ports });
            }
            Request::Unpublish { id } => self.unpublish(&id)?,
            Request::State { after } => return Ok(self.state(&after)),
            Request::RemoveTeam { team } => self.remove_team(&team)?,
            Request::Purge => self.purge()?,
        }
        Ok(Answer::Done)
    }

    /// One page of the state, by id.
    fn state(&self, after: &str) -> Answer {
        let mut ids: Vec<&String> = self.endpoints.keys().chain(self.published.keys()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| id.as_str() > after);
        let more = ids.len() > PAGE;
        ids.truncate(PAGE);
        let bridges = if after.is_empty() { self.bridges.as_slice() } else { &[] };
        Answer::State {
            endpoints: ids
                .iter()
                .filter_map(|id| Some(((*id).clone(), self.endpoint(self.endpoints.get(*id)?)?)))
                .collect(),
            ports: ids.iter().filter_map(|id| Some(((*id).clone(), self.published.get(*id)?.ports.clone()))).collect(),
            bridges: bridges
                .iter()
                .map(|bridge| (bridge.team.clone(), bridge.name.clone(), bridge.gateway(), bridge.subnet.prefix()))
                .collect(),
            next: ids.last().filter(|_| more).map(|id| (*id).clone()),
        }
    }

    /// How the wire describes an endpoint.
    pub(super) fn endpoint(&self, endpoint: &EndpointFile) -> Option<Endpoint> {
        let bridge = self.bridges.iter().find(|bridge| bridge.name == endpoint.bridge)?;
        Some(bridge.describe(endpoint.address, endpoint.mac))
    }

    /// When [`Networks::look_after`] wants to be called.
    pub(super) fn next_deadline(&self) -> Instant {
        let leaving = self.leaving.iter().map(|leaving| leaving.look_at).min();
        leaving.map_or(self.next_check, |leaving| leaving.min(self.next_check))
    }

    /// What is to be done after the answers.
    pub(super) fn look_after(&mut self) -> Result<(), NetworkError> {
        self.clear_leaving()?;
        if self.next_check <= Instant::now() {
            self.next_check = Instant::now() + CHECK_PERIOD;
            self.forget_ended()?;
        }
        Ok(())
    }

    /// Name of our table; also the comment of our rules in the chains of others.
    pub(super) fn table(&self) -> String {
        format!("sampan-{}", self.arguments.instance)
    }

    /// With what the names of all our links begin.
    pub(super) fn link_prefix(&self) -> String {
        format!("spn{}", self.arguments.instance)
    }
}

fn two(descriptors: Vec<OwnedFd>) -> Result<[OwnedFd; 2], NetworkError> {
    <[OwnedFd; 2]>::try_from(descriptors).map_err(|given| {
        let message = format!("a network namespace and a socket inside it are needed, {} came", given.len());
        NetworkError::refused(RefusalKind::Invalid, message)
    })
}

/// An id names a file.
fn check_id(id: &str) -> Result<(), NetworkError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=128).contains(&id.len()) && id.bytes().all(fits) {
        return Ok(());
    }
    Err(NetworkError::refused(RefusalKind::Invalid, format!("{id:?} is no id of a container")))
}

/// A team's key stands in a bridge's alias.
fn check_team(team: &str) -> Result<(), NetworkError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (1..=16).contains(&team.len()) && team.bytes().all(fits) {
        return Ok(());
    }
    Err(NetworkError::refused(RefusalKind::Invalid, format!("{team:?} is no key of a team")))
}
