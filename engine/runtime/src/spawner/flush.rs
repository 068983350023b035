//! Lets go of the overlays of containers that have ended.
//!
//! The last reference to one has all written that its disk has not written yet, of whatever team (syncfs(2)): beside a
//! busy writer that takes seconds, in which no container would start. So the last one is a child's.

use std::io::PipeWriter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::server::Spawner;
use crate::failure::Doing;
use crate::sys::clone::{Cloned, SAME_PARENT, clone3, exit_now};
use crate::sys::descriptors::keep_only;

/// A child that takes long is not waited for when so many wait behind it.
const MANY: usize = 64;

/// What is held, and by whom.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// Mount namespaces and mounts, with the container's id.
    held: Vec<(String, OwnedFd)>,
    /// Stand for children at work.
    children: Vec<OwnedFd>,
}

impl Flush {
    /// Holds what may be the last reference to an overlay of container `id`.
    pub fn hold(&mut self, id: &str, reference: OwnedFd) {
        self.held.push((id.to_owned(), reference));
    }

    /// Lets go of what is held for `id` at once: no second overlay is made over a writable layer if that can be helped.
    pub fn let_go_of(&mut self, id: &str) {
        self.held.retain(|(other, _)| other != id);
    }

    /// Whether a child is to be sent.
    pub fn is_due(&self) -> bool {
        !self.held.is_empty() && (self.children.is_empty() || self.held.len() > MANY)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.held.len()
    }

    /// Readable when a child has ended, in order.
    pub fn children(&self) -> &[OwnedFd] {
        &self.children
    }

    /// Takes note of ends; keeper reaps them.
    pub fn ended(&mut self, ended: &[bool]) {
        let mut ended = ended.iter();
        self.children.retain(|_| ended.next() != Some(&true));
    }
}

impl Spawner {
    /// Sends a child to let go of what is held, if there is one to send.
    pub(super) fn let_go_of_roots(&mut self) {
        self.hold_left();
        if !self.flush.is_due() {
            return;
        }
        let held = std::mem::take(&mut self.flush.held);
        match send_child(&held).doing(|| "send a child to let go of overlays".to_owned()) {
            // It goes on when both are dropped here: until then its references are not the last.
            Ok((pidfd, _tell)) => {
                self.flush.children.push(pidfd);
                drop(held);
            }
            Err(refusal) => eprintln!("spawner: starts wait for the disk: {refusal}"),
        }
    }
}

/// The child, and what it waits for the end of.
fn send_child(held: &[(String, OwnedFd)]) -> std::io::Result<(OwnedFd, PipeWriter)> {
    let (told, tell) = std::io::pipe()?;
    match clone3(SAME_PARENT, None)? {
        Cloned::Child => {
            let references = held.iter().map(|(_, reference)| reference.as_fd());
            let kept: Vec<BorrowedFd<'_>> = references.chain([told.as_fd()]).collect();
            // All else is closed first: whoever waits for an end of ours would wait for the disk.
            let let_go = keep_only(&kept).and_then(|()| Ok(rustix::io::read(&told, &mut [0_u8])?));
            exit_now(i32::from(let_go.is_err()))
        }
        Cloned::Parent { pidfd, .. } => Ok((pidfd, tell)),
    }
}
