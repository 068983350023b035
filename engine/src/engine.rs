//! The engine: one handle for all nouns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sampan_runtime::sys::memory;
use sampan_runtime::wire::spawner::Features;
use sqlx::SqlitePool;
use tokio::sync::mpsc;

use crate::containers::{ContainerError, Containers, Cradles, Execs, Runs, Table, take_all, take_ends};
use crate::events::Events;
use crate::images::{Images, StorageBackend};
use crate::networks;
use crate::processes::{Keeper, Monitors, Spawner};
use crate::stats::{History, Stats, chart_all};
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
}

/// A container platform without users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// Time between two rounds of [`give_memory_back`].
const MEMORY_ROUND: Duration = Duration::from_secs(20);
/// A server that computed less than this in a round is idle.
const IDLE: Duration = Duration::from_millis(100);

/// What all nouns of one engine share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) pool: SqlitePool,
    pub(crate) events: Events,
    pub(crate) images: Images,
    pub(crate) table: Arc<Table>,
    pub(crate) execs: Execs,
    pub(crate) runs: Runs,
    pub(crate) spawner: Arc<Spawner>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) monitors: Monitors,
    pub(crate) net: networks::Client,
    pub(crate) history: History,
    pub(crate) cradles: Cradles,
    features: Features,
}

impl Shared {
    /// What kernel and host offer, as spawner found it.
    pub(crate) fn features(&self) -> &Features {
        &self.features
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
        let images = Images::open(&settings.data_root, pool.clone(), backend, spawner.clone())?;
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
            images,
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
        if self.is_busy() {
            return Ok(());
        }
        let purged = self.shared.net.purge().await;
        self.shared.keeper.shut_down().await?;
        Ok(purged?)
    }

    /// Where it works.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The database that the engine shares with the accounts.
    pub fn pool(&self) -> &SqlitePool {
        &self.shared.pool
    }

    /// Containers.
    pub fn containers(&self) -> Containers {
        Containers { shared: self.shared.clone() }
    }

    /// Images.
    pub fn images(&self) -> &Images {
        &self.shared.images
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes { shared: self.shared.clone() }
    }

    /// Events.
    pub fn events(&self) -> Events {
        self.shared.events.clone()
    }

    /// Statistics.
    pub fn stats(&self) -> Stats {
        Stats { shared: self.shared.clone() }
    }
}

/// Keeps the connection by which keeper tells of ended execs.
async fn keep_listening(shared: Arc<Shared>) {
    let mut pause = Duration::from_millis(10);
    loop {
        match shared.keeper.connect().await {
            Ok(_) => {
                pause = Duration::from_millis(10);
                shared.keeper.ended().await;
            }
            Err(error) => {
                tracing::warn!(%error, "keeper does not listen: no process can be watched until the server is started again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

/// The allocator keeps what a load or a burst of requests took; an idle server gives it back.
async fn give_memory_back() {
    let mut rounds = tokio::time::interval(MEMORY_ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut worked = Duration::ZERO;
    loop {
        rounds.tick().await;
        let now = cpu_time();
        let idle = now.saturating_sub(worked) < IDLE;
        worked = now;
        let round = tokio::task::spawn_blocking(move || {
            memory::trim();
            if idle && let Err(error) = memory::unmap_idle_code() {
                tracing::debug!(%error, "the program's pages stay mapped");
            }
        });
        // A round that was lost is made up for by the next.
        let _ = round.await;
    }
}

/// What this process has computed since it began.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
