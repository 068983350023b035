//! A cradle: an init that stands in its namespaces and cgroups with /proc, /dev and /sys put up, and waits for a root
//! and a program.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxDevice;

use crate::cgroups::Cgroup;
use crate::failure::{Doing, refusal};
use crate::init::{self, Stage};
use crate::namespaces::{Birth, Nest, Newborn, Word, birth, birth_anew};
use crate::rootfs::devices;
use crate::space;
use crate::spec::{Furnished, Furniture};
use crate::user_namespace::{Made, Mappings};
use crate::wire::{Refusal, RefusalKind};

/// What a cradle is made of.
#[derive(Debug)]
pub struct Blueprint<'a> {
    /// Its namespaces.
    pub nest: Nest<'a>,
    /// Its ids.
    pub mappings: Option<&'a Mappings>,
    /// Its /proc, /dev and /sys.
    pub furniture: &'a Furniture,
    /// Nodes beside the usual ones.
    pub devices: &'a [LinuxDevice],
    /// Where it is born.
    pub cgroup: Option<&'a Cgroup>,
    /// Our own program by a read-only mount, for a tiny init.
    pub own_program: Option<BorrowedFd<'a>>,
    /// A child of our parent.
    pub same_parent: bool,
}

/// A waiting init. Dropped before it got its orders, it ends.
#[derive(Debug)]
pub struct Cradle {
    /// The process.
    pub newborn: Newborn,
    /// Its mount namespace: held until after its end, since the last reference to an overlay flushes the whole upper
    /// file system.
    pub mounts: OwnedFd,
    ready: bool,
}

impl Cradle {
    /// Starts it; does not wait until it is furnished.
    ///
    /// # Errors
    /// What the helper or the making of /dev said.
    pub fn raise(blueprint: &Blueprint<'_>) -> Result<Self, Refusal> {
        let devices = make_devices(blueprint.mappings, blueprint.furniture, blueprint.devices)?;
        let stage = stage(blueprint.furniture, devices.as_ref(), blueprint.own_program, blueprint.mappings.is_some());
        let birthplace = blueprint.cgroup.map(birthplace).transpose()?.flatten();
        let how = Birth {
            nest: blueprint.nest,
            cgroup: birthplace.as_ref().map(AsFd::as_fd),
            same_parent: blueprint.same_parent,
        };
        let join = || blueprint.cgroup.map_or(Ok(()), enter_legacy);
        let newborn = birth(how, join, |connection| init::run(&stage, connection))?;
        Self::of(newborn)
    }

    /// Starts it in namespaces that are all its own, a child of our parent. This process is in the container's v1
    /// cgroups from then on: it should end soon.
    ///
    /// # Errors
    /// As [`Self::raise`].
    pub fn raise_anew(
        mappings: &Mappings,
        furniture: &Furniture,
        cgroup: &Cgroup,
        own_program: BorrowedFd<'_>,
    ) -> Result<(Self, Made), Refusal> {
        let devices = make_devices(Some(mappings), furniture, &[])?;
        let stage = stage(furniture, devices.as_ref(), Some(own_program), true);
        let birthplace = birthplace(cgroup)?;
        enter_legacy(cgroup)?;
        let born =
            birth_anew(mappings, birthplace.as_ref().map(AsFd::as_fd), |connection| init::run(&stage, connection));
        let (newborn, made) = born?;
        Ok((Self::of(newborn)?, made))
    }

    fn of(newborn: Newborn) -> Result<Self, Refusal> {
        let mounts = File::open(format!("/proc/{}/ns/mnt", newborn.pid))
            .doing(|| "hold the container's mount namespace".to_owned())?
            .into();
        Ok(Self { newborn, mounts, ready: false })
    }

    /// One that another process of ours has raised.
    pub fn found(newborn: Newborn, mounts: OwnedFd) -> Self {
        Self { newborn, mounts, ready: false }
    }

    /// Waits until it is furnished.
    ///
    /// # Errors
    /// What it could not do.
    pub fn wait_until_ready(&mut self) -> Result<(), Refusal> {
        if self.ready {
            return Ok(());
        }
        match self.hear()? {
            Some((Word::Ready, _)) => {
                self.ready = true;
                Ok(())
            }
            _ => Err(out_of_turn()),
        }
    }

    /// Waits until all but the program is done: user and group inside, and the terminal's master.
    ///
    /// # Errors
    /// What it could not do.
    pub fn wait_until_prepared(&mut self) -> Result<(u32, u32, Option<OwnedFd>), Refusal> {
        match self.hear()? {
            Some((Word::Prepared { user, group }, descriptors)) => Ok((user, group, descriptors.into_iter().next())),
            _ => Err(out_of_turn()),
        }
    }

    /// Lets it become the program and waits until it has.
    ///
    /// # Errors
    /// `command-not-found` and `command-not-runnable`; whatever else it could not do.
    pub fn run(&mut self) -> Result<(), Refusal> {
        super::orders::send(&self.newborn.connection, &init::Say::Run, &[])?;
        match self.hear()? {
            None => Ok(()),
            Some(_) => Err(out_of_turn()),
        }
    }

    fn hear(&mut self) -> Result<Option<(Word, Vec<OwnedFd>)>, Refusal> {
        hear(&self.newborn)
    }
}

fn make_devices(
    mappings: Option<&Mappings>,
    furniture: &Furniture,
    nodes: &[LinuxDevice],
) -> Result<Option<OwnedFd>, Refusal> {
    let attributes = furniture.mounts.iter().find_map(|(_, furnished)| match furnished {
        Furnished::Devices { attributes } => Some(*attributes),
        _ => None,
    });
    if attributes.is_none() && !nodes.is_empty() {
        return Err(refusal(RefusalKind::Unsupported, "devices need a tmpfs mounted at /dev"));
    }
    attributes.map(|attributes| devices::make(mappings, nodes, attributes)).transpose()
}

fn stage<'a>(
    furniture: &'a Furniture,
    devices: Option<&'a OwnedFd>,
    own_program: Option<BorrowedFd<'a>>,
    in_user_namespace: bool,
) -> Stage<'a> {
    Stage {
        stage: space::STAGE.into(),
        root: space::ROOT.into(),
        furniture,
        devices: devices.map(AsFd::as_fd),
        own_program,
        in_user_namespace,
    }
}

fn birthplace(cgroup: &Cgroup) -> Result<Option<OwnedFd>, Refusal> {
    cgroup.birthplace().map_err(|error| refusal(error.kind(), error.to_string()))
}

fn enter_legacy(cgroup: &Cgroup) -> Result<(), Refusal> {
    cgroup.enter_legacy().map_err(|error| refusal(error.kind(), error.to_string()))
}

/// The next word of a newborn; none when it closed its end: it runs, or it was killed.
///
/// # Errors
/// What it said it could not do.
pub(crate) fn hear(newborn: &Newborn) -> Result<Option<(Word, Vec<OwnedFd>)>, Refusal> {
    match newborn.connection.receive::<Word>() {
        Ok(Some((Word::Failed(refusal), _))) => Err(refusal),
        Ok(answer) => Ok(answer),
        // It ended with an order unread.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error).doing(|| "hear from a container's first process".to_owned()),
    }
}

pub(crate) fn out_of_turn() -> Refusal {
    refusal(RefusalKind::Internal, "the container's first process ended or spoke out of turn (was it killed?)")
}
