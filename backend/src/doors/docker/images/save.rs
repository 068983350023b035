//! `GET /images/get` and `GET /images/{name}/get`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;
use sampan_engine::images::SavedArchive;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::Params;
use crate::policy::action::Save;
use crate::service;

/// `GET /images/get`: an archive of several images. Spec: Docker Engine API, `ImageGetAll`.
///
/// Each name stands in a parameter `names` of its own. Its size is known before its first byte.
pub async fn save_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<Vec<(String, String)>>,
) -> Result<Response, DockerError> {
    let names = query.into_iter().filter(|(key, _)| key == "names").map(|(_, name)| name);
    answer(&app, &caller, &names.collect::<Vec<_>>()).await
}

/// `GET /images/{name}/get`: an archive of one image. Spec: Docker Engine API, `ImageGet`.
pub async fn save(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, DockerError> {
    answer(&app, &caller, &[name]).await
}

async fn answer(app: &App, caller: &Caller, names: &[String]) -> Result<Response, DockerError> {
    let targets = names.iter().map(|name| app.policy().image::<Save>(caller, name)).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() {
        // Asked even where nothing is named, so that a stranger hears no more than that.
        return Err(DockerError::invalid("the parameter names is missing"));
    }
    Ok(response(service::images::save(app, &targets).await?))
}

fn response(archive: SavedArchive) -> Response {
    let head =
        [(header::CONTENT_TYPE, "application/x-tar".to_owned()), (header::CONTENT_LENGTH, archive.size().to_string())];
    (head, Body::from_stream(archive.into_stream())).into_response()
}
