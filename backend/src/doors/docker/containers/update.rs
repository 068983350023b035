//! `POST /containers/{id}/update`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use sampan_engine::containers::Update;
use serde::Deserialize;
use serde_json::json;

use super::host_config::{Resources, RestartPolicy};
use super::restart_policy::read_policy;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Json;
use crate::service;

/// Body of `update`. Zeros and empty texts change nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateRequest {
    #[serde(flatten)]
    resources: Resources,
    restart_policy: RestartPolicy,
}

impl UpdateRequest {
    fn read(&self) -> Result<Update, DockerError> {
        let resources = &self.resources;
        let fixed = [
            ("Devices", resources.devices.as_ref().is_some_and(|list| !list.is_empty())),
            ("Ulimits", resources.ulimits.as_ref().is_some_and(|list| !list.is_empty())),
            ("OomKillDisable", resources.oom_kill_disable == Some(true)),
        ];
        if let Some((name, _)) = fixed.iter().find(|(_, set)| *set) {
            return Err(DockerError::unsupported(format!("{name} cannot be changed after create")));
        }
        let restart = match self.restart_policy.name.as_str() {
            "" => None,
            _ => Some(read_policy(&self.restart_policy)?),
        };
        Ok(Update { limits: resources.changed_limits()?, restart })
    }
}

/// `POST /containers/{id}/update`: changes limits and restart policy, also of a running one. Spec: Docker Engine API,
/// `ContainerUpdate`. Answers 200 with warnings.
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<UpdateRequest>,
) -> Result<impl IntoResponse, DockerError> {
    let target = app.policy().container_update(&caller, &id, request.read()?)?;
    let warnings = service::containers::update(&app, target).await?;
    Ok(Answer(json!({ "Warnings": warnings })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::config::{Limits, RestartPolicy as Policy};

    fn read(json: serde_json::Value) -> Result<Update, DockerError> {
        serde_json::from_value::<UpdateRequest>(json).unwrap().read()
    }

    #[test]
    fn only_what_was_said_changes() {
        let sent = json!({"CpuShares": 0, "Memory": 0, "MemorySwap": 0, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}});
        assert_eq!(read(sent).unwrap(), Update::default());
        let sent = json!({"CpuShares": 512, "MemorySwap": 9 << 20, "RestartPolicy": {"Name": "always"}});
        let limits = Limits { cpu_shares: Some(512), memory_swap_bytes: Some(9 << 20), ..Limits::default() };
        assert_eq!(read(sent).unwrap(), Update { limits, restart: Some(Policy::Always) });
        assert_eq!(read(json!({"Devices": [{}]})).unwrap_err().status, 501);
    }
}
