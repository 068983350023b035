//! The forms of a repository's page: settings, rules, what is deleted. Each names its repository in a field, since a name
//! may have slashes.

use actix_web::{HttpResponse, web};
use sampan_engine::registry::{Change, RegistryError};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::reader::Reader;
use crate::app::App;
use crate::policy::action::{Prune, Remove, Update};
use crate::policy::{Action, Granted, Repository};
use crate::service;
use crate::service::registry::Named;

/// Settings; an empty number is none.
#[derive(Debug, Deserialize)]
pub struct Settings {
    csrf: String,
    repository: String,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    immutable: bool,
    #[serde(default)]
    keep_tags: String,
    #[serde(default)]
    keep_untagged_days: String,
}

/// A button about the whole repository.
#[derive(Debug, Deserialize)]
pub struct Whole {
    csrf: String,
    repository: String,
    #[serde(default)]
    confirm: String,
}

/// A tag to go.
#[derive(Debug, Deserialize)]
pub struct TagForm {
    csrf: String,
    repository: String,
    tag: String,
}

/// A manifest to go.
#[derive(Debug, Deserialize)]
pub struct ManifestForm {
    csrf: String,
    repository: String,
    digest: String,
}

/// `POST /registry/settings`.
pub async fn change(app: web::Data<App>, reader: Reader, form: web::Form<Settings>) -> Result<HttpResponse, PageError> {
    let target = granted::<Update>(&app, &reader, &form.csrf, &form.repository).await?;
    let place = place(&target);
    let (Some(keep_tags), Some(keep_untagged_days)) = (number(&form.keep_tags, 1), number(&form.keep_untagged_days, 0))
    else {
        return Ok(reader.back(&place, "bad", &reader.t.get("repository-keep-wrong")));
    };
    let change = Change {
        public: Some(form.public),
        immutable_tags: Some(form.immutable),
        keep_tags: Some(keep_tags),
        keep_untagged_days: Some(keep_untagged_days),
    };
    Ok(match service::registry::change(&app, &target, change).await {
        Ok(_) => reader.back(&place, "ok", &reader.t.get("saved")),
        Err(error) => reader.back_with(&place, &error),
    })
}

/// `POST /registry/rules`: applies them now.
pub async fn retain(app: web::Data<App>, reader: Reader, form: web::Form<Whole>) -> Result<HttpResponse, PageError> {
    let target = granted::<Prune>(&app, &reader, &form.csrf, &form.repository).await?;
    let place = place(&target);
    Ok(match service::registry::retain(&app, &target).await {
        Ok(gone) => {
            let (tags, manifests) = (gone.tags.len().to_string(), gone.manifests.len().to_string());
            reader.back(&place, "ok", &reader.t.with2("repository-retained", tags, manifests))
        }
        Err(error) => reader.back_with(&place, &error),
    })
}

/// `POST /registry/tags/remove`.
pub async fn remove_tag(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<TagForm>,
) -> Result<HttpResponse, PageError> {
    let target = granted::<Remove>(&app, &reader, &form.csrf, &form.repository).await?;
    let named = form.tag.parse().map(Named::Tag);
    remove_named(&app, &reader, &target, named, &form.tag).await
}

/// `POST /registry/manifests/remove`.
pub async fn remove_manifest(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<ManifestForm>,
) -> Result<HttpResponse, PageError> {
    let target = granted::<Remove>(&app, &reader, &form.csrf, &form.repository).await?;
    let named = match form.digest.parse() {
        Ok(digest) => Ok(Named::Digest(digest)),
        Err(_) => Err(RegistryError::ManifestUnknown { reference: super::short(&form.digest) }),
    };
    remove_named(&app, &reader, &target, named, &super::short(&form.digest)).await
}

async fn remove_named(
    app: &App,
    reader: &Reader,
    target: &Granted<Remove, Repository>,
    named: Result<Named, RegistryError>,
    words: &str,
) -> Result<HttpResponse, PageError> {
    let place = place(target);
    let done = match named {
        Ok(named) => service::registry::delete_manifest(app, target, &named).await,
        Err(error) => Err(error.into()),
    };
    Ok(match done {
        Ok(()) => reader.back(&place, "ok", &reader.t.with("removed", words.to_owned())),
        Err(error) => reader.back_with(&place, &error),
    })
}

/// `POST /registry/remove`: only with the name typed, since what is in it does not come back.
pub async fn remove(app: web::Data<App>, reader: Reader, form: web::Form<Whole>) -> Result<HttpResponse, PageError> {
    let target = granted::<Remove>(&app, &reader, &form.csrf, &form.repository).await?;
    let place = place(&target);
    if form.confirm.trim() != form.repository {
        let words = reader.t.with("volume-not-confirmed", form.repository.clone());
        return Ok(reader.back(&place, "bad", &words));
    }
    Ok(match service::registry::remove(&app, &target).await {
        Ok(()) => reader.back("/registry", "ok", &reader.t.with("removed", form.repository.clone())),
        Err(error) => reader.back_with(&place, &error),
    })
}

async fn granted<A: Action>(
    app: &App,
    reader: &Reader,
    csrf: &str,
    name: &str,
) -> Result<Granted<A, Repository>, PageError> {
    reader.check(csrf)?;
    app.policy().own_repository::<A>(&reader.caller, name).await.map_err(|e| reader.refuse(e))
}

/// The repository's own page.
fn place<A: Action>(target: &Granted<A, Repository>) -> String {
    format!("/registry/{}", target.noun().name().name())
}

/// A number of a field; `None`: it is none, or less than `least`.
#[expect(clippy::option_option, reason = "not given is as good as given, and both differ from wrong")]
fn number(text: &str, least: u32) -> Option<Option<u32>> {
    match text.trim() {
        "" => Some(None),
        text => text.parse().ok().filter(|number| *number >= least).map(Some),
    }
}
