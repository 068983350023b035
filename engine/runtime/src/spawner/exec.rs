//! Starts one more process in a running container.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::files;
use super::server::Spawner;
use super::stdio::{Streams, borrow};
use crate::failure::{Doing, refusal};
use crate::init::{self, Say};
use crate::lifecycle::{hear, out_of_turn, send};
use crate::namespaces::{Birth, From, Nest, Newborn, Word, birth_with};
use crate::sandbox::Sandbox;
use crate::spec::{Plan, Program, check_process};
use crate::user_namespace::Mappings;
use crate::wire::{Refusal, RefusalKind, keeper};

impl Spawner {
    /// Starts it; answers its pid and the outer ends of its streams.
    pub(super) fn exec(
        &mut self,
        id: &str,
        exec: &str,
        process: Process,
        stdin: bool,
    ) -> Result<(i32, Vec<OwnedFd>), Refusal> {
        check_process(&process)?;
        check_exec_id(exec)?;
        let files = files::read(self.data.as_fd(), id)?;
        let plan = Plan::new(&files.spec, Some(&files.sandbox))?;
        let filter = self.filter(&plan, &files.sandbox)?;
        let sandbox = files.sandbox;
        self.alive(id)?;
        let cgroup = self.cgroup_in_use(&sandbox)?;
        if cgroup.is_frozen().map_err(|error| refusal(error.kind(), error.to_string()))? {
            return Err(refusal(RefusalKind::Conflict, format!("container {id} is paused")));
        }
        let tty = process.terminal().unwrap_or(false);
        let streams = if tty { None } else { Some(Streams::make(stdin)?) };
        if let Some(streams) = &streams {
            let (user, group) = host_ids(&sandbox, process.user().uid(), process.user().gid())?;
            streams.give_to(user, group)?;
        }
        let lookup = process.user().username().is_some();
        let program = Program { process, filter, groups: sandbox.groups.clone(), lookup, init: false, stdin };
        let newborn = self.born_inside(&sandbox, &cgroup)?;
        let outcome = self.run_exec(&sandbox, exec, &newborn, program, streams);
        match outcome {
            Ok(outside) => {
                let running = self.alive(id)?;
                running.execs.retain(|_, pidfd| !super::running::is_over(pidfd.as_fd()));
                running.execs.insert(exec.to_owned(), newborn.pidfd);
                Ok((newborn.pid, outside))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// A process in all namespaces and cgroups of the container, a child of keeper.
    fn born_inside(&mut self, sandbox: &Sandbox, cgroup: &crate::cgroups::Cgroup) -> Result<Newborn, Refusal> {
        let user_namespace = sandbox.user_namespace;
        let running = self.alive(&sandbox.id)?;
        let mut kinds = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::CONTROL_GROUP;
        if user_namespace {
            kinds |= ThreadNameSpaceType::USER;
        }
        let pidfd = running.pidfd.as_fd();
        let birthplace = cgroup.birthplace().map_err(|error| refusal(error.kind(), error.to_string()))?;
        let how = Birth {
            nest: Nest {
                user: None,
                network: None,
                pid: From::Here,
                ipc: From::Here,
                uts: From::Here,
                cgroup: From::Here,
            },
            cgroup: birthplace.as_ref().map(AsFd::as_fd),
            same_parent: true,
        };
        let join = || {
            cgroup.enter_legacy().map_err(|error| refusal(error.kind(), error.to_string()))?;
            match move_into_thread_name_spaces(pidfd, kinds) {
                Err(rustix::io::Errno::SRCH) => Err(refusal(RefusalKind::Conflict, "the container has ended")),
                answer => answer.doing(|| "join the container's namespaces".to_owned()),
            }
        };
        birth_with(how, 0, join, |connection| init::run_exec(connection, user_namespace))
    }

    fn run_exec(
        &mut self,
        sandbox: &Sandbox,
        exec: &str,
        newborn: &Newborn,
        program: Program,
        streams: Option<Streams>,
    ) -> Result<Vec<OwnedFd>, Refusal> {
        crate::rlimits::make_room(newborn.pid, program.process.rlimits().as_deref().unwrap_or_default());
        let lookup = program.lookup;
        let (inside, mut outside) = streams.map_or_else(Default::default, |streams| (streams.inside, streams.outside));
        send(&newborn.connection, &Say::Exec(Box::new(program)), &borrow(&inside))?;
        drop(inside);
        let Some((Word::Prepared { user, group }, master)) = hear(newborn)? else { return Err(out_of_turn()) };
        if outside.is_empty() {
            outside = master;
        } else if lookup {
            let (user, group) = host_ids(sandbox, user, group)?;
            let streams = Streams { inside: Vec::new(), outside };
            streams.give_to(user, group)?;
            outside = streams.outside;
        }
        let what = keeper::Watched::Exec { id: sandbox.id.clone(), exec: exec.to_owned() };
        send(&newborn.connection, &Say::Run, &[])?;
        match hear(newborn)? {
            None => {
                let watch = keeper::Request::Watch { pid: newborn.pid, team: sandbox.team.key.clone(), what };
                self.peers.keeper(&watch, &[newborn.pidfd.as_fd()])?;
                Ok(outside)
            }
            Some(_) => Err(out_of_turn()),
        }
    }

    /// Sends a signal to a process started by exec.
    pub(super) fn signal_exec(&mut self, id: &str, exec: &str, signal: i32) -> Result<(), Refusal> {
        let running = self.alive(id)?;
        let missing = || refusal(RefusalKind::NotFound, format!("no such exec: {exec}"));
        let pidfd = running.execs.get(exec).ok_or_else(missing)?;
        super::dispatch::send_signal(pidfd.as_fd(), signal)
    }
}

fn check_exec_id(exec: &str) -> Result<(), Refusal> {
    if (1..=64).contains(&exec.len()) && exec.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(refusal(RefusalKind::Invalid, format!("{exec:?} cannot be the id of an exec")))
}

fn host_ids(sandbox: &Sandbox, user: u32, group: u32) -> Result<(u32, u32), Refusal> {
    if !sandbox.user_namespace {
        return Ok((user, group));
    }
    let mappings = Mappings::team(sandbox.team.base_id);
    mappings
        .user(user)
        .zip(mappings.group(group))
        .ok_or_else(|| refusal(RefusalKind::Invalid, format!("user {user} or group {group} is above 65,535")))
}
