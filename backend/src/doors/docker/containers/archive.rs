//! `HEAD`, `GET` and `PUT /containers/{id}/archive`: `docker cp`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sampan_engine::containers::Found;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::doors::docker::times;
use crate::policy::action::{CopyFrom, CopyTo};
use crate::service::containers::{self, Copying};

/// What lies at the path, in Docker's words.
const STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");
/// Most of a refused archive that is thrown away, so that its sender hears why.
const THROWN_AWAY_BYTES: u64 = 16 << 30;

/// Which path, and how it is written to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ArchiveQuery {
    path: String,
    #[serde(rename = "noOverwriteDirNonDir", deserialize_with = "flag")]
    keep_kinds: bool,
    #[serde(rename = "copyUIDGID", deserialize_with = "flag")]
    as_user: bool,
}

impl ArchiveQuery {
    fn path(&self) -> Result<&str, DockerError> {
        match self.path.as_str() {
            "" => Err(DockerError::invalid("the parameter path is missing")),
            path => Ok(path),
        }
    }
}

/// `HEAD /containers/{id}/archive`: says in a header what lies at a path. Spec: Docker Engine API,
/// `ContainerArchiveInfo`.
pub async fn look(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<ArchiveQuery>,
) -> Result<Response, DockerError> {
    let path = query.path()?;
    let target = app.policy().container::<CopyFrom>(&caller, &id)?;
    let found = containers::look(&app, &target, path).await?;
    Ok((StatusCode::OK, stat(&found)?).into_response())
}

/// `GET /containers/{id}/archive`: the same, and all of it as a tar. Spec: Docker Engine API, `ContainerArchive`.
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<ArchiveQuery>,
) -> Result<Response, DockerError> {
    let path = query.path()?;
    let target = app.policy().container::<CopyFrom>(&caller, &id)?;
    let (found, files) = containers::copy_from(&app, target, path).await?;
    let mut head = stat(&found)?;
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok((head, Body::from_stream(files)).into_response())
}

/// `PUT /containers/{id}/archive`: takes a tar in at a folder. Spec: Docker Engine API, `PutContainerArchive`.
pub async fn write(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(query): Params<ArchiveQuery>,
    archive: Body,
) -> Result<StatusCode, DockerError> {
    let path = query.path()?;
    let target = app.policy().container::<CopyTo>(&caller, &id)?;
    let mut reader = StreamReader::new(archive.into_data_stream().map_err(std::io::Error::other));
    let how = Copying { keep_kinds: query.keep_kinds, as_user: query.as_user };
    let written = containers::copy_to(&app, target, path, how, &mut reader).await;
    // The padding behind a tar's end, or the rest of one that was refused: its sender reads the answer afterwards.
    let rest = tokio::io::copy(&mut reader.take(THROWN_AWAY_BYTES), &mut tokio::io::sink()).await;
    written?;
    rest.map_err(|error| DockerError::invalid(format!("the archive ended early: {error}")))?;
    Ok(StatusCode::OK)
}

fn stat(found: &Found) -> Result<HeaderMap, DockerError> {
    let modified_ns = i128::from(found.modified_s) * 1_000_000_000 + i128::from(found.modified_ns);
    let text = json!({
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": i64::try_from(modified_ns).map_or_else(|_| times::NEVER.to_owned(), times::rfc3339),
        "linkTarget": found.target,
    });
    let value = HeaderValue::from_str(&STANDARD.encode(text.to_string()))
        .map_err(|error| DockerError::internal(format!("what was found cannot be told: {error}")))?;
    Ok(HeaderMap::from_iter([(STAT, value)]))
}

/// Kind and permissions as Go's `fs.FileMode` has them.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => 1 << 26 | 1 << 21,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, place)| 1 << place).sum::<u32>();
    kind | special | mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o100_644), 0o644);
        assert_eq!(go_mode(0o040_755), 1 << 31 | 0o755);
        assert_eq!(go_mode(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o120_777), 1 << 27 | 0o777);
        assert_eq!(go_mode(0o104_755), 1 << 23 | 0o755);
        assert_eq!(go_mode(0o020_666), 1 << 26 | 1 << 21 | 0o666);
    }
}
