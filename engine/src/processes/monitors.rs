//! The monitors of all teams that have one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_runtime::wire::monitor::Answer;
use tokio::sync::{mpsc, oneshot};

use super::{Keeper, Monitor, ProcessError};
use crate::owner::Owner;

/// What monitors tell.
#[derive(Debug)]
pub(crate) enum Told {
    /// One piece of news.
    News(Answer),
    /// The team's monitor was away and is back: what it wrote meanwhile is in the journals.
    Back {
        /// Key of the team.
        team: String,
    },
    /// Everything before this was taken in.
    Mark(oneshot::Sender<()>),
}

/// Connections to monitors, made with the first need of one.
#[derive(Debug)]
pub(crate) struct Monitors {
    state_root: PathBuf,
    keeper: Arc<Keeper>,
    told: mpsc::UnboundedSender<Told>,
    by_team: Mutex<HashMap<String, Arc<Monitor>>>,
    /// One at a time makes a connection, so that a team is subscribed to once.
    making: tokio::sync::Mutex<()>,
}

impl Monitors {
    pub(crate) fn new(state_root: PathBuf, keeper: Arc<Keeper>, told: mpsc::UnboundedSender<Told>) -> Self {
        Self { state_root, keeper, told, by_team: Mutex::default(), making: tokio::sync::Mutex::default() }
    }

    /// Waits until all that was told before is taken in.
    pub(crate) async fn settle(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.told.send(Told::Mark(sender)).is_ok() {
            let _ = receiver.await;
        }
    }

    fn known(&self, key: &str) -> Option<Arc<Monitor>> {
        self.by_team.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The team's monitor, started if it does not run, and subscribed to.
    pub(crate) async fn of(&self, owner: &Owner) -> Result<Arc<Monitor>, ProcessError> {
        if let Some(monitor) = self.known(&owner.key) {
            return Ok(monitor);
        }
        let _making = self.making.lock().await;
        if let Some(monitor) = self.known(&owner.key) {
            return Ok(monitor);
        }
        self.keeper.ensure_monitor(owner).await?;
        let told = self.told.clone();
        // Nobody listens any more only while the engine ends.
        let listener = Arc::new(move |answer| drop(told.send(Told::News(answer))));
        let monitor = Arc::new(Monitor::new(&self.state_root, &owner.key, listener));
        monitor.connect().await.map_err(|source| monitor.unreachable(source))?;
        tokio::spawn(keep_subscribed(monitor.clone(), self.keeper.clone(), owner.clone(), self.told.clone()));
        self.by_team.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.key.clone(), monitor.clone());
        Ok(monitor)
    }
}

/// Subscribes again whenever the connection ends.
async fn keep_subscribed(monitor: Arc<Monitor>, keeper: Arc<Keeper>, owner: Owner, told: mpsc::UnboundedSender<Told>) {
    loop {
        monitor.ended().await;
        let mut pause = Duration::from_millis(10);
        loop {
            let reached = async {
                keeper.ensure_monitor(&owner).await?;
                monitor.connect().await.map_err(|source| monitor.unreachable(source))
            };
            match reached.await {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(team = owner.key, %error, "the team's monitor is away");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        if told.send(Told::Back { team: owner.key.clone() }).is_err() {
            return;
        }
    }
}
