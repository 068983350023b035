//! What keeper does at each request.

use std::os::fd::{AsFd, OwnedFd};

use super::children::Ended;
use super::clients::Client;
use super::helpers::Helper;
use super::run::Keeper;
use crate::sandbox::Team;
use crate::wire::keeper::{Answer, CONTAINERS, NAMES, Request, Role, Watched};
use crate::wire::{Refusal, RefusalKind, VERSION};

impl Keeper {
    /// Answers one message of `client`.
    pub(super) fn answer(&mut self, client: &mut Client, request: Request, descriptors: Vec<OwnedFd>) {
        let greeted = client.role.is_some();
        match request {
            Request::Hello { version: _, role } => self.hello(client, role),
            _ if !greeted => {
                client.send(refusal(RefusalKind::Invalid, "the first message must be a hello"));
                client.outbox.give_up();
            }
            Request::Get { name } => match self.store.get(&name) {
                Some(kept) => client.outbox.send(Answer::Kept, &kept.iter().map(AsFd::as_fd).collect::<Vec<_>>()),
                None => client.send(refusal(RefusalKind::NotFound, format!("nothing is kept under {name}"))),
            },
            Request::EnsureMonitor { team } => self.ensure_monitor(client, team),
            Request::Watch { pid, team, what } => {
                let answer = self.watch(pid, team, what, descriptors);
                client.send(answer);
                self.tell_waiting(Some(client));
            }
            other => {
                let answer = self.plain(other, descriptors);
                client.send(answer);
            }
        }
    }

    fn plain(&mut self, request: Request, descriptors: Vec<OwnedFd>) -> Answer {
        match request {
            Request::Put { name } => {
                self.store.put(name, descriptors);
                Answer::Done
            }
            Request::PutAll { names } => self.put_all(names, descriptors),
            Request::Drop { prefixes } => {
                prefixes.iter().for_each(|prefix| self.store.drop_prefix(prefix));
                Answer::Done
            }
            Request::Confirm { id, pid } => {
                if self.children.confirm(&id, pid) {
                    self.store.drop_prefix(&format!("container/{id}/folder"));
                    self.store.drop_prefix(&format!("container/{id}/stdio"));
                }
                Answer::Done
            }
            Request::List { prefix } => {
                let names: Vec<String> = self.store.names(&prefix).take(NAMES + 1).map(str::to_owned).collect();
                if names.len() > NAMES {
                    let text = format!("more than {NAMES} names start with {prefix:?}: ask for a longer prefix");
                    return refusal(RefusalKind::Exhausted, text);
                }
                Answer::Names { names }
            }
            Request::Containers { team, after } => {
                Answer::Containers { containers: self.children.containers(&team, &after, CONTAINERS) }
            }
            Request::EndMonitor { team } => self.end_monitor(&team),
            Request::Shutdown => self.shutdown(),
            // Handled by `answer`.
            Request::Hello { .. } | Request::Get { .. } | Request::Watch { .. } | Request::EnsureMonitor { .. } => {
                refusal(RefusalKind::Internal, "keeper lost its way in a request")
            }
        }
    }

    fn put_all(&mut self, names: Vec<(String, usize)>, mut descriptors: Vec<OwnedFd>) -> Answer {
        let wanted = names.iter().try_fold(0_usize, |sum, (_, count)| sum.checked_add(*count));
        if wanted != Some(descriptors.len()) {
            let text = format!("put-all names {wanted:?} descriptors, {} came", descriptors.len());
            return refusal(RefusalKind::Invalid, text);
        }
        for (name, count) in names {
            let rest = descriptors.split_off(count);
            self.store.put(name, std::mem::replace(&mut descriptors, rest));
        }
        Answer::Done
    }

    fn hello(&mut self, client: &mut Client, role: Role) {
        client.send(Answer::Welcome { version: VERSION });
        let missed = match &role {
            Role::Monitor { team } => self.children.unconfirmed(team),
            Role::Serve => self.children.take_execs(),
            Role::Spawner | Role::Net => Vec::new(),
        };
        for ended in missed {
            client.send(news(ended));
        }
        if let Role::Monitor { team } = &role {
            self.monitor_is_ready(team, client);
        }
        client.role = Some(role);
    }

    /// A monitor says hello once it listens.
    fn monitor_is_ready(&mut self, key: &str, client: &Client) {
        let helper = Helper::Monitor(key.to_owned());
        if !self.helpers.runs(&helper)
            && let Ok(peer) = client.outbox.connection.peer()
            && peer.pid != rustix::process::getpid().as_raw_nonzero().get()
        {
            // One that an earlier keeper started and that found us.
            if let Err(error) = self.helpers.adopt_monitor(key, peer.pid) {
                eprintln!("keeper: cannot adopt the monitor of team {key}: {error}");
            }
        }
        self.ready.push(key.to_owned());
    }

    fn ensure_monitor(&mut self, client: &mut Client, team: Team) {
        if !team.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            || team.key.is_empty()
            || team.key.len() > 16
        {
            client.send(refusal(RefusalKind::Invalid, format!("{:?} is no key of a team", team.key)));
            return;
        }
        let here = self.clients.iter().any(|other| other.role == Some(Role::Monitor { team: team.key.clone() }));
        if here {
            client.send(Answer::Done);
            return;
        }
        self.helpers.want(Helper::Monitor(team.key.clone()));
        self.waiting_for_monitor.push((client.id, team.key));
    }

    fn end_monitor(&mut self, team: &str) -> Answer {
        if self.children.has_containers(team) {
            return refusal(RefusalKind::Conflict, format!("team {team} has containers that run or just ended"));
        }
        self.helpers.end(&Helper::Monitor(team.to_owned()));
        Answer::Done
    }

    fn shutdown(&mut self) -> Answer {
        if self.children.is_running(None) {
            return refusal(RefusalKind::Conflict, "a watched process still runs");
        }
        self.ending = true;
        Answer::Done
    }

    fn watch(&mut self, pid: i32, team: String, what: Watched, descriptors: Vec<OwnedFd>) -> Answer {
        let Some(pidfd) = descriptors.into_iter().next() else {
            return refusal(RefusalKind::Invalid, "watch needs the process's pidfd beside it");
        };
        // Before the reaping: guard tells of an end before it lets its child go.
        let of_guard = self.guard.as_ref().is_some_and(|guard| guard.is_parent_of(pid));
        self.reap();
        if let Some(ended) = self.children.watch(what, pid, team, pidfd, of_guard) {
            self.to_tell.push(ended);
        }
        Answer::Done
    }

    /// Sends the news of ended processes to whom they concern. `current` is the client being served just now, which is
    /// not among the others.
    pub(super) fn tell_waiting(&mut self, mut current: Option<&mut Client>) {
        for ended in std::mem::take(&mut self.to_tell) {
            let exec = matches!(ended.what, Watched::Exec { .. });
            let mut serve_was_told = false;
            for client in self.clients.iter_mut().chain(current.as_deref_mut()) {
                let concerned = match &client.role {
                    Some(Role::Monitor { team }) => *team == ended.team,
                    Some(Role::Serve) => exec,
                    _ => false,
                };
                if concerned {
                    serve_was_told |= client.role == Some(Role::Serve);
                    client.send(news(ended.clone()));
                }
            }
            if exec && !serve_was_told {
                self.children.keep_exec(ended);
            }
        }
    }
}

fn news(ended: Ended) -> Answer {
    Answer::Ended { what: ended.what, pid: ended.pid, status: ended.end.status, at_ns: ended.end.at_ns }
}

/// A refusal as an answer.
pub(super) fn refusal(kind: RefusalKind, message: impl Into<String>) -> Answer {
    Answer::Refused(Refusal { kind, message: message.into() })
}
