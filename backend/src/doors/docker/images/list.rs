//! `GET /images/json`.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use sampan_engine::images::Image;
use sampan_engine::reference::ImageReference;
use serde::Deserialize;
use serde_json::Value;

use super::list_filter::{KEYS, ListFilter};
use super::view;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::{DockerError, missing};
use crate::doors::docker::extract::{Params, flag};
use crate::doors::docker::filters::Filters;
use crate::doors::docker::version::Version;
use crate::policy::action::List;
use crate::policy::{Images, NounKind};
use crate::service;

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ListQuery {
    filters: String,
    #[serde(deserialize_with = "flag")]
    shared_size: bool,
}

/// `GET /images/json`: the team's images, newest first. Spec: Docker Engine API, `ImageList`. There are no intermediate
/// images, so `all` shows the same.
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Params(query): Params<ListQuery>,
) -> Result<impl IntoResponse, DockerError> {
    let filters = Filters::parse(&query.filters, KEYS)?;
    let target = app.policy().team::<List, _>(&caller, Images)?;
    let images = service::images::list(&app, &target).await?;
    let filter = ListFilter::new(filters, |name| find(&images, name))?;
    let usage = if query.shared_size { Some(service::images::usage(&app, &target).await?) } else { None };
    let line = |image: &Image| {
        let mut counted = usage.iter().flat_map(|usage| &usage.images);
        let mut line = view::summary(image, counted.find(|one| one.image.id == image.id), version);
        // Who shares layers was asked for; how many use the image was not.
        line["Containers"] = (-1).into();
        if !image.tags.is_empty() {
            line["RepoTags"] = image
                .tags
                .iter()
                .filter(|tag| filter.shows(tag))
                .map(ImageReference::familiar)
                .collect::<Vec<_>>()
                .into();
        }
        line
    };
    let lines: Vec<Value> = images.iter().filter(|image| filter.wants(image)).map(line).collect();
    Ok(Answer(lines))
}

/// By name or beginning of an id, among the team's.
fn find<'a>(images: &'a [Image], name: &str) -> Result<&'a Image, DockerError> {
    let reference = name.parse::<ImageReference>().ok();
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    images
        .iter()
        .find(|image| reference.as_ref().is_some_and(|reference| image.tags.contains(reference)))
        .or_else(|| images.iter().find(|image| !digits.is_empty() && image.id.hex().starts_with(digits)))
        .ok_or_else(|| DockerError::not_found(missing(NounKind::Image, name)))
}
