//! What an earlier spawner left behind when it was killed: cradles that waited, cgroups that were to be removed.

use std::os::fd::AsFd;

use super::files;
use super::peers::strange;
use super::server::Spawner;
use crate::cgroups::Cgroup;
use crate::wire::{Refusal, RefusalKind, keeper, net};

impl Spawner {
    /// Lets go of namespaces, addresses and cgroups under ids without a folder, and of empty cgroups. What cannot be asked for now is told in
    /// the log and found by the next spawner.
    pub(super) fn sweep_orphans(&mut self) {
        let swept = [self.sweep_kept(), self.sweep_addresses(), self.sweep_cgroups()];
        for refusal in swept.into_iter().filter_map(Result::err) {
            eprintln!("spawner: what an earlier spawner left is not swept: {refusal}");
        }
    }

    fn sweep_kept(&mut self) -> Result<(), Refusal> {
        for name in self.names_kept("container/")? {
            let Some(id) = name.strip_prefix("container/").and_then(|rest| rest.strip_suffix("/netns")) else {
                continue;
            };
            if self.is_orphan(id) {
                self.let_peers_forget(id, true);
            }
        }
        Ok(())
    }

    /// Keeper lists so many names at once; more are asked for by longer prefixes.
    fn names_kept(&mut self, prefix: &str) -> Result<Vec<String>, Refusal> {
        match self.peers.keeper(&keeper::Request::List { prefix: prefix.to_owned() }, &[]) {
            Ok((keeper::Answer::Names { names }, _)) => Ok(names),
            Ok(_) => Err(strange("keeper")),
            Err(refusal) if refusal.kind == RefusalKind::Exhausted => {
                let mut names = Vec::new();
                for digit in "0123456789abcdef".chars() {
                    names.extend(self.names_kept(&format!("{prefix}{digit}"))?);
                }
                Ok(names)
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn sweep_addresses(&mut self) -> Result<(), Refusal> {
        if !self.peers.has_net() {
            // Nobody has an address: net starts after the first keeper and before any container.
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let net::Answer::State { endpoints, next, .. } = self.peers.net(&net::Request::State { after }, &[])?
            else {
                return Err(strange("net"));
            };
            for (id, _) in endpoints {
                if self.is_orphan(&id) {
                    self.let_peers_forget(&id, true);
                }
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    fn sweep_cgroups(&mut self) -> Result<(), Refusal> {
        let explain = |error: crate::cgroups::CgroupError| crate::failure::refusal(error.kind(), error.to_string());
        for team in self.parent.children().map_err(explain)? {
            let path = format!("{}/{team}", self.parent.path());
            let Some(of_team) = Cgroup::open(self.parent.layout(), &path).map_err(explain)? else { continue };
            for id in of_team.children().map_err(explain)? {
                let Some(cgroup) = Cgroup::open(self.parent.layout(), &format!("{path}/{id}")).map_err(explain)? else {
                    continue;
                };
                // An empty one is of a run that ended: the earlier spawner had it on its list.
                if files::check_id(&id).is_ok()
                    && (self.is_orphan(&id) || cgroup.processes().map_err(explain)?.is_empty())
                {
                    self.discard(cgroup);
                }
            }
        }
        Ok(())
    }

    /// An id without a folder.
    fn is_orphan(&self, id: &str) -> bool {
        files::check_id(id).is_ok()
            && matches!(files::folder(self.data.as_fd(), id), Err(refusal) if refusal.kind == RefusalKind::NotFound)
    }
}
