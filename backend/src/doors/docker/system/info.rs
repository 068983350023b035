//! `GET /info`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use sampan_engine::containers::State as Doing;
use sampan_engine::images::StorageBackend;
use serde_json::{Value, json};

use super::host;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::containers::{RUNTIME, STORAGE_DRIVER, names};
use crate::doors::docker::error::DockerError;
use crate::doors::docker::times;
use crate::policy::action::{List, View};
use crate::policy::{Containers, System};
use crate::service;

/// `GET /info`: what this host is, and the team's numbers. Spec: Docker Engine API, `SystemInfo`.
pub async fn info(State(app): State<Arc<App>>, caller: Caller) -> Result<impl IntoResponse, DockerError> {
    let _seen = app.policy().team::<View, _>(&caller, System)?;
    let containers = service::containers::list(&app, &app.policy().team::<List, _>(&caller, Containers)?, true);
    let count = |wanted: &[Doing]| containers.iter().filter(|container| wanted.contains(&container.state)).count();
    let mut info = about_host(&app);
    info["Images"] = json!(names::of_images(&app, &caller).await?.count());
    info["Containers"] = json!(containers.len());
    info["ContainersRunning"] = json!(count(&[Doing::Running, Doing::Restarting]));
    info["ContainersPaused"] = json!(count(&[Doing::Paused]));
    info["ContainersStopped"] = json!(count(&[Doing::Created, Doing::Exited, Doing::Removing, Doing::Dead]));
    Ok(Answer(info))
}

/// All but the team's numbers.
fn about_host(app: &App) -> Value {
    let mut info = serde_json::Map::new();
    for part in [numbers(), engine(app), abilities(), host(), elsewhere()] {
        if let Value::Object(fields) = part {
            info.extend(fields);
        }
    }
    Value::Object(info)
}

/// Places of the team's numbers, first as dockerd writes them.
fn numbers() -> Value {
    json!({
        "ID": "",
        "Containers": 0,
        "ContainersRunning": 0,
        "ContainersPaused": 0,
        "ContainersStopped": 0,
        "Images": 0,
    })
}

fn engine(app: &App) -> Value {
    json!({
        "ID": app.engine.settings().instance,
        "Driver": STORAGE_DRIVER,
        "DriverStatus": [["Images", images(app.engine.images().backend())]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "local"],
        },
        "DockerRootDir": app.config.data_root.to_string_lossy(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Runtimes": { RUNTIME: { "path": "sampan-runtime" } },
        "DefaultRuntime": RUNTIME,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": host::cgroup_version(),
        // Containers outlive the server.
        "LiveRestoreEnabled": true,
        "InitBinary": "sampan-runtime",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=userns", "name=cgroupns"],
        "Debug": false,
        "NFd": -1,
        "NGoroutines": -1,
        "NEventsListener": 0,
        "ExperimentalBuild": false,
    })
}

/// How containers get their root, for `docker info` under the name of the driver.
fn images(backend: StorageBackend) -> &'static str {
    match backend {
        StorageBackend::Erofs => "erofs (one mounted index over the layers' tars)",
        StorageBackend::Folders => "folders (layers unpacked, for kernels that cannot mount files as EROFS)",
    }
}

fn abilities() -> Value {
    json!({
        "MemoryLimit": true,
        "SwapLimit": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "IPv4Forwarding": true,
        "OomKillDisable": host::cgroup_version() == "1",
    })
}

fn host() -> Value {
    let (system, system_version) = host::distribution();
    json!({
        "SystemTime": times::rfc3339(times::now_ns()),
        "KernelVersion": host::kernel(),
        "OperatingSystem": system,
        "OSVersion": system_version,
        "OSType": "linux",
        "Architecture": host::architecture(),
        "NCPU": host::cpus(),
        "MemTotal": host::memory_bytes(),
        "Name": host::hostname(),
        "Labels": [],
        "Warnings": [],
    })
}

/// What dockerd has and this host has not.
fn elsewhere() -> Value {
    json!({
        "IndexServerAddress": "",
        "RegistryConfig": null,
        "GenericResources": null,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null,
        },
        "Isolation": "",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "CDISpecDirs": [],
    })
}
