//! `GET /system/df`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::version::Version;
use crate::doors::docker::{containers, images, volumes};
use crate::policy::action::{List, View};
use crate::policy::{Images, System, Volumes};
use crate::service;

/// Kinds that `type` may ask for.
const KINDS: [&str; 4] = ["container", "image", "volume", "build-cache"];

/// `GET /system/df`: what the team takes of the disk. Spec: Docker Engine API, `SystemDataUsage`. `type` may be given
/// several times; without it everything is counted.
pub async fn df(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, DockerError> {
    let _seen = app.policy().team::<View, _>(&caller, System)?;
    let kinds = kinds(query.as_deref().unwrap_or_default())?;
    let wanted = |kind: &str| kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind);
    let mut usage = json!({ "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null });
    if wanted("image") {
        let target = app.policy().team::<List, _>(&caller, Images)?;
        let counted = service::images::usage(&app, &target).await?;
        usage["LayersSize"] = json!(counted.layers_bytes);
        let lines = counted.images.iter().map(|one| images::summary(&one.image, Some(one), version));
        usage["Images"] = lines.collect::<Vec<_>>().into();
    }
    if wanted("container") {
        usage["Containers"] = containers::sized_list(&app, &caller, version).await?;
    }
    if wanted("volume") {
        usage["Volumes"] = sized_volumes(&app, &caller).await?;
    }
    if wanted("build-cache") {
        usage["BuildCache"] = json!([]);
    }
    Ok(Answer(usage))
}

fn kinds(query: &str) -> Result<Vec<String>, DockerError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let kinds: Vec<String> = pairs.filter(|(name, _)| *name == "type").map(|(_, kind)| kind.to_owned()).collect();
    match kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        Some(unknown) => Err(DockerError::invalid(format!("unknown object type: {unknown}"))),
        None => Ok(kinds),
    }
}

async fn sized_volumes(app: &App, caller: &Caller) -> Result<Value, DockerError> {
    let target = app.policy().team::<List, _>(caller, Volumes)?;
    let mut lines = Vec::new();
    for volume in service::volumes::list(app, &target).await? {
        let one = app.policy().volume::<View>(caller, &volume.name)?;
        let usage = service::volumes::usage(app, &one).await?;
        lines.push(volumes::view(&volume, Some(usage)));
    }
    Ok(lines.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_may_be_several_and_must_be_known() {
        assert_eq!(kinds("type=image&type=volume&x=1").unwrap(), ["image", "volume"]);
        assert_eq!(kinds("").unwrap(), Vec::<String>::new());
        assert_eq!(kinds("type=cat").unwrap_err(), DockerError::invalid("unknown object type: cat"));
    }
}
