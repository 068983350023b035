//! Pulls and pushes that go on behind the answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use sampan_engine::images::{Pulled, Pushed};
use sampan_engine::reference::ImageReference;
use sampan_engine::upstream::Credentials;
use serde_json::json;

use super::images::{self, PullOrder, PushOrder};
use super::{Result, ServiceError};
use crate::app::App;
use crate::operations::{Operation, State, UNDER_WAY};
use crate::policy::action::{List, Pull, Push, Remove, View};
use crate::policy::{Denied, Granted, Image, Images, NounKind, Operations};

/// Who watches is told of all that changed in so long at once.
const TOGETHER: Duration = Duration::from_millis(200);

/// Begins a pull.
pub fn pull(app: &Arc<App>, target: Granted<Pull, Images>, order: PullOrder) -> Result<Arc<Operation>> {
    let operation = begin(app, target.owner().team_id, "pull", &order.reference)?;
    let (app, told) = (app.clone(), operation.clone());
    let runtime = app.runtime.clone();
    runtime.spawn(async move {
        let tell = |event| told.pulling(event);
        let work = images::pull(&app, target, order, &tell);
        let digests = |all: Vec<Pulled>| all.iter().map(|one| one.digest.to_string()).collect();
        finish(&told, work, digests).await;
    });
    Ok(operation)
}

/// Begins a push.
pub fn push(
    app: &Arc<App>,
    target: Granted<Push, Image>,
    reference: ImageReference,
    all: bool,
    given: Option<Credentials>,
) -> Result<Arc<Operation>> {
    let operation = begin(app, target.owner().team_id, "push", &reference)?;
    let (app, told) = (app.clone(), operation.clone());
    let runtime = app.runtime.clone();
    runtime.spawn(async move {
        let tell = |event| told.pushing(event);
        let order = PushOrder { reference, all, platform: None, given };
        let work = images::push(&app, target, order, &tell);
        let digests = |all: Vec<Pushed>| all.iter().map(|one| one.digest.to_string()).collect();
        finish(&told, work, digests).await;
    });
    Ok(operation)
}

fn begin(app: &App, team_id: i64, kind: &'static str, reference: &ImageReference) -> Result<Arc<Operation>> {
    app.operations.begin(team_id, kind, reference.familiar()).ok_or_else(|| ServiceError::Invalid {
        message: format!("the team has {UNDER_WAY} operations under way: wait for one to end, or cancel it"),
    })
}

async fn finish<T>(
    operation: &Operation,
    work: impl Future<Output = Result<T>>,
    digests: impl FnOnce(T) -> Vec<String>,
) {
    tokio::select! {
        outcome = work => match outcome {
            Ok(done) => operation.end(State::Done, digests(done)),
            Err(error) => operation.end(State::Failed(sampan_engine::sentence(&error)), Vec::new()),
        },
        () = operation.cancelled() => operation.end(State::Cancelled, Vec::new()),
    }
}

/// The team's, newest first.
pub fn list(app: &App, target: &Granted<List, Operations>) -> Vec<Arc<Operation>> {
    app.operations.of(target.owner().team_id)
}

/// The team's, newest first: as they are, and again whenever any of them got further.
pub fn watch(app: Arc<App>, target: &Granted<List, Operations>) -> impl Stream<Item = Vec<Arc<Operation>>> + use<> {
    let (team_id, changes) = (target.owner().team_id, app.operations.changes());
    stream::unfold((app, changes, false), move |(app, mut changes, told)| async move {
        if told {
            changes.changed().await.ok()?;
            tokio::time::sleep(TOGETHER).await;
            changes.mark_unchanged();
        }
        let all = app.operations.of(team_id);
        Some((all, (app, changes, true)))
    })
}

/// One of the team's.
pub fn inspect(app: &App, target: &Granted<View, Operations>, id: u64) -> Result<Arc<Operation>> {
    find(app, target.owner().team_id, id)
}

/// Gives one up, or forgets one that ended; whether it was under way.
pub fn remove(app: &App, target: &Granted<Remove, Operations>, id: u64) -> Result<bool> {
    let operation = find(app, target.owner().team_id, id)?;
    let running = operation.progress().state == State::Running;
    if !running {
        app.operations.forget(id);
    }
    operation.cancel();
    app.note(target, &operation.reference, json!({ "operation": operation.kind }));
    Ok(running)
}

fn find(app: &App, team_id: i64, id: u64) -> Result<Arc<Operation>> {
    let reference = id.to_string();
    app.operations
        .find(team_id, id)
        .ok_or(ServiceError::Denied(Denied::NotFound { noun: NounKind::Operation, reference }))
}
