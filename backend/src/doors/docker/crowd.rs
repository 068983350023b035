//! How many connections the users of one range of host ids hold at the docker socket. A container that the socket is
//! mounted into could else take every descriptor of the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sampan_engine::owner::RANGE;

/// Most connections of one range; root's are not limited.
const MOST: usize = 500;

/// All that are held, by range.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    held: Arc<Mutex<HashMap<u32, usize>>>,
}

/// A place in the crowd, for as long as a connection lasts.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    range: u32,
}

impl Crowd {
    /// A place for one more connection of a host user; none when that range has its fill.
    ///
    /// By range and not by user, since a container may take any id of its team; one that does not begin at a multiple
    /// of its length lies in two, and has the places of both.
    pub fn place(&self, uid: u32) -> Option<Place> {
        // Root's is a range nobody else is in.
        let range = if uid == 0 { u32::MAX } else { uid / RANGE };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(range).or_default();
        if uid != 0 && *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), range })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.range) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.range)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, MOST};

    #[test]
    fn a_range_has_its_fill_whatever_id_asks_and_others_have_theirs() {
        let crowd = Crowd::default();
        let base = 1_879_048_192;
        let mut held: Vec<_> = (0..MOST as u32).map(|id| crowd.place(base + id).unwrap()).collect();
        assert!(crowd.place(base + 65_535).is_none(), "another id of the same team");
        assert!(crowd.place(base + 65_536).is_some(), "another team");
        assert!(crowd.place(1000).is_some(), "a user of the host");
        held.pop();
        assert!(crowd.place(base).is_some(), "one was let go of");
        drop(held);
        assert!(crowd.held.lock().unwrap().is_empty());
        let root: Vec<_> = (0..2 * MOST).filter_map(|_| crowd.place(0)).collect();
        assert_eq!(root.len(), 2 * MOST);
    }
}
