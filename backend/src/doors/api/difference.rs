//! What is different between two images: of the team, or of one repository.

use actix_web::get;
use actix_web::web::{Data, Json, Path, Query};
use sampan_engine::images::{
    Change, Difference, FileDifference, FileKind, PackageDifference, Packages, Setting, SettingKind, Total,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Answer, Known, Problem, Problems, page};
use crate::app::App;
use crate::service::registry::Named;
use crate::service::{ServiceError, images, registry};

/// Its routes.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config.service(of_images).service(of_tags);
}

/// With what to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImageDifferenceQuery {
    /// Id, beginning of an id, or reference of the image that came after
    to: String,
    /// List at most so many files and packages each: 1 to 1000
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<u32>,
}

/// What to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TagDifferenceQuery {
    /// Tag or digest
    from: String,
    /// Tag or digest of what came after
    to: String,
    /// List at most so many files and packages each: 1 to 1000
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<u32>,
}

/// What is different between two images.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceView {
    files: FilesView,
    packages: PackagesView,
    /// What containers are started with, as far as it differs
    configuration: Vec<SettingView>,
}

/// All names that differ. Times do not count.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilesView {
    /// The largest, largest first
    items: Vec<FileView>,
    /// How many differ and are not listed
    more: u64,
    added: TotalView,
    changed: TotalView,
    removed: TotalView,
    /// Files of one size in both that lie in other layers and were not compared, since only so many bytes are read
    not_compared: u64,
}

/// So many names. A file with two names counts twice.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalView {
    /// Names
    count: u64,
    /// Their bytes before
    before_bytes: u64,
    /// Their bytes after
    after_bytes: u64,
}

/// A name that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    /// Absolute; what is not UTF-8 in it is replaced
    path: String,
    /// `added`, `changed` or `removed`
    change: &'static str,
    /// What it is, or was: `file`, `folder`, `symlink` or `other`
    kind: &'static str,
    /// Its bytes; null: it was not there
    before_bytes: Option<u64>,
    /// Its bytes; null: it is not there
    after_bytes: Option<u64>,
    /// False: only owner, mode or attributes differ
    content: bool,
}

/// Packages of dpkg and apk.
#[derive(Debug, Serialize, ToSchema)]
pub struct PackagesView {
    /// Those that differ, by name
    items: Vec<PackageView>,
    /// How many differ and are not listed
    more: u64,
    /// How many are installed in the first image
    before: u64,
    /// How many are installed in the second image
    after: u64,
    /// Managers whose database an image has, which is not read: `rpm`
    not_read: Vec<&'static str>,
    /// A database was too large to be read whole
    incomplete: bool,
}

/// A package that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct PackageView {
    /// `dpkg` or `apk`
    manager: &'static str,
    /// Its name
    name: String,
    /// For which processors, as the manager says
    architecture: String,
    /// Its version; null: it was not installed
    before: Option<String>,
    /// Its version; null: it is not installed
    after: Option<String>,
}

/// A setting that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingView {
    /// `environment`, `entrypoint`, `command`, `user`, `working_directory`, `exposed_port`, `volume`, `label`,
    /// `stop_signal`, `health_check`, `shell` or `platform`
    kind: &'static str,
    /// Which one, where there are several; else empty
    name: String,
    /// Its value; null: it is not set
    before: Option<String>,
    /// Its value; null: it is not set
    after: Option<String>,
}

impl From<Difference> for DifferenceView {
    fn from(found: Difference) -> Self {
        let more = found.files.more();
        Self {
            files: FilesView {
                items: found.files.listed.into_iter().map(FileView::from).collect(),
                more,
                added: found.files.added.into(),
                changed: found.files.changed.into(),
                removed: found.files.removed.into(),
                not_compared: found.files.not_compared,
            },
            packages: found.packages.into(),
            configuration: found.configuration.into_iter().map(SettingView::from).collect(),
        }
    }
}

impl From<Total> for TotalView {
    fn from(Total { count, before_bytes, after_bytes }: Total) -> Self {
        Self { count, before_bytes, after_bytes }
    }
}

impl From<FileDifference> for FileView {
    fn from(file: FileDifference) -> Self {
        let change = match file.change {
            Change::Added => "added",
            Change::Changed => "changed",
            Change::Removed => "removed",
        };
        let kind = match file.kind {
            FileKind::File => "file",
            FileKind::Folder => "folder",
            FileKind::Symlink => "symlink",
            FileKind::Other => "other",
        };
        let FileDifference { path, before_bytes, after_bytes, content, .. } = file;
        Self { path, change, kind, before_bytes, after_bytes, content }
    }
}

impl From<Packages> for PackagesView {
    fn from(found: Packages) -> Self {
        Self {
            items: found.listed.into_iter().map(PackageView::from).collect(),
            more: found.more,
            before: found.before,
            after: found.after,
            not_read: found.not_read,
            incomplete: found.incomplete,
        }
    }
}

impl From<PackageDifference> for PackageView {
    fn from(package: PackageDifference) -> Self {
        let PackageDifference { manager, name, architecture, before, after } = package;
        Self { manager, name, architecture, before, after }
    }
}

impl From<Setting> for SettingView {
    fn from(Setting { kind, name, before, after }: Setting) -> Self {
        let kind = match kind {
            SettingKind::Platform => "platform",
            SettingKind::Entrypoint => "entrypoint",
            SettingKind::Command => "command",
            SettingKind::User => "user",
            SettingKind::WorkingDirectory => "working_directory",
            SettingKind::Environment => "environment",
            SettingKind::ExposedPort => "exposed_port",
            SettingKind::Volume => "volume",
            SettingKind::Label => "label",
            SettingKind::StopSignal => "stop_signal",
            SettingKind::HealthCheck => "health_check",
            SettingKind::Shell => "shell",
        };
        Self { kind, name, before, after }
    }
}

fn most(limit: Option<u32>) -> Result<usize, Problem> {
    Ok(page::limit(limit)? as usize)
}

/// What changed from one image to another: files, packages, configuration
#[utoipa::path(tag = "images",
    params(("id" = String, Path, description = "Id, beginning of an id, or reference (its slashes as %2F)"), ImageDifferenceQuery),
    responses((status = 200, description = "What changed", body = DifferenceView), Problems))]
#[get("/images/{id}/difference")]
pub async fn of_images(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    query: Query<ImageDifferenceQuery>,
) -> Answer<Json<DifferenceView>> {
    let (before, after) = (app.policy().image(&known.0, &id)?, app.policy().image(&known.0, &query.to)?);
    let found = images::difference(&app, &before, &after, most(query.limit)?).await?;
    Ok(Json(found.into()))
}

/// What changed from one tag of a repository to another, as far as their layers are unpacked here
#[utoipa::path(tag = "registry",
    params(("name" = String, Path, description = "Name behind the team's, its slashes as %2F"), TagDifferenceQuery),
    responses((status = 200, description = "What changed", body = DifferenceView), Problems))]
#[get("/repositories/{name}/difference")]
pub async fn of_tags(
    app: Data<App>,
    known: Known,
    name: Path<String>,
    query: Query<TagDifferenceQuery>,
) -> Answer<Json<DifferenceView>> {
    let target = app.policy().own_repository(&known.0, &name).await?;
    let named = |text: &str| text.parse::<Named>().map_err(ServiceError::from);
    let (before, after) = (named(&query.from)?, named(&query.to)?);
    let found = registry::difference(&app, &target, (&before, &after), most(query.limit)?).await?;
    Ok(Json(found.into()))
}
