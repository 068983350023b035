//! Lets endpoints go. The veth pair ends with its namespace, later and in the kernel's own time: deleting one
//! synchronously takes 15-32 ms. Its address is free when the link is gone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::networks::{Leaving, Networks};
use crate::networks::NetworkError;
use crate::networks::netlink::{Batch, link};

/// When a link is looked for that should be gone.
const GRACE: Duration = Duration::from_secs(1);
/// When it is deleted after all.
const PATIENCE: Duration = Duration::from_secs(10);

impl Networks {
    /// Lets go of the address and the ports of `id`.
    pub(super) fn detach(&mut self, id: &str) -> Result<(), NetworkError> {
        let unpublished = self.unpublish(id);
        self.leave(id)?;
        unpublished
    }

    /// Lets go of the address alone; published ports wait for the next one.
    pub(super) fn leave(&mut self, id: &str) -> Result<(), NetworkError> {
        let Some(endpoint) = self.endpoints.get(id).cloned() else { return Ok(()) };
        self.lead_ports_to(id, None)?;
        self.endpoint_files.remove(id)?;
        self.endpoints.remove(id);
        let since = Instant::now();
        self.leaving.push(Leaving { endpoint, since, look_at: since + GRACE });
        Ok(())
    }

    /// Frees the addresses of those whose link is gone.
    pub(super) fn clear_leaving(&mut self) -> Result<(), NetworkError> {
        let now = Instant::now();
        let mut still = Vec::new();
        for mut leaving in std::mem::take(&mut self.leaving) {
            if leaving.look_at > now {
                still.push(leaving);
            } else if self.has_link(&leaving.endpoint.link)? {
                leaving.look_at = now + GRACE;
                still.push(leaving);
            } else {
                self.free_address(&leaving.endpoint.bridge, leaving.endpoint.address);
            }
        }
        self.leaving = still;
        let overdue = self.leaving.iter().position(|leaving| now.saturating_duration_since(leaving.since) > PATIENCE);
        if let Some(place) = overdue {
            // One each time: others wait meanwhile.
            let endpoint = self.leaving.swap_remove(place).endpoint;
            self.delete_link(&endpoint.link)?;
            self.free_address(&endpoint.bridge, endpoint.address);
        }
        Ok(())
    }

    /// Lets go of endpoints whose link ended without a word.
    pub(super) fn forget_ended(&mut self) -> Result<(), NetworkError> {
        let links: HashSet<String> = self.look_at_host()?.links.into_iter().map(|link| link.name).collect();
        let ended = self.endpoints.iter().filter(|(_, endpoint)| !links.contains(&endpoint.link));
        let ended: Vec<String> = ended.map(|(id, _)| id.clone()).collect();
        for id in ended {
            self.leave(&id)?;
        }
        let (gone, still) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|leaving: &Leaving| !links.contains(&leaving.endpoint.link));
        self.leaving = still;
        for leaving in gone {
            self.free_address(&leaving.endpoint.bridge, leaving.endpoint.address);
        }
        Ok(())
    }

    fn has_link(&mut self, name: &str) -> Result<bool, NetworkError> {
        let mut batch = Batch::new();
        link::get(&mut batch, name);
        match self.route.exchange(batch, |_, _| {}) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            Err(error) => Err(NetworkError::system(format!("look for the link {name}"))(error)),
        }
    }
}
