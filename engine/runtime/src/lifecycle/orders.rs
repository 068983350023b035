//! Orders for an init, made of a plan.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxSeccomp, Process};

use crate::capabilities::{CapabilitySet, ProcessCapabilities};
use crate::failure::{Doing, refusal};
use crate::init::Say;
use crate::seccomp::{self, Profile};
use crate::spec::{Orders, Plan, Program};
use crate::wire::socket::Connection;
use crate::wire::{MESSAGE_DESCRIPTORS, Refusal};

/// The orders for `plan`, without what only the caller knows: filter, groups, init, count of descriptors.
pub fn orders(plan: &Plan, stdin: bool) -> Orders {
    let own_names = plan.joined.uts == crate::spec::Whose::Own;
    Orders {
        placements: plan.placements.clone(),
        read_only_root: plan.read_only_root,
        masked: plan.masked.clone(),
        read_only: plan.read_only.clone(),
        hostname: plan.hostname.clone().filter(|_| own_names),
        domainname: plan.domainname.clone().filter(|_| own_names),
        descriptors: 0,
        program: Program {
            lookup: plan.process.user().username().is_some(),
            process: plan.process.clone(),
            filter: None,
            groups: Vec::new(),
            init: false,
            stdin,
        },
    }
}

/// Sends orders with their descriptors, in as many messages as these need.
///
/// # Errors
/// `Invalid` when arguments and environment are too long together.
pub fn send_orders(connection: &Connection, mut orders: Orders, descriptors: &[OwnedFd]) -> Result<(), Refusal> {
    orders.descriptors = descriptors.len();
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut parts = descriptors.chunks(MESSAGE_DESCRIPTORS);
    send(connection, &Say::Orders(Box::new(orders)), parts.next().unwrap_or_default())?;
    for part in parts {
        send(connection, &Say::More, part)?;
    }
    Ok(())
}

pub(crate) fn send(connection: &Connection, say: &Say, descriptors: &[BorrowedFd<'_>]) -> Result<(), Refusal> {
    match connection.send(say, descriptors) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            let message = "arguments, environment and mounts of the process are too long together";
            Err(refusal(crate::wire::RefusalKind::Invalid, message))
        }
        // It ended; its last word says why.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        answer => answer.doing(|| "give a container its orders".to_owned()),
    }
}

/// The compiled filter: of `described` rules, or Docker's default for the process's capabilities.
///
/// # Errors
/// As [`seccomp`].
pub fn filter(
    described: Option<&LinuxSeccomp>,
    docker_default: bool,
    process: &Process,
) -> Result<Option<seccomp::Program>, Refusal> {
    let explain = |error: seccomp::SeccompError| refusal(error.kind(), error.to_string());
    if docker_default {
        let capabilities = bounding(process)?;
        let rules = Profile::docker_default().and_then(|profile| profile.resolve(capabilities));
        return rules.and_then(|rules| seccomp::compile(&rules)).map(Some).map_err(explain);
    }
    described.map(seccomp::compile).transpose().map_err(explain)
}

fn bounding(process: &Process) -> Result<CapabilitySet, Refusal> {
    let Some(sets) = process.capabilities() else { return Ok(CapabilitySet::NONE) };
    let sets = ProcessCapabilities::from_oci(sets).map_err(|error| refusal(error.kind(), error.to_string()))?;
    Ok(sets.bounding)
}
