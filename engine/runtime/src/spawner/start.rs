//! Starts the main process of a container.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};

use super::device_rules;
use super::files::{self, Files};
use super::grants::Grants;
use super::network;
use super::pool::Kind;
use super::prepared::Prepared;
use super::running::{Kept, Running, namespace};
use super::server::Spawner;
use super::sources::{self, Places};
use super::stdio::Streams;
use crate::capabilities::ProcessCapabilities;
use crate::cgroups::Cgroup;
use crate::failure::{Doing, refusal};
use crate::lifecycle::{Blueprint, Cradle, filter, orders, send_orders};
use crate::namespaces::{From, Nest};
use crate::rlimits;
use crate::rootfs::layers::Lowers;
use crate::rootfs::resolve;
use crate::sandbox::{Filter, Sandbox};
use crate::seccomp;
use crate::spec::{Plan, Source, Whose};
use crate::sys::mounts::{Attributes, copy_tree};
use crate::time::now_ns;
use crate::user_namespace::{self, Made};
use crate::wire::spawner::{Endpoint, Started};
use crate::wire::{Refusal, RefusalKind};

/// What is made for one start and given to its record.
struct Parts {
    root: OwnedFd,
    lowers: Rc<Lowers>,
    filter: Option<seccomp::Program>,
    cgroup: Cgroup,
    joined: Joined,
}

/// Descriptors of namespaces of other containers.
#[derive(Default)]
struct Joined {
    user: Option<OwnedFd>,
    network: Option<OwnedFd>,
    pid: Option<OwnedFd>,
    ipc: Option<OwnedFd>,
}

impl Spawner {
    /// Checks the two files and makes the writable layer.
    pub(super) fn create(&mut self, id: &str) -> Result<(), Refusal> {
        let made = Prepared::read(self.data.as_fd(), id)?;
        let (plan, sandbox) = (&made.plan, &made.files.sandbox);
        rlimits::check(plan.process.rlimits().as_deref().unwrap_or_default())
            .map_err(|error| refusal(error.kind(), error.to_string()))?;
        self.filter(plan, sandbox)?;
        let places = Places { space: &self.space, data: self.data.as_fd(), data_root: &self.arguments.data_root };
        sources::check(places, &plan.sources, sandbox)?;
        Grants::of(places, sandbox)?.check(&plan.sources)?;
        let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
        let lowers = self.layers.lowers(&sandbox.root, base, self.data.as_fd())?;
        super::folders::make_layer(made.files.folder.as_fd(), &lowers)?;
        self.fresh.insert(id.to_owned());
        self.keep_prepared(made);
        Ok(())
    }

    /// Starts it; on failure everything made on the way is gone again, but for what an earlier start had left.
    pub(super) fn start(&mut self, id: &str, next: Vec<String>) -> Result<Started, Refusal> {
        let prepared = match self.take_prepared(id) {
            Some(prepared) => prepared,
            None => Prepared::read(self.data.as_fd(), id)?,
        };
        if self.running(id)?.is_some_and(|running| running.is_alive()) {
            return Err(refusal(RefusalKind::Conflict, format!("container {id} runs already")));
        }
        self.forget_running(id);
        self.flush.let_go_of(id);
        let Prepared { plan, files: Files { sandbox, folder, .. }, root } = prepared;
        let kind = Kind::of(&plan, &sandbox);
        let cradle = self.take_cradle(id, kind.as_ref());
        let had_kept = cradle.is_none() && self.find_kept(&sandbox)?;
        self.fresh.remove(id);
        let outcome = self.start_checked(&plan, &sandbox, &folder, cradle, root);
        if outcome.is_ok() {
            self.pool.want(next, kind);
        }
        if outcome.is_err() && !had_kept {
            self.let_go(&sandbox);
        }
        outcome
    }

    fn start_checked(
        &mut self,
        plan: &Plan,
        sandbox: &Sandbox,
        folder: &OwnedFd,
        cradle: Option<(Cradle, Cgroup)>,
        root: Option<(Rc<Lowers>, OwnedFd)>,
    ) -> Result<Started, Refusal> {
        self.sweep_own(&sandbox.id);
        let joined = self.joined(plan, sandbox)?;
        if joined.network.is_none() {
            self.ensure_kept(plan, sandbox, joined.user.as_ref())?;
        }
        let (cradle, cgroup) = cradle.unzip();
        let parts = self.parts(plan, sandbox, joined, cgroup, root)?;
        let cgroup = parts.cgroup.clone();
        // Without room for it the start fails as well, at the orders' own copy.
        let root = parts.root.try_clone();
        let outcome = match cradle {
            Some(cradle) => self.run_in(plan, sandbox, folder, parts, cradle),
            None => match self.raise(plan, sandbox, &parts) {
                Ok(cradle) => self.run_in(plan, sandbox, folder, parts, cradle),
                Err(refusal) => Err(refusal),
            },
        };
        if outcome.is_err() {
            // It holds no process any more, or one that is about to end.
            self.discard(cgroup);
            if let Ok(root) = root {
                self.flush.hold(&sandbox.id, root);
            }
        }
        outcome
    }

    fn parts(
        &mut self,
        plan: &Plan,
        sandbox: &Sandbox,
        joined: Joined,
        cgroup: Option<Cgroup>,
        prepared: Option<(Rc<Lowers>, OwnedFd)>,
    ) -> Result<Parts, Refusal> {
        let base = sandbox.user_namespace.then_some(sandbox.team.base_id);
        let lowers = self.layers.lowers(&sandbox.root, base, self.data.as_fd())?;
        let prepared = prepared.filter(|(image, _)| Rc::ptr_eq(image, &lowers));
        let root = match (self.root_at_work(sandbox)?, prepared) {
            (Some(root), _) | (None, Some((_, root))) => root,
            (None, None) => self.make_root(sandbox, &lowers)?,
        };
        let filter = self.filter(plan, sandbox)?;
        let cgroup = match cgroup {
            Some(cgroup) => cgroup,
            None => self.make_cgroup(&sandbox.team, &sandbox.id)?,
        };
        Ok(Parts { root, lowers, filter, cgroup, joined })
    }

    /// Raises a cradle for a container that found none waiting.
    fn raise(&self, plan: &Plan, sandbox: &Sandbox, parts: &Parts) -> Result<Cradle, Refusal> {
        let kept = self.kept.get(&sandbox.id);
        let joined = &parts.joined;
        let user = joined.user.as_ref().or_else(|| kept.and_then(|kept| kept.user.as_ref()));
        let network = joined.network.as_ref().or_else(|| kept.and_then(|kept| kept.network.as_ref()));
        Cradle::raise(&Blueprint {
            nest: Nest {
                user: user.map(AsFd::as_fd),
                network: network.map(AsFd::as_fd),
                pid: from(&plan.joined.pid, joined.pid.as_ref()),
                ipc: from(&plan.joined.ipc, joined.ipc.as_ref()),
                uts: from(&plan.joined.uts, None),
                cgroup: from(&plan.joined.cgroup, None),
            },
            mappings: plan.joined.mappings.as_ref(),
            furniture: &plan.furniture,
            devices: &plan.devices,
            cgroup: Some(&parts.cgroup),
            own_program: Some(self.own_program.as_fd()),
            same_parent: true,
        })
    }

    fn run_in(
        &mut self,
        plan: &Plan,
        sandbox: &Sandbox,
        folder: &OwnedFd,
        parts: Parts,
        mut cradle: Cradle,
    ) -> Result<Started, Refusal> {
        let endpoint = self.kept.get(&sandbox.id).and_then(|kept| kept.endpoint.clone());
        rlimits::make_room(cradle.newborn.pid, plan.process.rlimits().as_deref().unwrap_or_default());
        let (orders, mut descriptors) = self.orders(plan, sandbox, &parts, endpoint.as_ref())?;
        let streams = if sandbox.stdio.tty { None } else { Some(Streams::make(sandbox.stdio.stdin)?) };
        let looked_up = orders.program.lookup;
        let outside = Self::give_orders(plan, orders, &mut descriptors, streams, &parts, &mut cradle)?;
        let at_ns = now_ns();
        if sandbox.stdio.tty {
            let (_, _, master) = cradle.wait_until_prepared()?;
            self.announce(sandbox, folder, &cradle, master.as_slice(), at_ns)?;
        } else {
            // Keeper and monitor are told while the init puts its root together.
            self.announce(sandbox, folder, &cradle, &outside, at_ns)?;
            if let Err(refusal) = hand_over(plan, &mut cradle, looked_up, outside) {
                self.take_back(sandbox);
                return Err(refusal);
            }
        }
        if let Err(refusal) = self.peers.settle_keeper().and_then(|()| cradle.run()) {
            self.take_back(sandbox);
            return Err(refusal);
        }
        let started = Started { pid: cradle.newborn.pid, at_ns, endpoint };
        let running = Running {
            pid: cradle.newborn.pid,
            pidfd: cradle.newborn.pidfd,
            mounts: Some(cradle.mounts),
            lowers: Some(parts.lowers),
            execs: HashMap::new(),
        };
        self.running.insert(sandbox.id.clone(), running);
        // The overlay's last reference must not be closed on the way: it is in the container now.
        Ok(started)
    }

    fn orders(
        &mut self,
        plan: &Plan,
        sandbox: &Sandbox,
        parts: &Parts,
        endpoint: Option<&Endpoint>,
    ) -> Result<(crate::spec::Orders, Vec<OwnedFd>), Refusal> {
        let mut orders = orders(plan, sandbox.stdio.stdin);
        orders.program.filter = parts.filter.clone();
        orders.program.groups = sandbox.groups.clone();
        orders.program.init = sandbox.init;
        let root = parts.root.try_clone().doing(|| "copy a descriptor".to_owned())?;
        let mut descriptors = vec![root];
        let mut shared = Vec::new();
        for source in plan.sources.iter().filter(|source| source.container.is_some()) {
            shared.push(self.shared_memory(source)?);
        }
        let mut shared = shared.into_iter();
        let shift = match sandbox.user_namespace {
            true => Some(self.layers.shift(sandbox.team.base_id, self.data.as_fd())?),
            false => None,
        };
        let namespace = shift.as_ref().map(|shift| shift.namespace.as_fd());
        let places = Places { space: &self.space, data: self.data.as_fd(), data_root: &self.arguments.data_root };
        let grants = Grants::of(places, sandbox)?;
        for source in &plan.sources {
            let make = sandbox.make_sources.contains(&source.path);
            descriptors.push(match (&source.container, grants.hold(source)) {
                (Some(_), _) => shared.next().ok_or_else(|| refusal(RefusalKind::Internal, "a source got lost"))?,
                (None, true) => grants.open(source)?,
                (None, false) => sources::open(places, source, namespace, make)?,
            });
        }
        for (placement, file) in sources::files(&sandbox.files, endpoint, plan.joined.mappings.as_ref())? {
            // A person's own mount over the same path wins.
            if !orders.placements.iter().any(|one| one.destination == placement.destination) {
                orders.placements.push(placement);
                descriptors.push(file);
            }
        }
        Ok((orders, descriptors))
    }

    /// A detached mount of what another container has at /dev/shm; that it may be joined was looked at with its IPC.
    fn shared_memory(&mut self, source: &Source) -> Result<OwnedFd, Refusal> {
        let id = source.container.as_deref().unwrap_or_default();
        let doing = || format!("open {} of container {id}", source.path.display());
        let mounts = namespace(self.alive(id)?, "mnt")?;
        let attributes =
            Attributes { set: source.attributes, propagation: source.propagation, ..Attributes::default() };
        self.space.inside(mounts.as_fd(), || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open("/", flags, Mode::empty()).doing(doing)?;
            let place = resolve::without_links(root.as_fd(), &source.path).doing(doing)?;
            copy_tree(place.as_fd(), Path::new(""), attributes, false).doing(doing)
        })
    }

    /// Says what is to be done; answers the ends of the streams that stay outside.
    fn give_orders(
        plan: &Plan,
        orders: crate::spec::Orders,
        descriptors: &mut Vec<OwnedFd>,
        streams: Option<Streams>,
        parts: &Parts,
        cradle: &mut Cradle,
    ) -> Result<Vec<OwnedFd>, Refusal> {
        let (inside, outside) = match streams {
            Some(streams) => {
                let (user, group) = host_ids(plan, plan.process.user().uid(), plan.process.user().gid())?;
                streams.give_to(user, group)?;
                (streams.inside, streams.outside)
            }
            None => (Vec::new(), Vec::new()),
        };
        descriptors.extend(inside);
        cradle.wait_until_ready()?;
        parts.cgroup.apply(&plan.resources).map_err(|error| refusal(error.kind(), error.to_string()))?;
        send_orders(&cradle.newborn.connection, orders, descriptors)?;
        descriptors.clear();
        Ok(outside)
    }

    /// The compiled filter, kept by what it is made of.
    pub(super) fn filter(&mut self, plan: &Plan, sandbox: &Sandbox) -> Result<Option<seccomp::Program>, Refusal> {
        let docker_default = sandbox.filter == Filter::DockerDefault;
        if !docker_default && plan.seccomp.is_none() {
            return Ok(None);
        }
        // By bits: a set of names is written in another order each time.
        let bounding = match plan.process.capabilities() {
            Some(sets) => Some(
                ProcessCapabilities::from_oci(sets).map_err(|error| refusal(error.kind(), error.to_string()))?.bounding,
            ),
            None => None,
        };
        let key = format!("{docker_default} {bounding:?} {:?}", plan.seccomp);
        if let Some(program) = self.filters.get(&key) {
            return Ok(program.clone());
        }
        let program = filter(plan.seccomp.as_ref(), docker_default, &plan.process)?;
        if self.filters.len() >= 32 {
            self.filters.clear();
        }
        self.filters.insert(key, program.clone());
        Ok(program)
    }

    /// Namespaces of other containers of the same team that it joins.
    fn joined(&mut self, plan: &Plan, sandbox: &Sandbox) -> Result<Joined, Refusal> {
        let mut joined = Joined::default();
        let mut owner = None;
        for (whose, kind) in [(&plan.joined.network, "net"), (&plan.joined.pid, "pid"), (&plan.joined.ipc, "ipc")] {
            let Whose::Container(other) = whose else { continue };
            if owner.as_ref().is_some_and(|owner| owner != other) && sandbox.user_namespace {
                let message = "the namespaces of two different containers cannot be joined at once";
                return Err(refusal(RefusalKind::Unsupported, message));
            }
            owner = Some(other.clone());
            let theirs = files::sandbox(self.data.as_fd(), other)?;
            if theirs.team != sandbox.team || theirs.user_namespace != sandbox.user_namespace {
                let message = format!("container {other} is of another team or has another kind of user namespace");
                return Err(refusal(RefusalKind::Invalid, message));
            }
            let running = self.alive(other)?;
            let found = namespace(running, kind)?;
            if sandbox.user_namespace && joined.user.is_none() {
                joined.user = Some(namespace(running, "user")?);
            }
            match kind {
                "net" => joined.network = Some(found),
                "pid" => joined.pid = Some(found),
                _ => joined.ipc = Some(found),
            }
        }
        for source in plan.sources.iter().filter(|source| source.container.is_some()) {
            if plan.joined.ipc != source.container.clone().map_or(Whose::Own, Whose::Container) {
                return Err(refusal(
                    RefusalKind::Invalid,
                    "the memory of another container goes with its IPC namespace",
                ));
            }
        }
        Ok(joined)
    }

    /// Looks for namespaces that an earlier start left; whether there are any.
    fn find_kept(&mut self, sandbox: &Sandbox) -> Result<bool, Refusal> {
        if self.kept.contains_key(&sandbox.id) {
            return Ok(true);
        }
        if self.fresh.contains(&sandbox.id) {
            return Ok(false);
        }
        let user = self.peers.kept(&sandbox.id, "userns")?.into_iter().next();
        let network = self.peers.kept(&sandbox.id, "netns")?.into_iter().next();
        if user.is_none() && network.is_none() {
            return Ok(false);
        }
        let on_bridge = network.is_some() && sandbox.network == crate::sandbox::NetworkMode::Bridge;
        let endpoint = if on_bridge { network::find(&mut self.peers, &sandbox.id)? } else { None };
        self.kept.insert(sandbox.id.clone(), Kept { user, network, endpoint });
        Ok(true)
    }

    /// Makes the namespaces that outlive a run, unless an earlier start did. `theirs`: the user namespace of the
    /// container that it joins, which has to own its network as well.
    fn ensure_kept(&mut self, plan: &Plan, sandbox: &Sandbox, theirs: Option<&OwnedFd>) -> Result<(), Refusal> {
        let doing = || "make the container's user and network namespaces".to_owned();
        match (self.kept.get(&sandbox.id).map(|kept| &kept.user), theirs) {
            (Some(_), None) => return Ok(()),
            (Some(Some(user)), Some(theirs)) if same_namespace(user, theirs).doing(doing)? => return Ok(()),
            // The other container was let go of since, and has new ones.
            (Some(_), Some(_)) => self.let_go(sandbox),
            (None, _) => {}
        }
        let own_network = plan.joined.network == Whose::Own;
        let mut kept = Kept::default();
        match (&plan.joined.mappings, theirs) {
            (Some(_), Some(theirs)) => {
                kept.user = Some(theirs.try_clone().doing(doing)?);
                let network = own_network.then(|| user_namespace::network_in(theirs.as_fd())).transpose();
                kept.network = network.doing(doing)?;
            }
            (Some(mappings), None) => {
                let Made { user, network } = user_namespace::make(mappings, own_network).doing(doing)?;
                (kept.user, kept.network) = (Some(user), network);
            }
            (None, _) if own_network => kept.network = Some(user_namespace::network_of_host().doing(doing)?),
            (None, _) => {}
        }
        if let Some(network) = &kept.network {
            kept.endpoint = network::furnish(
                &mut self.peers,
                &sandbox.id,
                &sandbox.team,
                &sandbox.network,
                sandbox.mac,
                network.as_fd(),
            )?;
        }
        let put = |peers: &mut super::peers::Peers, what: &str, namespace: &Option<OwnedFd>| match namespace {
            Some(namespace) => peers.keep(&sandbox.id, what, &[namespace.as_fd()]),
            None => Ok(()),
        };
        put(&mut self.peers, "userns", &kept.user)?;
        put(&mut self.peers, "netns", &kept.network)?;
        self.kept.insert(sandbox.id.clone(), kept);
        Ok(())
    }
}

/// Whether two descriptors stand for one namespace. Spec: namespaces(7), "The /proc/pid/ns/ directory".
fn same_namespace(one: &OwnedFd, other: &OwnedFd) -> std::io::Result<bool> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

pub(super) fn plan(spec: &oci_spec::runtime::Spec, sandbox: &Sandbox) -> Result<Plan, Refusal> {
    let mut plan = Plan::new(spec, Some(sandbox))?;
    let joined = &plan.joined;
    let by_path = [&joined.network, &joined.pid, &joined.ipc, &joined.uts, &joined.cgroup]
        .into_iter()
        .any(|whose| matches!(whose, Whose::Path(_)));
    if by_path || matches!(joined.uts, Whose::Container(_)) || matches!(joined.cgroup, Whose::Container(_)) {
        return Err(refusal(RefusalKind::Invalid, "a namespace is named that a container cannot join"));
    }
    if sandbox.user_namespace {
        device_rules::check(&mut plan.resources)?;
    }
    let joined = &plan.joined;
    let hosts = [&joined.pid, &joined.network].into_iter().any(|whose| *whose == Whose::Host);
    if hosts && sandbox.user_namespace {
        let message = "the host's pid or network namespace needs user_namespace off";
        return Err(refusal(RefusalKind::Invalid, message));
    }
    Ok(plan)
}

fn from<'a>(whose: &Whose, namespace: Option<&'a OwnedFd>) -> From<'a> {
    match (whose, namespace) {
        (_, Some(namespace)) => From::Existing(namespace.as_fd()),
        (Whose::Own, None) => From::New,
        _ => From::Here,
    }
}

/// Waits for the last step before the program, and gives the streams to the user that was found in the root.
fn hand_over(plan: &Plan, cradle: &mut Cradle, looked_up: bool, outside: Vec<OwnedFd>) -> Result<(), Refusal> {
    let (user, group, _) = cradle.wait_until_prepared()?;
    if looked_up {
        let (user, group) = host_ids(plan, user, group)?;
        Streams { inside: Vec::new(), outside }.give_to(user, group)?;
    }
    Ok(())
}

fn host_ids(plan: &Plan, user: u32, group: u32) -> Result<(u32, u32), Refusal> {
    let Some(mappings) = &plan.joined.mappings else { return Ok((user, group)) };
    mappings
        .user(user)
        .zip(mappings.group(group))
        .ok_or_else(|| refusal(RefusalKind::Invalid, format!("user {user} or group {group} is above 65,535")))
}
