//! `GET /registry/{name}`: tags, manifests that no tag names, settings.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use sampan_engine::registry::{Counts, ListedManifest, ListedTag, Repository};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::meter::Fact;
use super::super::reader::Reader;
use super::super::words::{clock, disk};
use super::{Place, ROWS, cut, short};
use crate::app::App;
use crate::policy::action::{Update, View};
use crate::service::{self, ServiceError};
use crate::texts::Texts;

/// Where the two lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Begin {
    after: String,
    untagged: String,
}

#[derive(Template)]
#[template(path = "registry_repository.html")]
struct Page {
    frame: Frame,
    name: String,
    whole: String,
    public: bool,
    facts: String,
    tags: Vec<TagRow>,
    tags_next: Option<String>,
    untagged: Vec<ManifestRow>,
    untagged_next: Option<String>,
    begin: Begin,
    settings: Vec<Fact>,
    form: Form,
    decides: bool,
}

/// The settings as the form has them.
struct Form {
    immutable: bool,
    keep_tags: String,
    keep_untagged_days: String,
    has_rules: bool,
}

struct TagRow {
    name: String,
    digest: String,
    short: String,
    size: String,
    by: String,
    at: String,
    pull: String,
}

struct ManifestRow {
    digest: String,
    short: String,
    kind: String,
    about: Option<String>,
    size: String,
    by: String,
    at: String,
}

/// The page.
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    reader: Reader,
    name: web::Path<String>,
    begin: web::Query<Begin>,
) -> Result<HttpResponse, PageError> {
    let (begin, refuse) = (begin.into_inner(), |error: ServiceError| reader.refuse(error));
    let target = app.policy().own_repository::<View>(&reader.caller, &name).await.map_err(|e| reader.refuse(e))?;
    let (repository, counts) = service::registry::inspect(&app, &target).await.map_err(refuse)?;
    let mut tags = service::registry::tags(&app, &target, &begin.after, ROWS + 1).await.map_err(refuse)?;
    let mut untagged = service::registry::untagged(&app, &target, &begin.untagged, ROWS + 1).await.map_err(refuse)?;
    let tags_next = cut(&mut tags, |tag| &tag.name);
    let untagged_next = cut(&mut untagged, |manifest| &manifest.digest);
    let digests: Vec<&str> =
        tags.iter().map(|tag| &*tag.digest).chain(untagged.iter().map(|manifest| &*manifest.digest)).collect();
    let bytes = service::registry::bytes(&app, &target, &digests).await.map_err(refuse)?;
    let frame = reader.frame(&app, "registry").await.map_err(refuse)?;
    let whole = Place::of(&app, &request).whole(&frame.team, &repository.name);
    reader.page(&Page {
        facts: facts(reader.t, &repository, counts),
        tags: tags.into_iter().map(|tag| tag_row(tag, &whole, &bytes)).collect(),
        tags_next,
        untagged: untagged.into_iter().map(|manifest| manifest_row(manifest, &bytes)).collect(),
        untagged_next,
        begin,
        settings: settings(reader.t, &repository),
        form: form(&repository),
        decides: app.policy().own_repository::<Update>(&reader.caller, &name).await.is_ok(),
        public: repository.public,
        name: repository.name,
        whole,
        frame,
    })
}

fn facts(t: Texts, repository: &Repository, counts: Counts) -> String {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let pulls = match repository.last_pulled_at {
        Some(at) => t.with2("repository-pulls", number(repository.pulls), clock(at)),
        None => t.get("repository-never-pulled"),
    };
    let tags = t.with("repository-tags", number(counts.tags));
    let manifests = t.with("repository-manifests", number(counts.manifests));
    [tags, manifests, disk(counts.bytes), pulls].join(" · ")
}

fn tag_row(tag: ListedTag, whole: &str, bytes: &HashMap<String, u64>) -> TagRow {
    TagRow {
        pull: format!("docker pull {whole}:{}", tag.name),
        name: tag.name,
        short: short(&tag.digest),
        size: disk(bytes.get(&tag.digest).copied().unwrap_or_default()),
        digest: tag.digest,
        by: tag.tagged_by,
        at: clock(tag.tagged_at),
    }
}

fn manifest_row(manifest: ListedManifest, bytes: &HashMap<String, u64>) -> ManifestRow {
    ManifestRow {
        short: short(&manifest.digest),
        kind: manifest.artifact_type.unwrap_or(manifest.media_type),
        about: manifest.subject.as_deref().map(short),
        size: disk(bytes.get(&manifest.digest).copied().unwrap_or_default()),
        digest: manifest.digest,
        by: manifest.pushed_by,
        at: clock(manifest.pushed_at),
    }
}

fn settings(t: Texts, repository: &Repository) -> Vec<Fact> {
    let public = if repository.public { "repository-public-hint" } else { "repository-private-hint" };
    let moved = if repository.immutable_tags { "repository-immutable" } else { "repository-movable" };
    let tags = match repository.keep_tags {
        Some(count) => t.with("repository-keep-tags-of", i64::from(count)),
        None => t.get("repository-keep-all"),
    };
    let days = match repository.keep_untagged_days {
        Some(days) => t.with("repository-keep-days-of", i64::from(days)),
        None => t.get("repository-keep-ever"),
    };
    vec![
        Fact::words(t.get("repository-who"), t.get(public)),
        Fact::words(t.get("tags"), t.get(moved)),
        Fact::words(t.get("repository-keep-tags"), tags),
        Fact::words(t.get("repository-keep-days"), days),
    ]
}

fn form(repository: &Repository) -> Form {
    let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    Form {
        immutable: repository.immutable_tags,
        keep_tags: number(repository.keep_tags),
        keep_untagged_days: number(repository.keep_untagged_days),
        has_rules: repository.keep_tags.is_some() || repository.keep_untagged_days.is_some(),
    }
}
