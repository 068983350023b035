//! The loop: one connection after the other, one request after the other.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Gid, Mode, OFlags, Uid, chmod, chown};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

use super::archive::Archives;
use super::arguments::Arguments;
use super::features;
use super::flush::Flush;
use super::peers::Peers;
use super::pool::Pool;
use super::prepared::Preparations;
use super::running::{Kept, Running};
use super::stdio::borrow;
use super::trash::Trash;
use super::unpack::Job;
use crate::cgroups::{Cgroup, Layout};
use crate::failure::{Doing, refusal};
use crate::own_program;
use crate::rootfs::layers::Layers;
use crate::seccomp;
use crate::space::{self, Space};
use crate::sys::descriptors;
use crate::wire::socket::{Connection, Listener};
use crate::wire::spawner::{Answer, Features, Request};
use crate::wire::{Refusal, RefusalKind};

/// How long the loop rests before it tears down what is left.
const REST: Duration = Duration::from_millis(20);

/// So many cgroups and network namespaces wait for it at most.
const GARBAGE: usize = 64;

/// Everything that spawner holds.
#[derive(Debug)]
pub(super) struct Spawner {
    pub arguments: Arguments,
    pub space: Space,
    /// The data root.
    pub data: OwnedFd,
    /// Our own executable by a read-only mount.
    pub own_program: OwnedFd,
    pub features: Features,
    /// The instance's cgroup.
    pub parent: Cgroup,
    pub layers: Layers,
    pub peers: Peers,
    pub running: HashMap<String, Running>,
    pub kept: HashMap<String, Kept>,
    /// Compiled filters by what they are made of.
    pub filters: HashMap<String, Option<seccomp::Program>>,
    /// Cgroups to remove when there is time.
    pub garbage: Vec<Cgroup>,
    /// Network namespaces to close when there is time: the kernel tears down together those that it is given together,
    /// and holds up the making of links meanwhile.
    pub networks: Vec<OwnedFd>,
    /// Containers that were made and not started yet.
    pub prepared: Preparations,
    /// Overlays to let go of when there is time.
    pub flush: Flush,
    /// Files to remove when there is time.
    pub trash: Trash,
    /// Cradles that wait for the next starts.
    pub pool: Pool,
    /// Children that work on containers' files.
    pub archives: Archives,
    /// Containers made since our birth and not started yet, or let go of since: nothing of theirs is kept anywhere.
    pub fresh: HashSet<String>,
}

/// Serves until keeper is gone for good or the socket breaks.
///
/// # Errors
/// When it cannot be set up.
pub fn run(arguments: Arguments) -> Result<(), Refusal> {
    own_program::ensure_read_only()?;
    let keeper = descriptors::inherit(arguments.keeper).doing(|| "take over the connection to keeper".to_owned())?;
    let mut spawner = Spawner::set_up(arguments, keeper)?;
    let socket = Path::new(space::STATE).join("spawner.sock");
    let listener = Listener::bind(&socket).doing(|| "listen on spawner.sock".to_owned())?;
    let owner = spawner.arguments.uid;
    chown(&socket, Some(Uid::from_raw(owner)), Some(Gid::from_raw(0))).doing(|| "give away spawner.sock".to_owned())?;
    // The peer's user is checked as well; this keeps strangers from taking connections up at all.
    chmod(&socket, Mode::from_raw_mode(0o600)).doing(|| "close spawner.sock to others".to_owned())?;
    spawner.sweep_orphans();
    if let Err(refusal) = spawner.clear_unfinished() {
        eprintln!("spawner: {refusal}");
    }
    spawner.thaw_left();
    spawner.serve(&listener)
}

impl Spawner {
    fn set_up(arguments: Arguments, keeper: OwnedFd) -> Result<Self, Refusal> {
        rustix::process::umask(Mode::empty());
        set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)
            .doing(|| "keep capabilities over a change of ids".to_owned())?;
        let layout = Layout::find().map_err(|error| refusal(error.kind(), error.to_string()))?;
        let parent = Cgroup::parent(&layout, &arguments.instance);
        let parent = parent.map_err(|error| refusal(error.kind(), error.to_string()))?;
        let own_program = own_program::open()?;
        let space = Space::enter(&[("data", &arguments.data_root), ("state", &arguments.state_root)])?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let data = rustix::fs::open(space::DATA, flags, Mode::empty()).doing(|| "open the data root".to_owned())?;
        let features = features::find(&layout, &parent, data.as_fd(), &arguments.without);
        let peers = Peers::new(keeper)?;
        Ok(Self {
            layers: Layers::new(features.detached_mounts),
            arguments,
            space,
            data,
            own_program,
            features,
            parent,
            peers,
            running: HashMap::new(),
            kept: HashMap::new(),
            filters: HashMap::new(),
            garbage: Vec::new(),
            networks: Vec::new(),
            prepared: Preparations::default(),
            flush: Flush::default(),
            trash: Trash::new(),
            pool: Pool::default(),
            archives: Archives::default(),
            fresh: HashSet::new(),
        })
    }

    fn serve(&mut self, listener: &Listener) -> Result<(), Refusal> {
        let mut clients: Vec<Connection> = Vec::new();
        let mut jobs: Vec<(Job, Vec<Connection>)> = Vec::new();
        loop {
            let ready = self.wait(listener, &clients, &jobs)?;
            let Some(ready) = ready else {
                self.give_back_idle();
                self.forget_idle_prepared();
                self.sweep();
                continue;
            };
            if ready.keeper {
                // Keeper is gone: the next one starts a spawner of its own.
                return Ok(());
            }
            if ready.trash {
                self.trash.ended();
            }
            self.flush.ended(&ready.flushes);
            self.work_ended(&ready.archives);
            for id in &ready.cradles {
                self.cradle_came(id);
            }
            let (of_clients, of_jobs) = (&ready.clients, &ready.jobs);
            let mut over: Vec<Connection> = Vec::new();
            for index in (0..jobs.len()).rev().filter(|&index| of_jobs[index]) {
                let (job, waiting) = jobs.swap_remove(index);
                let answer = self.finish_unpacking(job).map_or_else(Answer::Refused, |()| Answer::Done);
                over.extend(waiting.into_iter().filter(|client| client.send(&answer, &[]).is_ok()));
            }
            // The oldest connection first: starts come over it, teardown over a later one.
            let mut left = Vec::new();
            for index in (0..clients.len()).filter(|&index| of_clients[index]) {
                match self.serve_one(&clients[index], &jobs) {
                    Served::Answered => {}
                    // The others' next requests may join it.
                    served @ Served::Started(_) => {
                        left.push((index, served));
                        break;
                    }
                    served => left.push((index, served)),
                }
            }
            for (index, served) in left.into_iter().rev() {
                let client = clients.remove(index);
                match served {
                    Served::Answered | Served::Over => {}
                    Served::Started(job) => jobs.push((*job, vec![client])),
                    Served::Joined(job) => jobs[job].1.push(client),
                }
            }
            clients.extend(over);
            if ready.listener
                && let Some(client) = self.accept(listener)
            {
                clients.push(client);
            }
        }
    }

    /// Which are readable. Nothing when there is work to do instead.
    fn wait(
        &self,
        listener: &Listener,
        clients: &[Connection],
        jobs: &[(Job, Vec<Connection>)],
    ) -> Result<Option<Ready>, Refusal> {
        let mut polled = vec![
            PollFd::new(listener, PollFlags::IN),
            PollFd::from_borrowed_fd(self.peers.keeper_descriptor(), PollFlags::IN),
        ];
        let emptying = self.trash.connection();
        polled.extend(emptying.map(|connection| PollFd::new(connection, PollFlags::IN)));
        polled.extend(clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
        polled.extend(jobs.iter().map(|(job, _)| PollFd::new(&job.connection, PollFlags::IN)));
        polled.extend(self.flush.children().iter().map(|child| PollFd::new(child, PollFlags::IN)));
        polled.extend(self.archives.pidfds().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        let coming: Vec<(&str, &Connection)> = self.pool.coming().collect();
        polled.extend(coming.iter().map(|(_, connection)| PollFd::new(*connection, PollFlags::IN)));
        let tidy = self.garbage.is_empty()
            && self.networks.is_empty()
            && !self.archives.has_left()
            && !self.flush.is_due()
            && !self.trash.is_due();
        let rest = if tidy { self.pool.rest().into_iter().chain(self.prepared.rest()).min() } else { Some(REST) };
        let rest =
            rest.map(|rest| rustix::event::Timespec { tv_sec: rest.as_secs() as _, tv_nsec: rest.subsec_nanos() as _ });
        match poll(&mut polled, rest.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).doing(|| "wait for requests".to_owned()),
        }
        let mut readable = polled.iter().map(|one| !one.revents().is_empty());
        Ok(Some(Ready {
            listener: readable.next().unwrap_or_default(),
            keeper: readable.next().unwrap_or_default(),
            trash: emptying.is_some() && readable.next().unwrap_or_default(),
            clients: readable.by_ref().take(clients.len()).collect(),
            jobs: readable.by_ref().take(jobs.len()).collect(),
            flushes: readable.by_ref().take(self.flush.children().len()).collect(),
            archives: readable.by_ref().take(self.archives.count()).collect(),
            cradles: coming
                .iter()
                .zip(readable)
                .filter(|(_, ready)| *ready)
                .map(|((id, _), _)| (*id).to_owned())
                .collect(),
        }))
    }

    fn accept(&self, listener: &Listener) -> Option<Connection> {
        let accepted = listener.accept().and_then(|client| Ok((client.peer()?, client)));
        match accepted {
            Ok((peer, client)) if peer.uid == 0 || peer.uid == self.arguments.uid => Some(client),
            Ok((peer, _)) => {
                eprintln!("spawner: refused a connection of user {}", peer.uid);
                None
            }
            Err(error) => {
                eprintln!("spawner: cannot take a connection: {error}");
                None
            }
        }
    }

    /// One request.
    fn serve_one(&mut self, client: &Connection, jobs: &[(Job, Vec<Connection>)]) -> Served {
        let (answer, descriptors) = match client.receive::<Request>() {
            Ok(None) => return Served::Over,
            Ok(Some((Request::Unpack { target, below }, descriptors))) => {
                if let Some(job) = jobs.iter().position(|(job, _)| job.makes(&target)) {
                    return Served::Joined(job);
                }
                match self.unpack(&target, &below, descriptors) {
                    Ok(job) => return Served::Started(Box::new(job)),
                    Err(refusal) => (Answer::Refused(refusal), Vec::new()),
                }
            }
            Ok(Some((Request::Files { id, work }, descriptors))) => {
                let begun = self.begin_work(&id, work, descriptors);
                (begun.map_or_else(Answer::Refused, |()| Answer::Done), Vec::new())
            }
            Ok(Some((request, _))) => self.answer(request),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                (Answer::Refused(refusal(RefusalKind::Invalid, format!("not a request: {error}"))), Vec::new())
            }
            Err(_) => return Served::Over,
        };
        let sent = client.send(&answer, &borrow(&descriptors)).is_ok();
        self.raise_wanted();
        self.prepare_root();
        if self.garbage.len().max(self.networks.len()).max(self.flush.count()) > GARBAGE {
            self.sweep();
        }
        if sent { Served::Answered } else { Served::Over }
    }
}

/// What is readable.
#[derive(Debug)]
struct Ready {
    listener: bool,
    keeper: bool,
    /// The child that removes files has ended.
    trash: bool,
    clients: Vec<bool>,
    jobs: Vec<bool>,
    /// Children that let go of overlays and have ended.
    flushes: Vec<bool>,
    /// Children that work on files and have ended.
    archives: Vec<bool>,
    /// Ids of cradles that came.
    cradles: Vec<String>,
}

/// What became of a request.
enum Served {
    Answered,
    /// The connection is over.
    Over,
    /// The answer comes when this is done; nothing else is read from the connection until then.
    Started(Box<Job>),
    /// The same, for a job under way, by its place.
    Joined(usize),
}
