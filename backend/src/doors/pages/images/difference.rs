//! `GET /difference`: what changed from one image to another, of the team or of one of its repositories.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::images::{Change, Difference, FileDifference, PackageDifference, Setting, SettingKind, Total};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::super::words::disk;
use super::short;
use crate::app::App;
use crate::policy::action::View;
use crate::service::{self, ServiceError};
use crate::texts::Texts;

/// Files and packages that are listed, each.
const ROWS: usize = 500;

/// What to compare: two images, or two tags of a repository.
#[derive(Debug, Deserialize)]
pub struct Asked {
    from: String,
    to: String,
    #[serde(default)]
    repository: String,
}

#[derive(Template)]
#[template(path = "difference.html")]
struct Page {
    frame: Frame,
    before: Named,
    after: Named,
    /// To the same the other way round.
    asked: Asked,
    repository: Option<String>,
    totals: Vec<String>,
    files: Vec<FileRow>,
    files_more: Option<String>,
    not_compared: Option<String>,
    packages: Vec<PackageRow>,
    packages_more: Option<String>,
    packages_facts: String,
    packages_note: Option<String>,
    settings: Vec<SettingRow>,
}

/// An image and where its page is.
struct Named {
    name: String,
    link: Option<String>,
}

struct FileRow {
    path: String,
    tone: &'static str,
    word: String,
    sizes: String,
}

struct PackageRow {
    name: String,
    manager: String,
    tone: &'static str,
    word: String,
    before: String,
    after: String,
}

struct SettingRow {
    what: String,
    name: String,
    tone: &'static str,
    word: String,
    before: Option<String>,
    after: Option<String>,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, asked: web::Query<Asked>) -> Result<HttpResponse, PageError> {
    let asked = asked.into_inner();
    let repository = Some(asked.repository.clone()).filter(|name| !name.is_empty());
    let (found, before, after) = match &repository {
        Some(name) => of_tags(&app, &reader, name, &asked).await?,
        None => of_images(&app, &reader, &asked).await?,
    };
    let t = reader.t;
    let place = if repository.is_some() { "registry" } else { "images" };
    let frame = reader.frame(&app, place).await.map_err(|e| reader.refuse(e))?;
    let more = |count: u64| (count > 0).then(|| t.with("and-more", number(count)));
    reader.page(&Page {
        totals: totals(t, &found),
        files_more: more(found.files.more()),
        not_compared: (found.files.not_compared > 0)
            .then(|| t.with("difference-not-compared", number(found.files.not_compared))),
        files: found.files.listed.iter().map(|one| file_row(t, one)).collect(),
        packages_more: more(found.packages.more),
        packages_facts: t.with2(
            "difference-packages-of",
            number(found.packages.before),
            found.packages.after.to_string(),
        ),
        packages_note: packages_note(t, &found),
        packages: found.packages.listed.iter().map(|one| package_row(t, one)).collect(),
        settings: found.configuration.iter().map(|one| setting_row(t, one)).collect(),
        frame,
        before,
        after,
        asked,
        repository,
    })
}

type Found = (Difference, Named, Named);

async fn of_images(app: &App, reader: &Reader, asked: &Asked) -> Result<Found, PageError> {
    let refuse = |error: ServiceError| reader.refuse(error);
    let before = app.policy().image::<View>(&reader.caller, &asked.from).map_err(|e| reader.refuse(e))?;
    let after = app.policy().image::<View>(&reader.caller, &asked.to).map_err(|e| reader.refuse(e))?;
    let found = service::images::difference(app, &before, &after, ROWS).await.map_err(refuse)?;
    let mut names = Vec::new();
    for target in [&before, &after] {
        let image = service::images::inspect(app, target).await.map_err(refuse)?;
        let id = image.id.to_string();
        let name = if image.tags.is_empty() { short(&id) } else { image.shown() };
        names.push(Named { name, link: Some(format!("/images/{id}")) });
    }
    match (names.pop(), names.pop()) {
        (Some(after), Some(before)) => Ok((found, before, after)),
        _ => Err(reader.failed("two images have two names")),
    }
}

async fn of_tags(app: &App, reader: &Reader, name: &str, asked: &Asked) -> Result<Found, PageError> {
    let refuse = |error: ServiceError| reader.refuse(error);
    let target = app.policy().own_repository::<View>(&reader.caller, name).await.map_err(|e| reader.refuse(e))?;
    let named = |text: &str| {
        text.parse::<service::registry::Named>().map_err(|error| reader.refuse(ServiceError::Registry(error)))
    };
    let (before, after) = (named(&asked.from)?, named(&asked.to)?);
    let found = service::registry::difference(app, &target, (&before, &after), ROWS).await.map_err(refuse)?;
    let of = |text: &str| Named { name: format!("{name}:{text}"), link: None };
    Ok((found, of(&asked.from), of(&asked.to)))
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn look(t: Texts, change: Change) -> (&'static str, String) {
    match change {
        Change::Added => ("ok", t.get("difference-added")),
        Change::Changed => ("accent", t.get("difference-changed")),
        Change::Removed => ("bad", t.get("difference-removed")),
    }
}

/// How a value that is there or not became another one.
fn became<T>(before: Option<&T>, after: Option<&T>) -> Change {
    match (before, after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ => Change::Changed,
    }
}

fn totals(t: Texts, found: &Difference) -> Vec<String> {
    let files = &found.files;
    let bytes = |total: &Total| match (total.before_bytes, total.after_bytes) {
        (before, 0) => disk(before),
        (0, after) => disk(after),
        (before, after) => format!("{} → {}", disk(before), disk(after)),
    };
    [("files-added", &files.added), ("files-changed", &files.changed), ("files-removed", &files.removed)]
        .into_iter()
        .filter(|(_, total)| total.count > 0)
        .map(|(key, total)| t.with2(key, number(total.count), bytes(total)))
        .collect()
}

fn file_row(t: Texts, one: &FileDifference) -> FileRow {
    let (tone, word) = look(t, one.change);
    let sizes = match (one.before_bytes, one.after_bytes) {
        _ if !one.content => t.get("difference-meta"),
        (Some(before), Some(after)) => format!("{} → {}", disk(before), disk(after)),
        (before, after) => disk(before.or(after).unwrap_or_default()),
    };
    FileRow { path: one.path.clone(), tone, word, sizes }
}

fn package_row(t: Texts, one: &PackageDifference) -> PackageRow {
    let (tone, word) = look(t, became(one.before.as_ref(), one.after.as_ref()));
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "–".to_owned());
    PackageRow {
        name: one.name.clone(),
        manager: format!("{} · {}", one.manager, one.architecture),
        tone,
        word,
        before: version(&one.before),
        after: version(&one.after),
    }
}

fn packages_note(t: Texts, found: &Difference) -> Option<String> {
    let not_read = (!found.packages.not_read.is_empty())
        .then(|| t.with("difference-packages-not-read", found.packages.not_read.join(", ")));
    let incomplete = found.packages.incomplete.then(|| t.get("difference-packages-incomplete"));
    let notes: Vec<String> = [not_read, incomplete].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

fn setting_row(t: Texts, one: &Setting) -> SettingRow {
    let (tone, word) = look(t, became(one.before.as_ref(), one.after.as_ref()));
    let what = t.get(match one.kind {
        SettingKind::Platform => "platform",
        SettingKind::Entrypoint => "entrypoint",
        SettingKind::Command => "command",
        SettingKind::User => "user",
        SettingKind::WorkingDirectory => "working-directory",
        SettingKind::Environment => "environment",
        SettingKind::ExposedPort => "exposed-ports",
        SettingKind::Volume => "nav-volumes",
        SettingKind::Label => "labels",
        SettingKind::StopSignal => "stop-signal",
        SettingKind::HealthCheck => "health-check",
        SettingKind::Shell => "shell",
    });
    let shown = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    SettingRow { what, name: one.name.clone(), tone, word, before: shown(&one.before), after: shown(&one.after) }
}
