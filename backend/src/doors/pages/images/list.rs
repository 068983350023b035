//! `GET /images`: the team's, with who uses them and what they take; pulls and pushes under way; load, pull, remove.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::images::{ImageUsage, PruneFilter, Usage};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::operations::{self, Work};
use super::super::reader::Reader;
use super::super::words::{clock, disk};
use super::{User, short, users};
use crate::app::App;
use crate::policy::Images;
use crate::policy::action::{List, Prune, Remove};
use crate::service;
use crate::texts::Texts;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    text: String,
    unused: bool,
    part: String,
}

#[derive(Template)]
#[template(path = "images.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    summary: String,
    view: View,
}

#[derive(Template)]
#[template(path = "images.html", block = "live")]
struct Live {
    frame: Frame,
    view: View,
}

/// What is live.
struct View {
    works: Vec<Work>,
    rows: Vec<Row>,
    /// Images that the filter left out.
    hidden: usize,
    unused: Option<Unused>,
}

struct Row {
    id: String,
    short_id: String,
    tags: Vec<String>,
    own: String,
    shared: String,
    created: String,
    used_by: Vec<User>,
}

/// Images that no container uses, and what they hold.
struct Unused {
    text: String,
    rest: Option<String>,
    button: String,
}

/// The form of the button that removes.
#[derive(Debug, Deserialize)]
pub struct Form {
    csrf: String,
    image: String,
}

/// A form with nothing but a button.
#[derive(Debug, Deserialize)]
pub struct Plain {
    csrf: String,
}

/// The page, or its live part.
pub async fn show(app: web::Data<App>, reader: Reader, filter: web::Query<Filter>) -> Result<HttpResponse, PageError> {
    let mut filter = filter.into_inner();
    filter.text = filter.text.trim().to_lowercase();
    let target = app.policy().team::<List, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let usage = service::images::usage(&app, &target).await.map_err(|e| reader.refuse(e))?;
    let mut users = users(&app, &reader).map_err(|e| reader.refuse(e))?;
    let rows: Vec<Row> = usage
        .images
        .iter()
        .filter(|one| shown(one, &filter))
        .map(|one| {
            let id = one.image.id.to_string();
            let used_by = users.extract_if(.., |(image, _)| *image == id).map(|(_, user)| user).collect();
            row(one, id, used_by)
        })
        .collect();
    let view = View {
        works: operations::recent(&app, &reader).map_err(|e| reader.refuse(e))?,
        hidden: usage.images.len() - rows.len(),
        unused: unused(reader.t, &usage),
        rows,
    };
    let frame = reader.frame(&app, "images").await.map_err(|e| reader.refuse(e))?;
    if filter.part == "live" {
        return reader.page(&Live { frame, view });
    }
    let count = i64::try_from(usage.images.len()).unwrap_or(i64::MAX);
    let summary = reader.t.with2("images-summary", count, disk(usage.layers_bytes));
    reader.page(&Page { frame, filter, summary, view })
}

fn shown(one: &ImageUsage, filter: &Filter) -> bool {
    let named = one.image.tags.iter().any(|tag| tag.familiar().to_lowercase().contains(&filter.text));
    let by_id = !filter.text.is_empty() && one.image.id.to_string().contains(&filter.text);
    (filter.text.is_empty() || named || by_id) && !(filter.unused && one.containers > 0)
}

fn row(one: &ImageUsage, id: String, used_by: Vec<User>) -> Row {
    Row {
        short_id: short(&id),
        id,
        tags: one.image.tags.iter().map(|tag| tag.familiar()).collect(),
        own: disk(one.unique_bytes),
        shared: if one.shared_bytes == 0 { "–".to_owned() } else { disk(one.shared_bytes) },
        created: clock(one.image.created_at),
        used_by,
    }
}

fn unused(t: Texts, usage: &Usage) -> Option<Unused> {
    let count = usage.images.iter().filter(|one| one.containers == 0).count();
    let number = i64::try_from(count).unwrap_or(i64::MAX);
    let (freed, kept) = (disk(usage.reclaimable_bytes), usage.unused_kept_bytes);
    (count > 0).then(|| Unused {
        text: t.with2("images-unused", number, freed.clone()),
        rest: (kept > 0).then(|| t.with("images-unused-kept", disk(kept))),
        button: t.with2("images-prune", number, freed),
    })
}

/// `POST /images/remove`.
pub async fn remove(app: web::Data<App>, reader: Reader, form: web::Form<Form>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().image::<Remove>(&reader.caller, &form.image).map_err(|e| reader.refuse(e))?;
    match service::images::remove(&app, target, true).await {
        Ok(_) => Ok(reader.back("/images", "ok", &reader.t.with("removed", form.image.clone()))),
        Err(error) => Ok(reader.back_with("/images", &error)),
    }
}

/// `POST /images/prune`: removes all that no container uses.
pub async fn prune(app: web::Data<App>, reader: Reader, form: web::Form<Plain>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Prune, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let all = PruneFilter { all: true, ..PruneFilter::default() };
    match service::images::prune(&app, target, &all).await {
        Ok(pruned) => {
            let words = reader.t.with("images-pruned", disk(pruned.reclaimed_bytes));
            Ok(reader.back("/images", "ok", &words))
        }
        Err(error) => Ok(reader.back_with("/images", &error)),
    }
}
