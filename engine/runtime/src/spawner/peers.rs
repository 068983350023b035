//! The other processes that spawner asks: keeper, net, the teams' monitors. Each question waits for its answer.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Doing, refusal};
use crate::sandbox::Team;
use crate::space;
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind, VERSION, keeper, monitor, net};

/// Connections to the others.
#[derive(Debug)]
pub(super) struct Peers {
    keeper: Connection,
    /// Answers of keeper that were not waited for.
    unread: usize,
    monitors: HashMap<String, Connection>,
    net: Option<Connection>,
}

impl Peers {
    /// Says hello to keeper over the connection that it left to us.
    pub fn new(keeper: OwnedFd) -> Result<Self, Refusal> {
        let mut peers = Self { keeper: keeper.into(), unread: 0, monitors: HashMap::new(), net: None };
        peers.keeper(&keeper::Request::Hello { version: VERSION, role: keeper::Role::Spawner }, &[])?;
        Ok(peers)
    }

    /// Keeper's end of the connection, to see when it goes.
    pub fn keeper_descriptor(&self) -> BorrowedFd<'_> {
        self.keeper.as_fd()
    }

    /// One question to keeper.
    pub fn keeper(
        &mut self,
        request: &keeper::Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(keeper::Answer, Vec<OwnedFd>), Refusal> {
        self.settle_keeper()?;
        match ask(&self.keeper, request, descriptors).doing(|| "ask keeper".to_owned())? {
            (keeper::Answer::Refused(refusal), _) => Err(refusal),
            answer => Ok(answer),
        }
    }

    /// Keeps descriptors of a container.
    pub fn keep(&mut self, id: &str, what: &str, descriptors: &[BorrowedFd<'_>]) -> Result<(), Refusal> {
        self.keeper(&keeper::Request::Put { name: format!("container/{id}/{what}") }, descriptors).map(drop)
    }

    /// A request to keeper whose answer [`Self::settle_keeper`] reads.
    pub fn keeper_later(&mut self, request: &keeper::Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), Refusal> {
        self.keeper.send(request, descriptors).doing(|| "ask keeper".to_owned())?;
        self.unread += 1;
        Ok(())
    }

    /// Reads the answers that were not waited for.
    ///
    /// # Errors
    /// The first refusal among them, after all were read.
    pub fn settle_keeper(&mut self) -> Result<(), Refusal> {
        let mut settled = Ok(());
        for _ in 0..std::mem::take(&mut self.unread) {
            let answer = self.keeper.receive().and_then(|answer| {
                answer.map(|(answer, _)| answer).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
            });
            if let keeper::Answer::Refused(refusal) = answer.doing(|| "ask keeper".to_owned())? {
                settled = settled.and(Err(refusal));
            }
        }
        settled
    }

    /// Keeps several things of a container by one message: each name with its descriptors. Answered later.
    pub fn keep_all_later(&mut self, id: &str, parts: &[(&str, &[BorrowedFd<'_>])]) -> Result<(), Refusal> {
        let names = parts.iter().map(|(what, given)| (format!("container/{id}/{what}"), given.len())).collect();
        let given: Vec<BorrowedFd<'_>> = parts.iter().flat_map(|(_, given)| given.iter().copied()).collect();
        self.keeper_later(&keeper::Request::PutAll { names }, &given)
    }

    /// What is kept of a container, if anything.
    pub fn kept(&mut self, id: &str, what: &str) -> Result<Vec<OwnedFd>, Refusal> {
        match self.keeper(&keeper::Request::Get { name: format!("container/{id}/{what}") }, &[]) {
            Ok((_, descriptors)) => Ok(descriptors),
            Err(refusal) if refusal.kind == RefusalKind::NotFound => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Lets keeper let go of what is kept of a container under names that start so.
    pub fn drop_kept(&mut self, id: &str, what: &[&str]) -> Result<(), Refusal> {
        let prefixes = what.iter().map(|what| format!("container/{id}/{what}")).collect();
        self.keeper(&keeper::Request::Drop { prefixes }, &[]).map(drop)
    }

    /// One question to a team's monitor, which is started if need be.
    pub fn monitor(
        &mut self,
        team: &Team,
        request: &monitor::Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Refusal> {
        if let Some(connection) = self.monitors.get(&team.key) {
            match ask(connection, request, descriptors) {
                Ok((monitor::Answer::Refused(refusal), _)) => return Err(refusal),
                Ok(_) => return Ok(()),
                // It was started anew since.
                Err(_) => drop(self.monitors.remove(&team.key)),
            }
        }
        self.keeper(&keeper::Request::EnsureMonitor { team: team.clone() }, &[])?;
        let path = Path::new(space::STATE).join("monitor").join(format!("{}.sock", team.key));
        let doing = || format!("ask the monitor of team {}", team.key);
        let connection = Connection::connect(&path).doing(doing)?;
        let hello = monitor::Request::Hello { version: VERSION };
        let _: (monitor::Answer, _) = ask(&connection, &hello, &[]).doing(doing)?;
        let answer = ask(&connection, request, descriptors).doing(doing)?;
        self.monitors.insert(team.key.clone(), connection);
        match answer {
            (monitor::Answer::Refused(refusal), _) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Whether net listens.
    pub fn has_net(&self) -> bool {
        self.net.is_some() || Connection::connect(&Path::new(space::STATE).join("net.sock")).is_ok()
    }

    /// Closes the connection to net; the next question opens a new one.
    pub fn forget_net(&mut self) {
        self.net = None;
    }

    /// One question to net.
    pub fn net(&mut self, request: &net::Request, descriptors: &[BorrowedFd<'_>]) -> Result<net::Answer, Refusal> {
        if let Some(connection) = &self.net {
            match ask(connection, request, descriptors) {
                Ok((net::Answer::Refused(refusal), _)) => return Err(refusal),
                Ok((answer, _)) => return Ok(answer),
                Err(_) => self.net = None,
            }
        }
        let doing = || "ask the network process (net)".to_owned();
        let connection = Connection::connect(&Path::new(space::STATE).join("net.sock")).doing(doing)?;
        let _: (net::Answer, _) = ask(&connection, &net::Request::Hello { version: VERSION }, &[]).doing(doing)?;
        let answer = ask(&connection, request, descriptors).doing(doing)?;
        self.net = Some(connection);
        match answer {
            (net::Answer::Refused(refusal), _) => Err(refusal),
            (answer, _) => Ok(answer),
        }
    }
}

fn ask<A: DeserializeOwned>(
    connection: &Connection,
    request: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> std::io::Result<(A, Vec<OwnedFd>)> {
    connection.send(request, descriptors)?;
    connection.receive()?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// What another process answered that makes no sense here.
pub(super) fn strange(who: &str) -> Refusal {
    refusal(RefusalKind::Internal, format!("{who} gave an answer that does not fit the question"))
}
