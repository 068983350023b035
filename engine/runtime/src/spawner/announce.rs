//! Tells keeper and monitor of a container that is about to run.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::server::Spawner;
use super::stdio::borrow;
use crate::lifecycle::Cradle;
use crate::sandbox::Sandbox;
use crate::wire::monitor::Request as ToMonitor;
use crate::wire::{Refusal, keeper};

impl Spawner {
    /// Hands process and streams to keeper and monitor, before the program runs. Keeper's answers are not waited for:
    /// [`Peers::settle_keeper`](super::peers::Peers::settle_keeper) must have read them when it does.
    pub(super) fn announce(
        &mut self,
        sandbox: &Sandbox,
        folder: &OwnedFd,
        cradle: &Cradle,
        streams: &[OwnedFd],
        at_ns: i64,
    ) -> Result<(), Refusal> {
        let id = &sandbox.id;
        let pidfd = cradle.newborn.pidfd.as_fd();
        let done = (|| {
            let parts: [(&str, &[BorrowedFd<'_>]); 3] =
                [("folder", &[folder.as_fd()]), ("pidfd", &[pidfd]), ("stdio", &borrow(streams))];
            self.peers.keep_all_later(id, &parts)?;
            let adopt = ToMonitor::Adopt {
                id: id.clone(),
                pid: cradle.newborn.pid,
                stdio: sandbox.stdio,
                restart: sandbox.restart,
                log: sandbox.log,
                at_ns,
            };
            let mut given: Vec<BorrowedFd<'_>> = vec![folder.as_fd(), pidfd];
            given.extend(borrow(streams));
            self.peers.monitor(&sandbox.team, &adopt, &given)?;
            // Behind the adoption: what is watched and nobody's would be told of for ever.
            let what = keeper::Watched::Container { id: id.clone() };
            let watch = keeper::Request::Watch { pid: cradle.newborn.pid, team: sandbox.team.key.clone(), what };
            self.peers.keeper_later(&watch, &[pidfd])
        })();
        if done.is_err() {
            self.take_back(sandbox);
        }
        done
    }

    /// Undoes [`Self::announce`]; goes on after an error.
    pub(super) fn take_back(&mut self, sandbox: &Sandbox) {
        let id = &sandbox.id;
        let abandon = ToMonitor::Abandon { id: id.clone() };
        let done = [
            self.peers.settle_keeper(),
            self.peers.monitor(&sandbox.team, &abandon, &[]),
            self.peers.drop_kept(id, &["stdio", "pidfd", "folder"]),
        ];
        for refusal in done.into_iter().filter_map(Result::err) {
            eprintln!("spawner: after a failed start of container {id}: {refusal}");
        }
    }
}
