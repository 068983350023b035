//! What spawner does at each request.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};

use super::files::{self, check_team};
use super::running::Running;
use super::server::Spawner;
use super::{folders, usage};
use crate::cgroups::{Cgroup, CgroupError};
use crate::failure::{Doing, refusal};
use crate::rootfs::resolve;
use crate::sandbox::{Sandbox, Team};
use crate::wire::spawner::{Answer, Request};
use crate::wire::{Refusal, RefusalKind, VERSION};

impl Spawner {
    /// Answers one request; descriptors go with the answer.
    pub(super) fn answer(&mut self, request: Request) -> (Answer, Vec<OwnedFd>) {
        let answered = match request {
            Request::Exec { id, exec, process, stdin } => {
                return match self.exec(&id, &exec, *process, stdin) {
                    Ok((pid, streams)) => (Answer::ExecStarted { pid }, streams),
                    Err(refusal) => (Answer::Refused(refusal), Vec::new()),
                };
            }
            Request::Hello { .. } => Ok(Answer::Welcome { version: VERSION, features: self.features.clone() }),
            Request::Start { id, next } => self.start(&id, next).map(Answer::Started),
            Request::Usage { target } => self.usage(&target),
            Request::Processes { id } => self.processes(&id),
            Request::Namespaces { id } => self.namespaces(&id),
            other => self.plain(other).map(|()| Answer::Done),
        };
        (answered.unwrap_or_else(Answer::Refused), Vec::new())
    }

    fn plain(&mut self, request: Request) -> Result<(), Refusal> {
        match request {
            Request::EnsureTeam { team } => self.ensure_team(&team),
            Request::RemoveTeam { team } => self.remove_team(&team),
            Request::Create { id } => self.create(&id),
            Request::Signal { id, signal, all } => self.signal(&id, signal, all),
            Request::SignalExec { id, exec, signal } => self.signal_exec(&id, &exec, signal),
            Request::Pause { id } => self.cgroup_of(&id)?.freeze().map_err(explain),
            Request::Unpause { id } => self.cgroup_of(&id)?.thaw().map_err(explain),
            Request::Update { id, resources } => self.cgroup_of(&id)?.update(&resources).map_err(explain),
            Request::Release { id } => self.check_unwatched(&id).and_then(|()| self.release(&id)),
            Request::Remove { id } => self.remove(&id),
            Request::CreateVolume { id } => folders::make_volume(self.data.as_fd(), &id),
            Request::RemoveVolume { id } => {
                files::check_id(&id)?;
                self.throw_away(folders::volumes(self.data.as_fd())?.as_fd(), &name_of(&id)?)
            }
            Request::RemoveLayer { target } => {
                self.layers.tidy();
                let (parent, name) = folders::layer_place(self.data.as_fd(), &target)?;
                self.throw_away(parent.as_fd(), &name)
            }
            Request::Hello { .. }
            | Request::Start { .. }
            | Request::Exec { .. }
            | Request::Unpack { .. }
            | Request::Files { .. }
            | Request::Usage { .. }
            | Request::Namespaces { .. }
            | Request::Processes { .. } => Err(refusal(RefusalKind::Internal, "spawner lost its way in a request")),
        }
    }

    /// The container's record, found again from keeper when it is not known; none when it does not run.
    pub(super) fn running(&mut self, id: &str) -> Result<Option<&mut Running>, Refusal> {
        files::check_id(id)?;
        if !self.running.contains_key(id)
            && !self.fresh.contains(id)
            && let Some(pidfd) = self.peers.kept(id, "pidfd")?.into_iter().next()
            && let Ok(running) = Running::found(pidfd)
        {
            self.running.insert(id.to_owned(), running);
        }
        Ok(self.running.get_mut(id))
    }

    /// The record of a container whose main process lives.
    pub(super) fn alive(&mut self, id: &str) -> Result<&mut Running, Refusal> {
        match self.running(id)? {
            Some(running) if running.is_alive() => Ok(running),
            _ => Err(refusal(RefusalKind::Conflict, format!("container {id} is not running"))),
        }
    }

    /// Forgets a container that has ended; its overlay is let go of when there is time.
    pub(super) fn forget_running(&mut self, id: &str) {
        if let Some(mounts) = self.running.remove(id).and_then(|running| running.mounts) {
            self.flush.hold(id, mounts);
        }
    }

    /// `containers/`.
    pub(super) fn containers(&self) -> Result<OwnedFd, Refusal> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        resolve::beneath(self.data.as_fd(), std::path::Path::new("containers"), flags)
            .doing(|| "open the containers".to_owned())
    }

    pub(super) fn team_cgroup(&mut self, team: &Team) -> Result<Cgroup, Refusal> {
        check_team(team)?;
        self.parent.child(&team.key).map_err(explain)
    }

    /// The cgroup of a container, made if it is not there. The team's is nearly always: it is only made when it has to be.
    pub(super) fn make_cgroup(&mut self, team: &Team, id: &str) -> Result<Cgroup, Refusal> {
        check_team(team)?;
        let made = self.parent.beneath(&team.key).and_then(|team| team.child(id));
        made.or_else(|_| self.parent.child(&team.key)?.child(id)).map_err(explain)
    }

    fn ensure_team(&mut self, team: &Team) -> Result<(), Refusal> {
        self.team_cgroup(team).map(drop)
    }

    fn remove_team(&mut self, team: &Team) -> Result<(), Refusal> {
        self.give_back_team(&team.key);
        self.sweep();
        let cgroup = self.team_cgroup(team)?;
        if !cgroup.processes().map_err(explain)?.is_empty() {
            return Err(refusal(RefusalKind::Conflict, format!("team {} has processes", team.key)));
        }
        self.layers.forget_team(team.base_id);
        cgroup.remove().map_err(explain)
    }

    /// The cgroup of a container that runs.
    fn cgroup_of(&mut self, id: &str) -> Result<Cgroup, Refusal> {
        self.alive(id)?;
        let sandbox = files::sandbox(self.data.as_fd(), id)?;
        self.cgroup_in_use(&sandbox)
    }

    /// The cgroup of a container that is known to run, not looked for.
    pub(super) fn cgroup_in_use(&self, sandbox: &Sandbox) -> Result<Cgroup, Refusal> {
        check_team(&sandbox.team)?;
        self.parent.beneath(&sandbox.team.key).and_then(|team| team.beneath(&sandbox.id)).map_err(explain)
    }

    fn signal(&mut self, id: &str, signal: i32, all: bool) -> Result<(), Refusal> {
        let signalled = send_signal(self.alive(id)?.pidfd.as_fd(), signal);
        if all {
            let cgroup = self.cgroup_of(id)?;
            if signal == libc::SIGKILL {
                return cgroup.kill_all().map_err(explain);
            }
            for pid in cgroup.processes().map_err(explain)? {
                signal_number(pid, signal)?;
            }
        }
        signalled
    }

    fn processes(&mut self, id: &str) -> Result<Answer, Refusal> {
        Ok(Answer::Pids { pids: self.cgroup_of(id)?.processes().map_err(explain)? })
    }

    /// Only root may look at these of a process that is not its own.
    fn namespaces(&mut self, id: &str) -> Result<Answer, Refusal> {
        use std::os::unix::fs::MetadataExt;
        let pid = self.alive(id)?.pid;
        let numbers = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"].into_iter().map(|kind| {
            let found = std::fs::metadata(format!("/proc/{pid}/ns/{kind}"));
            let number = found.doing(|| format!("look at the {kind} namespace of container {id}"))?.ino();
            Ok((kind.to_owned(), number))
        });
        let numbers = numbers.collect::<Result<Vec<_>, Refusal>>()?;
        // Only now it is sure that the number was not another process's.
        self.alive(id)?;
        Ok(Answer::Namespaces { numbers })
    }

    fn usage(&mut self, target: &std::path::Path) -> Result<Answer, Refusal> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        let doing = || format!("look at {}", target.display());
        match resolve::beneath(self.data.as_fd(), target, flags) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(refusal(RefusalKind::NotFound, format!("{} is not there", target.display())))
            }
            folder => {
                let (bytes, files) = usage::of(folder.doing(doing)?.as_fd()).doing(doing)?;
                Ok(Answer::Usage { bytes, files })
            }
        }
    }

    /// Refuses for a container whose main process nobody knows but whose cgroup has processes: after a death of keeper
    /// it may run, and its monitor has not told of it yet. Letting go would end it.
    fn check_unwatched(&mut self, id: &str) -> Result<(), Refusal> {
        if self.running(id)?.is_some() || self.fresh.contains(id) {
            return Ok(());
        }
        let sandbox = files::sandbox(self.data.as_fd(), id)?;
        let Some(cgroup) = self.existing_cgroup(&sandbox)? else { return Ok(()) };
        if cgroup.processes().map_err(explain)?.is_empty() {
            return Ok(());
        }
        Err(refusal(RefusalKind::Conflict, format!("container {id} has processes that nobody watches yet")))
    }

    /// After the end: lets go of everything but the writable layer.
    fn release(&mut self, id: &str) -> Result<(), Refusal> {
        if self.running(id)?.is_some_and(|running| running.is_alive()) {
            return Err(refusal(RefusalKind::Conflict, format!("container {id} runs")));
        }
        self.forget_running(id);
        self.give_back(id);
        if self.fresh.contains(id) {
            // It never ran.
            return Ok(());
        }
        let sandbox = files::sandbox(self.data.as_fd(), id)?;
        self.let_go(&sandbox);
        if let Some(cgroup) = self.existing_cgroup(&sandbox)? {
            self.discard(cgroup);
        }
        // As it was before its first run: a removal right behind has nothing more to ask the others.
        self.fresh.insert(id.to_owned());
        Ok(())
    }

    pub(super) fn existing_cgroup(&mut self, sandbox: &Sandbox) -> Result<Option<Cgroup>, Refusal> {
        let path = format!("{}/{}/{}", self.parent.path(), sandbox.team.key, sandbox.id);
        Cgroup::open(self.parent.layout(), &path).map_err(explain)
    }

    /// Lets go of kept namespaces and of the address; goes on after an error.
    pub(super) fn let_go(&mut self, sandbox: &Sandbox) {
        let id = &sandbox.id;
        self.networks.extend(self.kept.remove(id).and_then(|kept| kept.network));
        self.let_peers_forget(id, sandbox.network == crate::sandbox::NetworkMode::Bridge);
    }

    fn remove(&mut self, id: &str) -> Result<(), Refusal> {
        files::folder(self.data.as_fd(), id)?;
        match self.release(id) {
            Ok(()) => {}
            // Its making was cut off: a file is half written or missing, so nothing of it ever ran.
            Err(refusal) if matches!(refusal.kind, RefusalKind::Invalid | RefusalKind::NotFound) => {
                eprintln!("spawner: container {id} is removed unread: {refusal}");
            }
            Err(refusal) => return Err(refusal),
        }
        self.fresh.remove(id);
        self.forget_prepared(id);
        self.end_work(id);
        self.throw_away(self.containers()?.as_fd(), &name_of(id)?)
    }

    /// Has a cgroup removed when there is time.
    pub(super) fn discard(&mut self, cgroup: Cgroup) {
        if !self.garbage.iter().any(|other| other.path() == cgroup.path()) {
            self.garbage.push(cgroup);
        }
    }

    /// What an earlier run of a container has left, before a new one is born into a cgroup of the same name: swept
    /// later, it would take the new run along.
    pub(super) fn sweep_own(&mut self, id: &str) {
        let (own, others) =
            std::mem::take(&mut self.garbage).into_iter().partition(|cgroup| cgroup.path().ends_with(id));
        self.garbage = own;
        self.sweep();
        self.garbage = others;
    }

    /// What could be torn down later: network namespaces, empty cgroups, images nobody uses.
    pub(super) fn sweep(&mut self) {
        self.networks.clear();
        self.empty_trash();
        self.let_go_of_roots();
        for cgroup in std::mem::take(&mut self.garbage) {
            let gone = cgroup.kill_all().and_then(|()| cgroup.remove());
            if let Err(error) = gone {
                eprintln!("spawner: {error}: {:?}", std::error::Error::source(&error));
            }
        }
        self.layers.tidy();
    }
}

fn name_of(id: &str) -> Result<CString, Refusal> {
    CString::new(id).doing(|| format!("name {id}"))
}

/// Sends a signal by number.
pub(super) fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Refusal> {
    let Some(known) = named(signal) else {
        return Err(refusal(RefusalKind::Invalid, format!("{signal} is not the number of a signal")));
    };
    match pidfd_send_signal(pidfd, known) {
        Err(rustix::io::Errno::SRCH) => Err(refusal(RefusalKind::Conflict, "the process has ended")),
        answer => answer.doing(|| format!("send signal {signal}")),
    }
}

fn signal_number(pid: i32, signal: i32) -> Result<(), Refusal> {
    let Some((pid, known)) = rustix::process::Pid::from_raw(pid).zip(named(signal)) else { return Ok(()) };
    match rustix::process::kill_process(pid, known) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).doing(|| format!("send signal {signal}")),
    }
}

fn named(signal: i32) -> Option<Signal> {
    Signal::from_named_raw(signal)
}

fn explain(error: CgroupError) -> Refusal {
    refusal(error.kind(), error.to_string())
}
