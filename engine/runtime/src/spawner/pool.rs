//! Cradles that wait: raised behind the answer to a start, so that the next container of the same team and kind finds
//! its first process standing in its cgroups and namespaces, /proc, /dev and /sys put up.
//!
//! An attach to a v1 cgroup alone takes 6 to 15 ms on a quiet host. A cradle carries the id of the container it is for
//! (a v2 cgroup cannot be renamed); an id whose cradle was given back meanwhile starts the longer way. The raising is
//! done by a child of ours, so that no request waits for it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::network;
use super::running::Kept;
use super::server::Spawner;
use crate::cgroups::Cgroup;
use crate::failure::{Doing, refusal};
use crate::lifecycle::Cradle;
use crate::namespaces::Newborn;
use crate::sandbox::{NetworkMode, Sandbox, Team};
use crate::spec::{Furniture, Plan, Whose};
use crate::sys::clone::{Cloned, SAME_PARENT, clone3, exit_now};
use crate::user_namespace::Mappings;
use crate::wire::socket::Connection;
use crate::wire::spawner::Endpoint;
use crate::wire::{Refusal, RefusalKind, net};

/// Most at once, whatever is asked for: each holds about half a megabyte of the kernel's memory.
const IN_ALL: usize = 64;
/// One that nobody took for so long is given back.
const IDLE: Duration = Duration::from_secs(60);

/// What two containers have in common when one can take the other's cradle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    team: Team,
    network: NetworkMode,
    mappings: Mappings,
    furniture: Furniture,
}

impl Kind {
    /// The kind of a container; none for one that departs from the common shape and has to be started from nothing.
    pub fn of(plan: &Plan, sandbox: &Sandbox) -> Option<Self> {
        let joined = &plan.joined;
        let own = [&joined.network, &joined.pid, &joined.ipc, &joined.uts, &joined.cgroup];
        let common = own.iter().all(|whose| **whose == Whose::Own)
            && matches!(sandbox.network, NetworkMode::None | NetworkMode::Bridge)
            && sandbox.mac.is_none()
            && plan.devices.is_empty()
            && plan.furniture.parameters.is_empty();
        let mappings = joined.mappings.clone().filter(|_| common)?;
        let furniture = plan.furniture.clone();
        Some(Self { team: sandbox.team.clone(), network: sandbox.network.clone(), mappings, furniture })
    }
}

/// A cradle on its way or standing.
#[derive(Debug)]
struct Entry {
    id: String,
    kind: Kind,
    since: Instant,
    /// To the child that raises it; none once it stands.
    coming: Option<Connection>,
    standing: Option<(Cradle, Kept)>,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: Vec<Entry>,
    /// To be raised after the present answer.
    wanted: Vec<(String, Kind)>,
}

/// What the raising child says at its end; beside it pidfd, connection, mount, user and network namespace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Raised {
    Stands { pid: i32, endpoint: Option<Endpoint> },
    Failed(Refusal),
}

impl Pool {
    /// Connections that tell of cradles on their way.
    pub fn coming(&self) -> impl Iterator<Item = (&str, &Connection)> {
        self.entries.iter().filter_map(|entry| Some((entry.id.as_str(), entry.coming.as_ref()?)))
    }

    /// Time until one has waited too long.
    pub fn rest(&self) -> Option<Duration> {
        self.entries.first().map(|oldest| IDLE.saturating_sub(oldest.since.elapsed()))
    }

    /// Notes cradles to raise once the present request is answered.
    pub fn want(&mut self, ids: Vec<String>, kind: Option<Kind>) {
        let Some(kind) = kind else { return };
        self.wanted.extend(ids.into_iter().take(IN_ALL).map(|id| (id, kind.clone())));
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }
}

impl Spawner {
    /// Raises what was wanted; a failure is told in the log, since a start without a cradle only takes longer.
    pub(super) fn raise_wanted(&mut self) {
        for (id, kind) in std::mem::take(&mut self.pool.wanted) {
            if let Err(refusal) = self.raise_one(&id, kind) {
                eprintln!("spawner: no cradle for the next container: {refusal}");
            }
        }
    }

    fn raise_one(&mut self, id: &str, kind: Kind) -> Result<(), Refusal> {
        super::files::check_id(id)?;
        if self.pool.place(id).is_some() || self.kept.contains_key(id) {
            return Err(refusal(RefusalKind::Conflict, format!("{id} has a cradle or runs already")));
        }
        if self.pool.entries.len() >= IN_ALL {
            let oldest = self.pool.entries[0].id.clone();
            self.give_back(&oldest);
        }
        let (ours, theirs) = Connection::pair().doing(|| "make a socket".to_owned())?;
        match clone3(SAME_PARENT, None).doing(|| "make a process".to_owned())? {
            Cloned::Child => {
                drop(ours);
                exit_now(self.raise_in_child(id, &kind, &theirs));
            }
            Cloned::Parent { .. } => {
                let entry =
                    Entry { id: id.to_owned(), kind, since: Instant::now(), coming: Some(ours), standing: None };
                self.pool.entries.push(entry);
                Ok(())
            }
        }
    }

    /// All of the raising, in a child that ends right after; its exit status.
    fn raise_in_child(&mut self, id: &str, kind: &Kind, tell: &Connection) -> i32 {
        // Our parent's questions and answers on this connection are not ours.
        self.peers.forget_net();
        let told = match self.raise_whole(id, kind) {
            Ok((cradle, kept)) => {
                let word = Raised::Stands { pid: cradle.newborn.pid, endpoint: kept.endpoint };
                let namespaces = [kept.user.as_ref(), kept.network.as_ref()].into_iter().flatten();
                let mut given =
                    vec![cradle.newborn.pidfd.as_fd(), cradle.newborn.connection.as_fd(), cradle.mounts.as_fd()];
                given.extend(namespaces.map(AsFd::as_fd));
                tell.send(&word, &given)
            }
            Err(refusal) => tell.send(&Raised::Failed(refusal), &[]),
        };
        i32::from(told.is_err())
    }

    fn raise_whole(&mut self, id: &str, kind: &Kind) -> Result<(Cradle, Kept), Refusal> {
        let cgroup = self.make_cgroup(&kind.team, id)?;
        let (cradle, made) = Cradle::raise_anew(&kind.mappings, &kind.furniture, &cgroup, self.own_program.as_fd())?;
        // While the cradle furnishes itself.
        let endpoint = match &made.network {
            Some(network) => network::furnish(&mut self.peers, id, &kind.team, &kind.network, None, network.as_fd())?,
            None => None,
        };
        Ok((cradle, Kept { user: Some(made.user), network: made.network, endpoint }))
    }

    /// The child that raises the cradle for `id` has something to say.
    pub(super) fn cradle_came(&mut self, id: &str) {
        let Some(place) = self.pool.place(id) else { return };
        let Some(connection) = self.pool.entries[place].coming.take() else { return };
        match stands(&connection) {
            Ok((cradle, kept)) => {
                self.pool.entries[place].standing = Some((cradle, kept));
                if let Err(refusal) = self.keep_namespaces(id) {
                    eprintln!("spawner: a cradle is given back: {refusal}");
                    self.give_back(id);
                }
            }
            Err(refusal) => {
                eprintln!("spawner: a cradle could not be raised: {refusal}");
                self.give_back(id);
            }
        }
    }

    /// Keeps the namespaces as those of a container: the next spawner finds them and so does this one's sweep.
    fn keep_namespaces(&mut self, id: &str) -> Result<(), Refusal> {
        let Some(place) = self.pool.place(id) else { return Ok(()) };
        let Some((_, kept)) = &self.pool.entries[place].standing else { return Ok(()) };
        let named = [("userns", &kept.user), ("netns", &kept.network)];
        for (what, namespace) in named {
            if let Some(namespace) = namespace {
                self.peers.keep(id, what, &[namespace.as_fd()])?;
            }
        }
        Ok(())
    }

    /// The cradle for `id`, if there is one of this kind; its namespaces are among the kept ones from now on. One of
    /// another kind is given back.
    pub(super) fn take_cradle(&mut self, id: &str, kind: Option<&Kind>) -> Option<(Cradle, Cgroup)> {
        let place = self.pool.place(id)?;
        if self.pool.entries[place].coming.is_some() {
            // Faster than to begin anew.
            self.cradle_came(id);
        }
        let place = self.pool.place(id)?;
        if kind != Some(&self.pool.entries[place].kind) {
            self.give_back(id);
            return None;
        }
        let entry = self.pool.entries.remove(place);
        let (cradle, kept) = entry.standing?;
        self.kept.insert(id.to_owned(), kept);
        let path = format!("{}/{}/{id}", self.parent.path(), entry.kind.team.key);
        match Cgroup::open(self.parent.layout(), &path) {
            Ok(Some(cgroup)) => Some((cradle, cgroup)),
            _ => None,
        }
    }

    /// Ends a waiting cradle and lets go of all that was made for it.
    pub(super) fn give_back(&mut self, id: &str) {
        let Some(place) = self.pool.place(id) else { return };
        let entry = self.pool.entries.remove(place);
        if let Some(connection) = entry.coming {
            // Else what is on its way would come when nobody listens.
            drop(stands(&connection));
        }
        if let Some((_, kept)) = entry.standing {
            self.networks.extend(kept.network);
        }
        self.let_peers_forget(id, entry.kind.network == NetworkMode::Bridge);
        let path = format!("{}/{}/{id}", self.parent.path(), entry.kind.team.key);
        if let Ok(Some(cgroup)) = Cgroup::open(self.parent.layout(), &path) {
            self.discard(cgroup);
        }
    }

    /// Gives back those that waited too long.
    pub(super) fn give_back_idle(&mut self) {
        while self.pool.entries.first().is_some_and(|oldest| oldest.since.elapsed() >= IDLE) {
            let id = self.pool.entries[0].id.clone();
            self.give_back(&id);
        }
    }

    /// Gives back all of a team.
    pub(super) fn give_back_team(&mut self, key: &str) {
        let of_team = self.pool.entries.iter().filter(|entry| entry.kind.team.key == key);
        for id in of_team.map(|entry| entry.id.clone()).collect::<Vec<_>>() {
            self.give_back(&id);
        }
    }

    /// Lets keeper and net forget namespaces, process and address of `id`; goes on after an error.
    pub(super) fn let_peers_forget(&mut self, id: &str, on_bridge: bool) {
        let mut done = vec![self.peers.drop_kept(id, &["userns", "netns", "pidfd"])];
        if on_bridge {
            done.push(self.peers.net(&net::Request::Detach { id: id.to_owned() }, &[]).map(drop));
        }
        for refusal in done.into_iter().filter_map(Result::err) {
            if refusal.kind != RefusalKind::NotFound {
                eprintln!("spawner: while letting go of container {id}: {refusal}");
            }
        }
    }
}

fn stands(connection: &Connection) -> Result<(Cradle, Kept), Refusal> {
    let lost = || refusal(RefusalKind::Internal, "the process that raises a cradle ended without a word");
    match connection.receive::<Raised>().doing(|| "hear of a cradle".to_owned())? {
        Some((Raised::Stands { pid, endpoint }, descriptors)) => {
            let descriptors: [OwnedFd; 5] = descriptors.try_into().map_err(|_| lost())?;
            let [pidfd, connection, mounts, user, network] = descriptors;
            let newborn = Newborn { pid, pidfd, connection: connection.into() };
            Ok((Cradle::found(newborn, mounts), Kept { user: Some(user), network: Some(network), endpoint }))
        }
        Some((Raised::Failed(refusal), _)) => Err(refusal),
        None => Err(lost()),
    }
}
