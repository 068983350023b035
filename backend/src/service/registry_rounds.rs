//! What the registry does by itself once a day: the repositories' own rules, what nobody asked the cache for, and giving
//! back what nobody needs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Result;
use crate::accounts::Done;
use crate::app::App;
use crate::auth::Caller;
use crate::policy::{Act, NounKind, Verb};

/// After the start, when everything else has begun.
const FIRST: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(86_400);

/// Does a round a day until the server ends.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut wait = FIRST;
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        if let Err(error) = round(&app).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the registry's daily round stopped");
        }
        wait = DAY;
    }
}

/// One round. What the rules take stands in the team's audit trail.
pub async fn round(app: &App) -> Result<()> {
    let registry = app.engine.registry();
    for repository in registry.with_rules().await? {
        let gone = registry.retain(&repository).await?;
        if gone.tags.is_empty() && gone.manifests.is_empty() {
            continue;
        }
        let done = Done {
            caller: &Caller::by_itself(),
            act: Act(Verb::Prune, NounKind::Repository),
            target: &repository.name,
            team_id: Some(repository.team_id),
            details: json!({ "tags": gone.tags, "manifests": gone.manifests }),
        };
        app.accounts.record(done).await?;
    }
    registry.forget_unused().await?;
    Ok(registry.tidy().await?)
}
