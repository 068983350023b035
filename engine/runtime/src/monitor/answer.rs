//! What the monitor does at each request.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::termios::Winsize;

use super::adopt::Adoption;
use super::container::{Phase, STOPPING_FILE, Streams};
use super::run::Monitor;
use crate::time::now_ns;
use crate::wire::monitor::{Answer, Happening, Request};
use crate::wire::{Refusal, RefusalKind, VERSION};

impl Monitor {
    /// Answers one message of a client.
    pub(super) fn answer(&mut self, client: u64, request: Request, descriptors: Vec<OwnedFd>) {
        let greeted = self.clients.get(&client).is_some_and(|client| client.greeted);
        match request {
            Request::Hello { .. } => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.greeted = true;
                    client.outbox.send(Answer::Welcome { version: VERSION }, &[]);
                }
            }
            _ if !greeted => {
                self.send(client, refusal(RefusalKind::Invalid, "the first message must be a hello"));
                if let Some(client) = self.clients.get_mut(&client) {
                    client.outbox.give_up();
                }
            }
            Request::Subscribe => self.subscribe(client),
            Request::Stdin { id } => self.hand_out_stdin(client, &id),
            Request::Adopt { id, pid, stdio, restart, log, at_ns } => {
                let adoption = Adoption { id: id.clone(), pid, stdio, restart, log, at_ns };
                let answer = self.adopt(adoption, descriptors);
                self.send(client, answer);
                self.after_adoption(&id);
            }
            other => {
                let answer = self.plain(other);
                self.send(client, answer);
            }
        }
    }

    fn plain(&mut self, request: Request) -> Answer {
        match request {
            Request::Abandon { id } => self.abandon(&id),
            Request::Stopping { id } => self.stopping(&id),
            Request::SetPolicy { id, restart } => match self.find(&id) {
                Some(container) => {
                    container.policy = restart;
                    Answer::Done
                }
                None => unknown(&id),
            },
            Request::CloseStdin { id } => self.close_stdin(&id),
            Request::Resize { id, rows, columns } => self.resize(&id, rows, columns),
            Request::Forget { id } => self.forget(&id),
            // Handled by `answer`.
            Request::Hello { .. } | Request::Subscribe | Request::Stdin { .. } | Request::Adopt { .. } => {
                refusal(RefusalKind::Internal, "the monitor lost its way in a request")
            }
        }
    }

    fn send(&mut self, client: u64, answer: Answer) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.outbox.send(answer, &[]);
        }
    }

    /// All news from now on, after where each container stands.
    fn subscribe(&mut self, client: u64) {
        let numbers: Vec<u64> = self.containers.keys().copied().collect();
        for number in numbers {
            self.settle_start(number);
        }
        let Some(client) = self.clients.get_mut(&client) else { return };
        client.subscribed = true;
        for container in self.containers.values() {
            if let Some(last) = container.journal.last() {
                client.outbox.send(Answer::News(last.clone()), &[]);
            }
        }
        // Last: whoever has this answer knows of every container that there is; one not told of is lost.
        client.outbox.send(Answer::Done, &[]);
    }

    fn stopping(&mut self, id: &str) -> Answer {
        let Some(container) = self.find(id) else { return unknown(id) };
        container.stopping = true;
        let number = container.number;
        match container.phase {
            Phase::Running { .. } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let marked = rustix::fs::openat(&container.folder, STOPPING_FILE, flags, Mode::RUSR | Mode::WUSR);
                if let Err(error) = marked {
                    // It holds as long as this monitor lives.
                    eprintln!("monitor: container {id}: a stop cannot be written down: {error}");
                }
            }
            Phase::Waiting { .. } | Phase::Starting => self.cancel_restart(number),
        }
        Answer::Done
    }

    fn hand_out_stdin(&mut self, client: u64, id: &str) {
        let Some(container) = self.numbers.get(id).and_then(|number| self.containers.get(number)) else {
            return self.send(client, unknown(id));
        };
        let end = match &container.streams {
            Streams::Terminal(master) => Some(master.descriptor.as_fd()),
            Streams::Pipes { stdin: Some(stdin), .. } => Some(stdin.as_fd()),
            Streams::Pipes { stdin: None, .. } | Streams::None => None,
        };
        let Some(end) = end else {
            let text = format!("container {id} has no standard input that is open");
            return self.send(client, refusal(RefusalKind::Conflict, text));
        };
        if let Some(client) = self.clients.get_mut(&client) {
            client.outbox.send(Answer::Done, &[end]);
        }
    }

    fn close_stdin(&mut self, id: &str) -> Answer {
        let Some(container) = self.find(id) else { return unknown(id) };
        let number = container.number;
        let Streams::Pipes { stdin, .. } = &mut container.streams else { return Answer::Done };
        if stdin.take().is_none() {
            return Answer::Done;
        }
        if let Some(container) = self.containers.get(&number) {
            self.keeper.put_streams(container, &self.epoll);
        }
        self.settle_start(number);
        self.record(number, now_ns(), Happening::StdinClosed);
        Answer::Done
    }

    fn resize(&mut self, id: &str, rows: u16, columns: u16) -> Answer {
        let Some(container) = self.find(id) else { return unknown(id) };
        let Streams::Terminal(master) = &container.streams else {
            return refusal(RefusalKind::Conflict, format!("container {id} has no terminal, or does not run"));
        };
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        match rustix::termios::tcsetwinsize(&master.descriptor, size) {
            Ok(()) => Answer::Done,
            Err(error) => {
                refusal(RefusalKind::Internal, format!("the terminal of container {id} cannot be resized: {error}"))
            }
        }
    }

    fn forget(&mut self, id: &str) -> Answer {
        self.early_ends.remove(id);
        if let Some(container) = self.find(id) {
            if matches!(container.phase, Phase::Running { .. }) {
                return refusal(RefusalKind::Conflict, format!("container {id} still runs"));
            }
            let (number, pid) = (container.number, container.pid);
            self.remove(number);
            self.keeper.confirm(id, pid, &self.epoll);
        }
        Answer::Done
    }
}

/// A refusal as an answer.
pub(super) fn refusal(kind: RefusalKind, message: impl Into<String>) -> Answer {
    Answer::Refused(Refusal { kind, message: message.into() })
}

fn unknown(id: &str) -> Answer {
    refusal(RefusalKind::NotFound, format!("this monitor has no container {id}"))
}
