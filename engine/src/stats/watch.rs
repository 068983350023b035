//! Statistics: at once, every second for who watches, every ten seconds for the charts.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, stream};
use sampan_runtime::cgroups::Layout;

use super::points::Points;
use super::sample::{Point, Sample, Source};
use crate::containers::{Container, ContainerError, Containers, State};
use crate::engine::Shared;
use crate::kind::Kind;
use crate::owner::Owner;

/// Between two readings of a watched container.
const WATCHED: Duration = Duration::from_secs(1);
/// Between two points of a chart.
const CHART: Duration = Duration::from_secs(10);

/// Readings, one a second.
pub type SampleStream = Pin<Box<dyn Stream<Item = Arc<Sample>> + Send>>;

/// The statistics of one engine.
#[derive(Debug, Clone)]
pub struct Stats {
    pub(crate) shared: Arc<Shared>,
}

/// The charts' points, of containers that run.
#[derive(Debug, Default)]
pub(crate) struct History {
    by_id: Mutex<HashMap<String, Points>>,
}

/// One container's last reading. Its files are opened anew each time: a dozen held for each of a thousand containers
/// would be most of the descriptors that a process may have.
#[derive(Debug)]
struct Chart {
    /// The main process that was read: another one has another network namespace's counters.
    pid: Option<i32>,
    last: Sample,
}

impl Stats {
    /// One reading now.
    pub async fn sample(&self, owner: &Owner, reference: &str) -> Result<Arc<Sample>, ContainerError> {
        let container = self.container(owner, reference)?;
        let source = self.source(&container)?;
        let sample = tokio::task::spawn_blocking(move || source.read()).await;
        sample.ok().flatten().map(Arc::new).ok_or_else(|| ended(&container))
    }

    /// A reading at once, then one a second until the container ends.
    pub fn stream(&self, owner: &Owner, reference: &str) -> Result<SampleStream, ContainerError> {
        let container = self.container(owner, reference)?;
        let source = Arc::new(self.source(&container)?);
        let mut turns = tokio::time::interval(WATCHED);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Ok(Box::pin(stream::unfold((source, turns), |(source, mut turns)| async move {
            turns.tick().await;
            let open = source.clone();
            let sample = tokio::task::spawn_blocking(move || open.read()).await.ok().flatten()?;
            // A group without a process is about to go.
            (sample.pids > 0).then(|| (Arc::new(sample), (source, turns)))
        })))
    }

    /// The last ten minutes in steps of ten seconds, oldest first; empty for one that does not run.
    pub fn history(&self, owner: &Owner, reference: &str) -> Result<Vec<Point>, ContainerError> {
        let container = Containers { shared: self.shared.clone() }.get(owner, reference)?;
        let charts = self.shared.history.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(charts.get(&container.id).map(Points::all).unwrap_or_default())
    }

    fn source(&self, container: &Container) -> Result<Source, ContainerError> {
        let layout = Layout::find().map_err(|error| ContainerError::Refused {
            kind: Kind::from(error.kind()),
            message: format!("the statistics of container {} cannot be read: {error}", container.name),
        })?;
        Source::open(&layout, &self.shared.features().cgroup_parent, container)
    }

    fn container(&self, owner: &Owner, reference: &str) -> Result<Arc<Container>, ContainerError> {
        let container = Containers { shared: self.shared.clone() }.get(owner, reference)?;
        if matches!(container.state, State::Running | State::Paused) { Ok(container) } else { Err(ended(&container)) }
    }
}

fn ended(container: &Container) -> ContainerError {
    ContainerError::Refused {
        message: format!("container {} is {}: it has no statistics", container.name, container.state.word()),
        kind: Kind::Conflict,
    }
}

/// Takes a point of every running container, every ten seconds, as long as the engine lives.
pub(crate) async fn chart_all(shared: Arc<Shared>) {
    let mut turns = tokio::time::interval(CHART);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut charts = HashMap::new();
    loop {
        turns.tick().await;
        let shared = shared.clone();
        // A thousand containers are some ten thousand small reads: not on a thread that answers.
        let round = tokio::task::spawn_blocking(move || {
            take_points(&shared, &mut charts);
            charts
        });
        charts = round.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the charts' readings broke off and begin anew");
            HashMap::new()
        });
    }
}

fn take_points(shared: &Shared, charts: &mut HashMap<String, Chart>) {
    let running: HashMap<String, Arc<Container>> =
        shared.table.running().into_iter().map(|container| (container.id.clone(), container)).collect();
    charts.retain(|id, chart| running.get(id).is_some_and(|container| container.run.pid == chart.pid));
    let layout = match Layout::find() {
        Ok(layout) => layout,
        Err(error) => {
            tracing::error!(%error, "the charts have no readings");
            return;
        }
    };
    for (id, container) in &running {
        // It may have ended just now.
        let Ok(source) = Source::open(&layout, &shared.features().cgroup_parent, container) else { continue };
        let Some(sample) = source.read() else { continue };
        let point = charts.get(id).map(|chart| Point::between(&chart.last, &sample));
        charts.insert(id.clone(), Chart { pid: container.run.pid, last: sample });
        let mut history = shared.history.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        let points = history.entry(id.clone()).or_default();
        if let Some(point) = &point {
            points.add(point);
        }
    }
    shared.history.by_id.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| running.contains_key(id));
}
