//! The engine: one handle for all nouns.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sampan_runtime::sys::memory;
use sampan_runtime::wire::spawner::Features;
use sqlx::SqlitePool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ns;
use crate::containers::{ContainerError, Containers, Cradles, Execs, Runs, Table, take_all, take_ends};
use crate::events::{Action, Event, Events, Noun};
use crate::images::{Images, StorageBackend};
use crate::kind::Kind;
use crate::networks;
use crate::owner::Owner;
use crate::processes::{Keeper, Monitors, ProcessError, Spawner};
use crate::registry::Registry;
use crate::stats::{History, Stats, chart_all};
use crate::store;
use crate::upstream::{Patience, Proxies, Transport};
use crate::volumes::Volumes;

/// Where an engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Absolute; images, containers, volumes.
    pub data_root: PathBuf,
    /// Absolute; sockets of keeper, spawner, net and the monitors.
    pub state_root: PathBuf,
    /// The instance's short id: names cgroups, links and the nft table.
    pub instance: String,
    /// How layers are stored; `None`: what the host can do best.
    pub storage: Option<StorageBackend>,
    /// First processes that wait for the next containers, for each active team and kind of network (none, bridge).
    pub cradles: usize,
    /// Through what other servers are reached.
    pub proxies: Proxies,
}

/// A container platform without users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// Time between two rounds of [`give_memory_back`].
const MEMORY_ROUND: Duration = Duration::from_secs(20);
/// How long killed processes may take to be reaped before keeper can end. An emulated machine is slow.
const LAST_PROCESS_PATIENCE: Duration = Duration::from_secs(20);
/// How long a keeper may be away before it is given up. Guard starts another at once; an emulated machine is slow.
const KEEPER_PATIENCE: Duration = Duration::from_secs(15);
const KEEPER_AGAIN: Duration = Duration::from_millis(20);

/// What all nouns of one engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// One connection, see [`store::single`].
    pub(crate) pool: SqlitePool,
    pub(crate) events: Events,
    pub(crate) images: Images,
    pub(crate) registry: Registry,
    pub(crate) table: Arc<Table>,
    pub(crate) execs: Execs,
    pub(crate) runs: Runs,
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) monitors: Monitors,
    pub(crate) net: networks::Client,
    pub(crate) history: History,
    pub(crate) cradles: Cradles,
    /// What keeper keeps for the next server, put back into a keeper that follows one that was killed.
    kept: Mutex<Vec<(String, OwnedFd)>>,
    /// No keeper has come back.
    orphaned: CancellationToken,
    features: Features,
}

impl Shared {
    /// What kernel and host offer, as spawner found it.
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// Keeper refuses as long as a watched process is not reaped, and the last may have been killed a moment ago.
    async fn shut_keeper_down(&self) -> Result<(), ProcessError> {
        let deadline = Instant::now() + LAST_PROCESS_PATIENCE;
        loop {
            match self.keeper.shut_down().await {
                Err(error) if error.kind() == Kind::Conflict && Instant::now() < deadline => {
                    tracing::debug!(%error, "keeper does not end yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Gives a keeper that follows a killed one what only we have.
    async fn fill_keeper(&self) {
        let kept: Vec<(String, OwnedFd)> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().filter_map(|(name, kept)| Some((name.clone(), kept.try_clone().ok()?))).collect()
        };
        for (name, descriptor) in kept {
            if let Err(error) = self.keeper.put(&name, descriptor).await {
                tracing::warn!(name, %error, "keeper does not keep a socket for the next start of the server");
            }
        }
        self.watch_execs_again().await;
    }
}

impl Engine {
    /// Joins the running helpers through the state root, takes in what happened meanwhile (journals, with the true
    /// times), starts by policy what ran before the host went down.
    ///
    /// # Errors
    /// When a helper does not answer or the database cannot be read.
    pub async fn open(settings: Settings, pool: SqlitePool) -> Result<Self, ContainerError> {
        let spawner = Arc::new(Spawner::new(&settings.state_root));
        let features = spawner.features().await?;
        let found = if features.erofs { StorageBackend::Erofs } else { StorageBackend::Folders };
        let backend = settings.storage.unwrap_or(found);
        let transport = Transport::new(settings.proxies.clone(), Patience::default());
        let images = Images::open(&settings.data_root, pool.clone(), backend, spawner.clone(), transport)?;
        let registry = Registry::open(&images).await?;
        let pool = store::single(&pool).await?;
        let (ends, ended) = mpsc::unbounded_channel();
        let keeper = Arc::new(Keeper::new(&settings.state_root, ends));
        let (tell, told) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            monitors: Monitors::new(settings.state_root.clone(), keeper.clone(), tell),
            net: networks::Client::new(settings.state_root.join("net.sock")),
            runs: Runs::start(pool.clone()),
            events: Events::new(),
            table: Arc::default(),
            execs: Execs::default(),
            history: History::default(),
            cradles: Cradles::new(settings.cradles),
            kept: Mutex::default(),
            orphaned: CancellationToken::new(),
            images,
            registry,
            settings,
            pool,
            spawner,
            keeper,
            features,
        });
        tokio::spawn(take_ends(shared.clone(), ended));
        tokio::spawn(keep_listening(shared.clone()));
        shared.load().await?;
        tokio::spawn(take_all(shared.clone(), told));
        shared.catch_up().await?;
        shared.sweep_volumes().await?;
        tokio::spawn(chart_all(shared.clone()));
        tokio::spawn(give_memory_back());
        Ok(Self { shared })
    }

    /// What kernel and host offer, as spawner found it.
    pub fn features(&self) -> &Features {
        &self.shared.features
    }

    /// Whether any container runs or waits for a restart.
    pub fn is_busy(&self) -> bool {
        self.shared.table.any_busy()
    }

    /// Before the server ends: what is known is written; with no container that runs or waits, all helpers end too
    /// and bridges, table and cgroups go.
    ///
    /// # Errors
    /// When a helper does not do its part; the others have been asked.
    pub async fn close(&self) -> Result<(), ContainerError> {
        self.shared.runs.flush().await;
        self.shared.registry.write_pulls().await?;
        if self.is_busy() {
            return Ok(());
        }
        let purged = self.shared.net.purge().await;
        self.shared.shut_keeper_down().await?;
        Ok(purged?)
    }

    /// Has keeper keep a descriptor for the next server, also over a death of keeper: it was put there before.
    pub fn keep(&self, name: String, descriptor: OwnedFd) {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).push((name, descriptor));
    }

    /// Waits until keeper is gone for good: nothing can be started any more, and only another start of the server helps.
    pub async fn orphaned(&self) {
        self.shared.orphaned.cancelled().await;
    }

    /// Where it works.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Containers.
    pub fn containers(&self) -> Containers {
        Containers { shared: self.shared.clone() }
    }

    /// Images.
    pub fn images(&self) -> &Images {
        &self.shared.images
    }

    /// The registry inside.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes { shared: self.shared.clone() }
    }

    /// Events.
    pub fn events(&self) -> Events {
        self.shared.events.clone()
    }

    /// Tells that something happened to an image.
    pub fn tell_image(&self, owner: &Owner, action: Action, id: &str, attributes: BTreeMap<String, String>) {
        let (noun, id) = (Noun::Image, id.to_owned());
        self.shared.events.tell(Event { at_ns: now_ns(), team_id: owner.team_id, noun, action, id, attributes });
    }

    /// Statistics.
    pub fn stats(&self) -> Stats {
        Stats { shared: self.shared.clone() }
    }
}

/// Keeps the connection by which keeper tells of ended execs.
async fn keep_listening(shared: Arc<Shared>) {
    let mut since: Option<Instant> = None;
    loop {
        match shared.keeper.connect().await {
            Ok(_) => {
                if since.take().is_some() {
                    tracing::warn!("keeper was killed, and another one follows");
                    shared.fill_keeper().await;
                }
                shared.keeper.ended().await;
                since = Some(Instant::now());
            }
            Err(error) => {
                if since.get_or_insert_with(Instant::now).elapsed() > KEEPER_PATIENCE {
                    tracing::error!(%error, "keeper is gone and none follows");
                    return shared.orphaned.cancel();
                }
                tokio::time::sleep(KEEPER_AGAIN).await;
            }
        }
    }
}

/// The allocator keeps what a load or a burst of requests took, and the kernel what code was ever run: both are given
/// back. What is needed again comes by minor faults.
async fn give_memory_back() {
    let mut rounds = tokio::time::interval(MEMORY_ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let round = tokio::task::spawn_blocking(|| {
            memory::trim();
            if let Err(error) = memory::unmap_code() {
                tracing::debug!(%error, "the program's pages stay mapped");
            }
        });
        // A round that was lost is made up for by the next.
        let _ = round.await;
    }
}
