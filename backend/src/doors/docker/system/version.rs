//! `GET /version`.

use axum::Json as Answer;
use axum::response::IntoResponse;
use serde_json::json;

use super::host;
use crate::doors::docker::containers::create::architecture;
use crate::doors::docker::version::{NEWEST, OLDEST};

/// `GET /version`: versions of what answers. Spec: Docker Engine API, `SystemVersion`.
pub async fn version() -> impl IntoResponse {
    let own = env!("CARGO_PKG_VERSION");
    let (newest, oldest, kernel) = (NEWEST.to_string(), OLDEST.to_string(), host::kernel());
    Answer(json!({
        "Platform": { "Name": "Sampan" },
        "Components": [{
            "Name": "Engine",
            "Version": own,
            "Details": {
                "ApiVersion": newest,
                "Arch": architecture(),
                "Experimental": "false",
                "KernelVersion": kernel,
                "MinAPIVersion": oldest,
                "Os": "linux",
            },
        }],
        "Version": own,
        "ApiVersion": newest,
        "MinAPIVersion": oldest,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": kernel,
        "BuildTime": "",
    }))
}
