//! `sampan down`: ends what a server that is gone has left running, and gives back what the instance took of its host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::socket::Connection;
use sampan_runtime::wire::{monitor, net, spawner};

use super::lock::HostLock;
use super::{Helpers, HostError, Keeper, claim, ids, instance};

/// How long killed containers and ending helpers may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Down {
    /// Containers that were ended.
    pub ended: Vec<String>,
    /// Helpers ran and are gone.
    pub helpers: bool,
    /// The instance's host ids were given back.
    pub purged: bool,
}

/// Ends containers, helpers, bridges, table and cgroups of the instance; with `purge` its host ids too, so that the
/// data root cannot be used by another user's containers by mistake until it is started again.
///
/// # Errors
/// [`HostError`]; what could be done was done.
pub fn down(data_root: &Path, state_root: &Path, helpers: &Helpers, purge: bool) -> Result<Down, HostError> {
    let mut done = Down::default();
    let mut keeper = Keeper::find(state_root)?;
    // It removes its socket when it ends in order. One that was killed has left containers, links and cgroups, which a
    // new one finds.
    if keeper.is_none() && state_root.join("keeper.sock").exists() && instance::existing(data_root).is_some() {
        keeper = Some(Keeper::find_or_start(&claim(data_root, state_root)?, helpers)?);
    }
    done.helpers = keeper.is_some();
    // When all processes were killed and the state root is gone, bridges, table and cgroups may be left. Their names
    // follow from the data root, and helpers that are started anew find them.
    if keeper.is_none() && purge && instance::existing(data_root).is_some_and(|id| ids::is_reserved(&id)) {
        keeper = Some(Keeper::find_or_start(&claim(data_root, state_root)?, helpers)?);
    }
    if let Some(keeper) = keeper {
        done.ended = end_containers(data_root, state_root);
        tell(&state_root.join("net.sock"), &net::Request::Hello { version: VERSION }, &net::Request::Purge);
        shut_down(&keeper)?;
        wait_until_gone(state_root)?;
    }
    if purge {
        if let Some(id) = instance::existing(data_root) {
            let _lock = HostLock::take()?;
            ids::release(&id)?;
            done.purged = true;
        }
        match fs::remove_dir_all(state_root) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(HostError::io("remove", state_root)(error)),
        }
    }
    Ok(done)
}

/// Kills every container for good and lets go of what it has. One that cannot be ended makes `shut_down` refuse.
fn end_containers(data_root: &Path, state_root: &Path) -> Vec<String> {
    let path = state_root.join("spawner.sock");
    let hello = spawner::Request::Hello { version: VERSION };
    let kill = |id: &String| {
        tell(&path, &hello, &spawner::Request::Signal { id: id.clone(), signal: Signal::KILL.as_raw(), all: true })
    };
    let ids = names(&data_root.join("containers"));
    let mut ended = BTreeSet::new();
    for id in &ids {
        for socket in sockets(&state_root.join("monitor")) {
            let stop = monitor::Request::Stopping { id: id.clone() };
            tell(&socket, &monitor::Request::Hello { version: VERSION }, &stop);
        }
        if kill(id) {
            ended.insert(id.clone());
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for id in &ids {
        // Refused as long as the process is not gone. One that a killed keeper watched is known again only when its
        // monitor has found the next one; one that nobody knows any more goes with the cgroups at the end.
        while !tell(&path, &hello, &spawner::Request::Release { id: id.clone() }) && Instant::now() < deadline {
            if kill(id) {
                ended.insert(id.clone());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    ended.into_iter().collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.len() == 64).collect()
}

fn sockets(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Says hello and one request; whether it was not refused.
fn tell<M: serde::Serialize>(path: &Path, hello: &M, request: &M) -> bool {
    let Ok(connection) = Connection::connect(path) else { return false };
    let mut fine = false;
    for message in [hello, request] {
        let Ok(()) = connection.send(message, &[]) else { return false };
        let Ok(Some((answer, _))) = connection.receive::<serde_json::Value>() else { return false };
        fine = answer.get("answer").and_then(serde_json::Value::as_str).is_some_and(|word| word != "refused");
    }
    fine
}

fn shut_down(keeper: &Keeper) -> Result<(), HostError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match keeper.shut_down() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
            Ok(()) => return Ok(()),
        }
    }
}

fn wait_until_gone(state_root: &Path) -> Result<(), HostError> {
    let path = state_root.join("keeper.sock");
    let deadline = Instant::now() + PATIENCE;
    while Connection::connect(&path).is_ok() {
        if Instant::now() > deadline {
            return Err(HostError::Keeper { path, reason: "it does not end".to_owned() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
