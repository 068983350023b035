//! Writes states to the rows, behind memory: nobody waits for it, and a kill loses nothing, since the journals say it
//! again.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use super::Container;
use crate::store;

/// How long the first of several writes waits for the others.
const GATHER: Duration = Duration::from_millis(50);

/// The writer's end for all others.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    sender: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Write {
        id: String,
        state: String,
        run: String,
    },
    /// Its row is gone.
    Forget(String),
    Flush(oneshot::Sender<()>),
}

impl Runs {
    /// Starts the writer.
    pub(crate) fn start(pool: SqlitePool) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write_all(pool, receiver));
        Self { sender }
    }

    /// Has the present state written soon.
    pub(super) fn write(&self, container: &Container) {
        let run = serde_json::to_string(&container.run).unwrap_or_else(|_| "{}".to_owned());
        let order = Order::Write { id: container.id.clone(), state: container.state.word().to_owned(), run };
        // The writer lives as long as the engine.
        let _ = self.sender.send(order);
    }

    /// What waits to be written of a removed container need not be.
    pub(super) fn forget(&self, id: &str) {
        // As above.
        let _ = self.sender.send(Order::Forget(id.to_owned()));
    }

    /// Waits until all that was asked before is written.
    pub(crate) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.sender.send(Order::Flush(sender)).is_ok() {
            let _ = receiver.await;
        }
    }
}

async fn write_all(pool: SqlitePool, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(first) = orders.recv().await {
        if !matches!(first, Order::Flush(_)) {
            // A quick container's start and end, and perhaps its removal, come together; and no write of ours holds up
            // the one of the next container's row.
            tokio::time::sleep(GATHER).await;
        }
        let mut latest = HashMap::new();
        let mut flushes = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Write { id, state, run } => drop(latest.insert(id, (state, run))),
                Order::Forget(id) => drop(latest.remove(&id)),
                Order::Flush(done) => flushes.push(done),
            }
            next = orders.try_recv().ok();
        }
        for (id, (state, run)) in latest {
            if let Err(error) = store::containers::set_run(&pool, &id, &state, &run).await {
                tracing::error!(container.id = id, %error, "the state of a container could not be stored");
            }
        }
        for done in flushes {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
    }
}
