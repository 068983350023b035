//! Repositories of the registry inside, and what is in them.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, delete, get, patch, post};
use sampan_engine::registry::{Change, Counts, Listed, ListedManifest, ListedTag, Repository, Retained};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::page::{self, Page, PageQuery};
use super::{Answer, Known, Problem, Problems, times};
use crate::app::App;
use crate::policy::Repositories;
use crate::service::registry::{self, Named};

/// Their routes. A name may have slashes, which are sent as %2F.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        .service(usage)
        .service(list)
        .service(inspect)
        .service(change)
        .service(remove)
        .service(tags)
        .service(remove_tag)
        .service(manifests)
        .service(remove_manifest)
        .service(retain);
}

/// What the team has in the registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryView {
    /// How many repositories
    repositories: u64,
    /// Bytes of all blobs in them, each counted once
    size_bytes: u64,
}

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryView {
    /// Behind the team's name: clients say `HOST/TEAM/NAME`
    name: String,
    /// Whoever asks may pull
    public: bool,
    /// A tag never names another manifest
    immutable_tags: bool,
    /// How many of the newest tags stay; null: all
    keep_tags: Option<u32>,
    /// Days that a manifest without a tag stays; null: for ever
    keep_untagged_days: Option<u32>,
    /// How many tags
    tags: u64,
    /// How many manifests, tagged or not
    manifests: u64,
    /// Bytes of its blobs
    size_bytes: u64,
    /// Pulled so often
    pulls: u64,
    /// RFC 3339; null: never
    last_pulled_at: Option<String>,
    /// RFC 3339
    created_at: String,
}

impl RepositoryView {
    fn new(repository: Repository, counts: Counts) -> Self {
        Self {
            name: repository.name,
            public: repository.public,
            immutable_tags: repository.immutable_tags,
            keep_tags: repository.keep_tags,
            keep_untagged_days: repository.keep_untagged_days,
            tags: counts.tags,
            manifests: counts.manifests,
            size_bytes: counts.bytes,
            pulls: repository.pulls,
            last_pulled_at: repository.last_pulled_at.map(times::text),
            created_at: times::text(repository.created_at),
        }
    }
}

impl From<Listed> for RepositoryView {
    fn from(listed: Listed) -> Self {
        Self::new(listed.repository, listed.counts)
    }
}

/// Other settings; what is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryBody {
    /// Whoever asks may pull
    public: Option<bool>,
    /// A tag never names another manifest
    immutable_tags: Option<bool>,
    /// How many of the newest tags stay, 1 or more; null: all
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    keep_tags: Option<Option<u32>>,
    /// Days that a manifest without a tag stays; null: for ever
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    keep_untagged_days: Option<Option<u32>>,
}

/// Tells null from what is not there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryTagView {
    /// Its name
    name: String,
    /// Digest of the manifest that it names
    digest: String,
    /// Who gave it
    tagged_by: String,
    /// RFC 3339
    tagged_at: String,
}

impl From<ListedTag> for RegistryTagView {
    fn from(tag: ListedTag) -> Self {
        Self { name: tag.name, digest: tag.digest, tagged_by: tag.tagged_by, tagged_at: times::text(tag.tagged_at) }
    }
}

/// A manifest.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManifestView {
    /// Its digest
    digest: String,
    /// Media type
    media_type: String,
    /// Bytes of the manifest itself
    size_bytes: u64,
    /// What kind of artifact, if it says
    artifact_type: Option<String>,
    /// Digest of the manifest that it is about
    subject: Option<String>,
    /// Tags that name it
    tags: Vec<String>,
    /// Who pushed it
    pushed_by: String,
    /// RFC 3339
    pushed_at: String,
}

impl From<ListedManifest> for ManifestView {
    fn from(manifest: ListedManifest) -> Self {
        Self {
            digest: manifest.digest,
            media_type: manifest.media_type,
            size_bytes: manifest.size,
            artifact_type: manifest.artifact_type,
            subject: manifest.subject,
            tags: manifest.tags,
            pushed_by: manifest.pushed_by,
            pushed_at: times::text(manifest.pushed_at),
        }
    }
}

/// What the rules took away.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetainedView {
    /// Tags
    tags: Vec<String>,
    /// Digests of manifests
    manifests: Vec<String>,
}

impl From<Retained> for RetainedView {
    fn from(gone: Retained) -> Self {
        Self { tags: gone.tags, manifests: gone.manifests }
    }
}

/// The items of a page, of which one more than wanted was asked for; the last one's key is the cursor.
fn cut<T, V: From<T>>(mut found: Vec<T>, limit: u32, key: impl Fn(&T) -> &str) -> Page<V> {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| page::write(&key(last)));
    Page { items: found.into_iter().map(V::from).collect(), next }
}

/// What the team has in the registry
#[utoipa::path(tag = "registry", responses((status = 200, description = "In all", body = RegistryView), Problems))]
#[get("/registry")]
pub async fn usage(app: Data<App>, known: Known) -> Answer<Json<RegistryView>> {
    let target = app.policy().team(&known.0, Repositories)?;
    let usage = registry::usage(&app, &target).await?;
    Ok(Json(RegistryView { repositories: usage.repositories, size_bytes: usage.bytes }))
}

/// The team's repositories, by name
#[utoipa::path(tag = "registry", params(PageQuery),
    responses((status = 200, description = "A page of them", body = Page<RepositoryView>), Problems))]
#[get("/repositories")]
pub async fn list(app: Data<App>, known: Known, query: Query<PageQuery>) -> Answer<Json<Page<RepositoryView>>> {
    let limit = page::limit(query.limit)?;
    let after: Option<String> = page::read(query.cursor.as_deref())?;
    let target = app.policy().team(&known.0, Repositories)?;
    let found = registry::list(&app, &target, "", after.as_deref().unwrap_or_default(), limit + 1).await?;
    Ok(Json(cut(found, limit, |listed| &listed.repository.name)))
}

/// One repository
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)")),
    responses((status = 200, description = "The repository", body = RepositoryView), Problems))]
#[get("/repositories/{name}")]
pub async fn inspect(app: Data<App>, known: Known, name: Path<String>) -> Answer<Json<RepositoryView>> {
    let target = app.policy().own_repository(&known.0, &name).await?;
    let (repository, counts) = registry::inspect(&app, &target).await?;
    Ok(Json(RepositoryView::new(repository, counts)))
}

/// Gives a repository other settings
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)")),
    request_body = RepositoryBody, responses((status = 200, description = "As it is now", body = RepositoryView), Problems))]
#[patch("/repositories/{name}")]
pub async fn change(
    app: Data<App>,
    known: Known,
    name: Path<String>,
    body: Json<RepositoryBody>,
) -> Answer<Json<RepositoryView>> {
    if body.keep_tags == Some(Some(0)) {
        return Err(Problem::invalid("keep_tags is 0, but must be 1 or more, or null to keep all"));
    }
    let target = app.policy().own_repository(&known.0, &name).await?;
    let change = Change {
        public: body.public,
        immutable_tags: body.immutable_tags,
        keep_tags: body.keep_tags,
        keep_untagged_days: body.keep_untagged_days,
    };
    let (repository, counts) = registry::change(&app, &target, change).await?;
    Ok(Json(RepositoryView::new(repository, counts)))
}

/// Removes a repository with all that is in it
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/repositories/{name}")]
pub async fn remove(app: Data<App>, known: Known, name: Path<String>) -> Answer<HttpResponse> {
    registry::remove(&app, &app.policy().own_repository(&known.0, &name).await?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Tags of a repository, by name
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)"), PageQuery),
    responses((status = 200, description = "A page of them", body = Page<RegistryTagView>), Problems))]
#[get("/repositories/{name}/tags")]
pub async fn tags(
    app: Data<App>,
    known: Known,
    name: Path<String>,
    query: Query<PageQuery>,
) -> Answer<Json<Page<RegistryTagView>>> {
    let limit = page::limit(query.limit)?;
    let after: Option<String> = page::read(query.cursor.as_deref())?;
    let target = app.policy().own_repository(&known.0, &name).await?;
    let found = registry::tags(&app, &target, after.as_deref().unwrap_or_default(), limit + 1).await?;
    Ok(Json(cut(found, limit, |tag| &tag.name)))
}

/// Takes a tag away; its manifest stays
#[utoipa::path(tag = "registry",
    params(("name" = String, Path, description = "The repository's name (its slashes as %2F)"), ("tag" = String, Path, description = "The tag")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/repositories/{name}/tags/{tag}")]
pub async fn remove_tag(app: Data<App>, known: Known, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let tag = path.1.parse().map_err(|_| Problem::not_found(format!("there is no tag {}", path.1)))?;
    let target = app.policy().own_repository(&known.0, &path.0).await?;
    registry::delete_manifest(&app, &target, &Named::Tag(tag)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Manifests of a repository, by digest
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)"), PageQuery),
    responses((status = 200, description = "A page of them", body = Page<ManifestView>), Problems))]
#[get("/repositories/{name}/manifests")]
pub async fn manifests(
    app: Data<App>,
    known: Known,
    name: Path<String>,
    query: Query<PageQuery>,
) -> Answer<Json<Page<ManifestView>>> {
    let limit = page::limit(query.limit)?;
    let after: Option<String> = page::read(query.cursor.as_deref())?;
    let target = app.policy().own_repository(&known.0, &name).await?;
    let found = registry::manifests(&app, &target, after.as_deref().unwrap_or_default(), limit + 1).await?;
    Ok(Json(cut(found, limit, |manifest| &manifest.digest)))
}

/// Takes a manifest away with all its tags
#[utoipa::path(tag = "registry",
    params(("name" = String, Path, description = "The repository's name (its slashes as %2F)"), ("digest" = String, Path, description = "The manifest's digest")),
    responses((status = 204, description = "It is gone"), Problems))]
#[delete("/repositories/{name}/manifests/{digest}")]
pub async fn remove_manifest(app: Data<App>, known: Known, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let digest = path.1.parse().map_err(|_| Problem::not_found(format!("there is no manifest {}", path.1)))?;
    let target = app.policy().own_repository(&known.0, &path.0).await?;
    registry::delete_manifest(&app, &target, &Named::Digest(digest)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Applies a repository's rules about what to keep, now
#[utoipa::path(tag = "registry", params(("name" = String, Path, description = "Its name behind the team's (its slashes as %2F)")),
    responses((status = 200, description = "What went", body = RetainedView), Problems))]
#[post("/repositories/{name}/retain")]
pub async fn retain(app: Data<App>, known: Known, name: Path<String>) -> Answer<Json<RetainedView>> {
    let target = app.policy().own_repository(&known.0, &name).await?;
    Ok(Json(registry::retain(&app, &target).await?.into()))
}
