//! `POST /volumes/create`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::containers::check_driver;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::MaybeJson;
use crate::policy::Volumes;
use crate::policy::action::Create;
use crate::service;

/// Body of `create`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeRequest {
    name: String,
    driver: String,
    driver_opts: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    cluster_volume_spec: Option<serde_json::Value>,
}

/// `POST /volumes/create`: makes a volume, or gives the one that has this name already. Spec: Docker Engine API,
/// `VolumeCreate`.
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    MaybeJson(request): MaybeJson<VolumeRequest>,
) -> Result<impl IntoResponse, DockerError> {
    let request = request.unwrap_or_default();
    check_driver(&request.driver, "Driver")?;
    if !request.driver_opts.is_empty() {
        return Err(DockerError::unsupported("DriverOpts of volumes are not there yet"));
    }
    if request.cluster_volume_spec.is_some() {
        return Err(DockerError::unsupported("ClusterVolumeSpec: this host is in no swarm"));
    }
    let name = Some(request.name.as_str()).filter(|name| !name.is_empty());
    let target = app.policy().team::<Create, _>(&caller, Volumes)?;
    let volume = service::volumes::create(&app, target, name, request.labels).await?;
    Ok((StatusCode::CREATED, Answer(super::view(&volume, None))))
}
