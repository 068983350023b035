//! All containers in memory: rows are read once, at open; after that memory leads and the rows follow.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, watch};

use super::{Container, ContainerError, State};
use crate::owner::Owner;

/// Shortest beginning of an id that finds it; Docker takes one digit.
const PREFIX: usize = 1;

/// One container and those who watch it.
#[derive(Debug)]
pub(crate) struct Slot {
    seen: watch::Sender<Seen>,
    /// Held by a verb that changes it, over the words with the processes beneath; never while another slot's is.
    pub(super) verb: tokio::sync::Mutex<()>,
    /// Held while what is left of a run is let go of; apart from `verb`, so that a removal answers before.
    pub(super) teardown: tokio::sync::Mutex<()>,
    /// A run has ended and its namespaces, mounts, cgroups, ports are still there.
    pub(super) needs_release: AtomicBool,
    /// Its root is known to be one of the present storage backend.
    pub(super) root_fits: AtomicBool,
    /// Its monitor told of it since the engine was opened.
    pub(super) reported: AtomicBool,
    /// Clients that read its log; its folder goes when they are gone.
    readers: Mutex<usize>,
    /// The last of them has gone.
    unread: Notify,
    /// Pid of the main process whose health is being watched.
    pub(super) probed: Mutex<Option<i32>>,
}

/// What watchers see.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub container: Arc<Container>,
    /// How often it ended for good or for a restart, since the engine was opened.
    pub exits: u64,
    /// How often it started since then.
    pub starts: u64,
    /// Exit code of the last end.
    pub code: Option<i32>,
    /// It is gone from the table.
    pub removed: bool,
}

impl Slot {
    pub(super) fn new(container: Container) -> Self {
        let seen = Seen { container: Arc::new(container), exits: 0, starts: 0, code: None, removed: false };
        Self {
            seen: watch::Sender::new(seen),
            verb: tokio::sync::Mutex::default(),
            teardown: tokio::sync::Mutex::default(),
            needs_release: AtomicBool::new(false),
            root_fits: AtomicBool::new(false),
            reported: AtomicBool::new(false),
            readers: Mutex::default(),
            unread: Notify::new(),
            probed: Mutex::default(),
        }
    }

    /// As it is now.
    pub(super) fn now(&self) -> Arc<Container> {
        self.seen.borrow().container.clone()
    }

    /// As it is now and from now on.
    pub(super) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Changes it at once for all; gives the new state.
    pub(super) fn change(&self, how: impl FnOnce(&mut Container)) -> Arc<Container> {
        let mut new = None;
        self.seen.send_modify(|seen| {
            let mut container = Container::clone(&seen.container);
            how(&mut container);
            seen.container = Arc::new(container);
            new = Some(seen.container.clone());
        });
        new.unwrap_or_else(|| self.now())
    }

    /// As [`Slot::change`], and a start or an end is counted with it, in one step.
    pub(super) fn change_seen(&self, how: impl FnOnce(&mut Seen, &mut Container)) -> Arc<Container> {
        let mut new = None;
        self.seen.send_modify(|seen| {
            let mut container = Container::clone(&seen.container);
            how(seen, &mut container);
            seen.container = Arc::new(container);
            new = Some(seen.container.clone());
        });
        new.unwrap_or_else(|| self.now())
    }

    pub(super) fn mark_removed(&self) {
        self.seen.send_modify(|seen| seen.removed = true);
    }

    /// Keeps the container's files until the guard is dropped.
    pub(super) fn read_guard(self: &Arc<Self>) -> ReadGuard {
        *self.readers() += 1;
        ReadGuard { slot: self.clone() }
    }

    /// Waits until nobody reads its files.
    pub(super) async fn unread(&self) {
        loop {
            let mut gone = std::pin::pin!(self.unread.notified());
            // From here on, so that none that goes between the look and the wait is missed.
            gone.as_mut().enable();
            if *self.readers() == 0 {
                return;
            }
            gone.await;
        }
    }

    fn readers(&self) -> MutexGuard<'_, usize> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that reads the container's files.
#[derive(Debug)]
pub(super) struct ReadGuard {
    slot: Arc<Slot>,
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let mut readers = self.slot.readers();
        *readers -= 1;
        if *readers == 0 {
            self.slot.unread.notify_waiters();
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: RwLock<Rows>,
    /// Names that a `create` or `rename` has taken and not yet written: (team, name).
    reserved: Mutex<HashMap<(i64, String), String>>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: BTreeMap<String, Arc<Slot>>,
    by_name: HashMap<(i64, String), String>,
}

impl Table {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a container.
    pub(super) fn insert(&self, container: Container) -> Arc<Slot> {
        let (id, name) = (container.id.clone(), (container.owner.team_id, container.name.clone()));
        let slot = Arc::new(Slot::new(container));
        let mut rows = self.write();
        rows.by_name.insert(name, id.clone());
        rows.by_id.insert(id, slot.clone());
        slot
    }

    /// Takes it out and tells those who watch it.
    pub(super) fn remove(&self, id: &str) {
        let mut rows = self.write();
        if let Some(slot) = rows.by_id.remove(id) {
            let container = slot.now();
            let name = (container.owner.team_id, container.name.clone());
            if rows.by_name.get(&name).is_some_and(|holder| holder == id) {
                rows.by_name.remove(&name);
            }
            slot.mark_removed();
        }
    }

    /// Gives it another name, which must be reserved.
    pub(super) fn rename(&self, slot: &Slot, name: &str) {
        let mut rows = self.write();
        let old = slot.now();
        rows.by_name.remove(&(old.owner.team_id, old.name.clone()));
        rows.by_name.insert((old.owner.team_id, name.to_owned()), old.id.clone());
        slot.change(|container| name.clone_into(&mut container.name));
    }

    /// By whole id, of any team.
    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Slot>> {
        self.read().by_id.get(id).cloned()
    }

    /// By name, whole id or beginning of an id, of this team only. Spec: Docker tries whole id, name, beginning.
    pub(super) fn find(&self, owner: &Owner, reference: &str) -> Result<Arc<Slot>, ContainerError> {
        let rows = self.read();
        let of_team = |slot: &&Arc<Slot>| slot.now().owner.team_id == owner.team_id;
        if let Some(slot) = rows.by_id.get(reference).filter(of_team) {
            return Ok(slot.clone());
        }
        let bare = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(slot) = rows.by_name.get(&(owner.team_id, bare.to_owned())).and_then(|id| rows.by_id.get(id)) {
            return Ok(slot.clone());
        }
        if reference.len() >= PREFIX && reference.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let mut fitting = rows
                .by_id
                .range(reference.to_owned()..)
                .take_while(|(id, _)| id.starts_with(reference))
                .map(|(_, slot)| slot)
                .filter(of_team);
            match (fitting.next(), fitting.next()) {
                (Some(slot), None) => return Ok(slot.clone()),
                (Some(_), Some(_)) => return Err(ContainerError::Ambiguous { reference: reference.into() }),
                (None, _) => {}
            }
        }
        Err(ContainerError::NotFound { reference: reference.into() })
    }

    /// The team's, newest first.
    pub(super) fn of_team(&self, team_id: i64) -> Vec<Arc<Container>> {
        let mut containers: Vec<_> = self
            .read()
            .by_id
            .values()
            .map(|slot| slot.now())
            .filter(|container| container.owner.team_id == team_id)
            .collect();
        containers.sort_unstable_by(|one, other| (other.created_at_ns, &other.id).cmp(&(one.created_at_ns, &one.id)));
        containers
    }

    /// All, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.read().by_id.values().cloned().collect()
    }

    /// All that run, of all teams.
    pub(crate) fn running(&self) -> Vec<Arc<Container>> {
        self.read()
            .by_id
            .values()
            .map(|slot| slot.now())
            .filter(|container| container.state == State::Running)
            .collect()
    }

    /// Whether any runs or waits for a restart.
    pub(crate) fn any_busy(&self) -> bool {
        self.read().by_id.values().any(|slot| {
            let state = slot.now().state;
            state.is_alive() || state == State::Restarting
        })
    }

    /// Takes a name for `id`, or says who has it.
    pub(super) fn reserve(self: &Arc<Self>, owner: &Owner, name: &str, id: &str) -> Result<Reserved, ContainerError> {
        let key = (owner.team_id, name.to_owned());
        let rows = self.read();
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = rows.by_name.get(&key).or_else(|| reserved.get(&key)) {
            return Err(ContainerError::NameTaken { name: name.to_owned(), id: holder.clone() });
        }
        reserved.insert(key.clone(), id.to_owned());
        Ok(Reserved { table: self.clone(), key })
    }

    /// Whether a name is taken or reserved.
    pub(super) fn is_taken(&self, owner: &Owner, name: &str) -> bool {
        let key = (owner.team_id, name.to_owned());
        self.read().by_name.contains_key(&key)
            || self.reserved.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }
}

/// A name that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    table: Arc<Table>,
    key: (i64, String),
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.table.reserved.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::Table;
    use crate::containers::{Container, ContainerError, Resolved, Run, State};
    use crate::owner::Owner;

    pub(in crate::containers) fn owner(team_id: i64) -> Owner {
        Owner { team_id, key: format!("t{team_id}"), base_id: 1_879_048_192 }
    }

    pub(in crate::containers) fn container(id: &str, name: &str, team_id: i64) -> Container {
        Container {
            id: id.into(),
            owner: owner(team_id),
            name: name.into(),
            image_id: "sha256:0".into(),
            created_at_ns: 1,
            config: Arc::default(),
            resolved: Arc::new(Resolved::default()),
            state: State::Created,
            run: Run::default(),
        }
    }

    fn name(found: Result<Arc<super::Slot>, ContainerError>) -> Result<String, String> {
        found.map(|slot| slot.now().name.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn finds_by_id_name_and_beginning_within_the_team_only() {
        let table = Table::default();
        table.insert(container("abc1", "one", 1));
        table.insert(container("abd2", "two", 1));
        table.insert(container("abe3", "abc", 2));

        assert_eq!(name(table.find(&owner(1), "abc1")), Ok("one".into()));
        assert_eq!(name(table.find(&owner(1), "/two")), Ok("two".into()));
        assert_eq!(name(table.find(&owner(1), "abd")), Ok("two".into()));
        assert_eq!(name(table.find(&owner(2), "abc")), Ok("abc".into()), "a name before a beginning");
        assert!(matches!(table.find(&owner(1), "ab"), Err(ContainerError::Ambiguous { .. })));
        for (team, hidden) in [(1, "abe3"), (1, "abc0"), (2, "one"), (1, "")] {
            assert!(matches!(table.find(&owner(team), hidden), Err(ContainerError::NotFound { .. })), "{hidden}");
        }
        assert_eq!(table.of_team(2).len(), 1);
    }

    #[test]
    fn a_name_is_held_while_its_container_is_made() {
        let table = Arc::new(Table::default());
        let held = table.reserve(&owner(1), "web", "a").expect("free");
        assert!(matches!(table.reserve(&owner(1), "web", "b"), Err(ContainerError::NameTaken { id, .. }) if id == "a"));
        assert!(table.reserve(&owner(2), "web", "c").is_ok(), "another team's names are its own");
        drop(held);
        assert!(!table.is_taken(&owner(1), "web"));

        let slot = table.insert(container("a", "web", 1));
        table.rename(&slot, "site");
        assert!(table.find(&owner(1), "web").is_err());
        assert_eq!(name(table.find(&owner(1), "site")), Ok("site".into()));
        table.remove("a");
        assert!(!table.is_taken(&owner(1), "site"));
    }
}
