//! `POST /images/create?fromSrc=-`: an image of a tar.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::header;
use sampan_engine::images::{Making, ProcessConfiguration, apply};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::Images;
use crate::policy::action::Import;
use crate::service::{self, ServiceError};

const ELSEWHERE: &str = "importing from an address is not offered: fetch it and `docker import -`";
/// Most of a refused tar that is thrown away, so that its sender hears why.
const THROWN_AWAY_BYTES: u64 = 16 << 30;

/// Takes the tar in, then answers one line: the image's id, as dockerd does.
pub(super) async fn import(
    app: Arc<App>,
    caller: Caller,
    query: &[(String, String)],
    tar: Body,
) -> Result<Response, DockerError> {
    let text =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let target = app.policy().team::<Import, _>(&caller, Images)?;
    let mut reader = StreamReader::new(tar.into_data_stream().map_err(std::io::Error::other));
    let made = match making(text, query) {
        Ok(making) => service::images::import(&app, target, &mut reader, making).await.map_err(DockerError::from),
        Err(refused) => Err(refused),
    };
    if made.is_err() {
        // What is not read would break the connection before its sender has read the sentence; what breaks is theirs.
        let _ = tokio::io::copy(&mut reader.take(THROWN_AWAY_BYTES), &mut tokio::io::sink()).await;
    }
    let line = format!("{}\r\n", json!({ "status": made?.id.to_string() }));
    Ok(([(header::CONTENT_TYPE, "application/json")], line).into_response())
}

fn making<'a>(text: impl Fn(&str) -> &'a str, query: &[(String, String)]) -> Result<Making, DockerError> {
    if text("fromSrc") != "-" {
        return Err(DockerError::unsupported(ELSEWHERE));
    }
    let changes: Vec<String> =
        query.iter().filter(|(key, _)| key == "changes").map(|(_, value)| value.clone()).collect();
    let mut config = ProcessConfiguration::default();
    apply(&mut config, &[], &changes).map_err(ServiceError::from)?;
    let comment = match text("message") {
        "" => "Imported from -",
        message => message,
    };
    Ok(Making {
        name: Making::name(text("repo"), text("tag")).map_err(ServiceError::from)?,
        comment: comment.to_owned(),
        config,
        ..Making::default()
    })
}
