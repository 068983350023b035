//! Running a program in a container to its end, with its output in the answer. For terminals there is the websocket.

use std::time::Duration;

use actix_web::post;
use actix_web::web::{Data, Json, Path};
use futures_util::StreamExt;
use sampan_engine::containers::{Attached, ExecConfig, StandardStream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Answer, Known, Problem, Problems};
use crate::app::App;
use crate::service::{ServiceError, execs};

/// Bytes of each output that an answer holds; what is more is counted and thrown away.
const OUTPUT_BYTES: usize = 1 << 20;
/// Longest time that an answer waits.
const LONGEST_SECONDS: u32 = 3600;
/// Time that an answer waits when nothing is said.
const USUAL_SECONDS: u32 = 60;

/// Their routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(run);
}

/// A program to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecBody {
    /// Program and arguments
    command: Vec<String>,
    /// `NAME=value` each, added to the container's
    #[serde(default)]
    environment: Vec<String>,
    /// `name|uid[:group|gid]`; the container's when it is not given
    user: Option<String>,
    /// Absolute path; the container's when it is not given
    working_directory: Option<String>,
    /// All capabilities; for an administrator
    #[serde(default)]
    privileged: bool,
    /// Seconds that the answer waits, 1 to 3600; 60 when it is not given. The program goes on after that
    timeout_seconds: Option<u32>,
}

/// How it ended and what it wrote.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecView {
    /// 0-255; null: it still runs
    exit_code: Option<i32>,
    /// What it wrote, at most 1 MiB; what is not UTF-8 is replaced
    stdout: String,
    /// What it wrote as errors, at most 1 MiB; what is not UTF-8 is replaced
    stderr: String,
    /// It wrote more than is shown
    truncated: bool,
}

#[derive(Default)]
struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

/// Runs a program in a running container and waits for its end
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    request_body = ExecBody, responses((status = 200, description = "It ended, or the time was up", body = ExecView), Problems))]
#[post("/containers/{id}/exec")]
pub async fn run(app: Data<App>, known: Known, id: Path<String>, body: Json<ExecBody>) -> Answer<Json<ExecView>> {
    let body = body.into_inner();
    let seconds = body.timeout_seconds.unwrap_or(USUAL_SECONDS);
    if !(1..=LONGEST_SECONDS).contains(&seconds) {
        let detail = format!("timeout_seconds is {seconds}, but must be from 1 to {LONGEST_SECONDS}");
        return Err(Problem::invalid(detail));
    }
    let config = ExecConfig {
        command: body.command,
        environment: body.environment,
        user: body.user,
        working_directory: body.working_directory.map(Into::into),
        stdout: true,
        stderr: true,
        privileged: body.privileged,
        ..ExecConfig::default()
    };
    let exec_id = execs::create(&app, app.policy().new_exec(&known.0, &id, config)?).await?;
    let target = app.policy().exec(&known.0, &exec_id)?;
    let mut collected = Collected::default();
    if let Some(attached) = execs::start(&app, target, false, None).await? {
        let all = collect(attached, &mut collected);
        if let Ok(ended) = tokio::time::timeout(Duration::from_secs(seconds.into()), all).await {
            ended?;
        }
    }
    let state = execs::inspect(&app, &app.policy().exec(&known.0, &exec_id)?)?;
    Ok(Json(ExecView {
        exit_code: state.exit_code,
        stdout: String::from_utf8_lossy(&collected.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&collected.stderr).into_owned(),
        truncated: collected.truncated,
    }))
}

async fn collect(mut attached: Attached, into: &mut Collected) -> Result<(), ServiceError> {
    while let Some(output) = attached.output.next().await {
        let output = output?;
        let buffer = match output.stream {
            StandardStream::Stdout => &mut into.stdout,
            StandardStream::Stderr => &mut into.stderr,
        };
        let room = OUTPUT_BYTES.saturating_sub(buffer.len()).min(output.bytes.len());
        buffer.extend_from_slice(&output.bytes[..room]);
        into.truncated |= room < output.bytes.len();
    }
    Ok(())
}
