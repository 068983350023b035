//! `GET /images`: the team's, with who uses them; load from an archive, remove.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::reader::{Part, Reader};
use super::words::{clock, disk};
use crate::app::App;
use crate::policy::action::{List, Remove};
use crate::policy::{Containers, Images};
use crate::service;

#[derive(Template)]
#[template(path = "images.html")]
struct Page {
    frame: Frame,
    summary: String,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "images.html", block = "live")]
struct Live {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    short_id: String,
    tags: Vec<String>,
    size: String,
    created: String,
    used_by: Vec<User>,
}

/// A container that uses something.
pub(super) struct User {
    pub(super) id: String,
    pub(super) name: String,
}

/// The form of the button that removes.
#[derive(Debug, Deserialize)]
pub struct Form {
    csrf: String,
    image: String,
}

/// The page, or its live part.
pub async fn show(app: web::Data<App>, reader: Reader, part: web::Query<Part>) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let images = service::images::list(&app, &target).await.map_err(|e| reader.refuse(e))?;
    let containers = app.policy().team::<List, _>(&reader.caller, Containers).map_err(|e| reader.refuse(e))?;
    let containers = service::containers::list(&app, &containers, true);
    let bytes: u64 = images.iter().map(|image| image.size).sum();
    let rows: Vec<Row> = images
        .iter()
        .map(|image| Row {
            id: image.id.to_string(),
            short_id: image.id.to_string().trim_start_matches("sha256:").chars().take(12).collect(),
            tags: image.tags.iter().map(|tag| tag.familiar()).collect(),
            size: disk(image.size),
            created: clock(image.created_at),
            used_by: containers
                .iter()
                .filter(|container| container.image_id == image.id.to_string())
                .map(|container| User { id: container.id.clone(), name: container.name.clone() })
                .collect(),
        })
        .collect();
    let frame = reader.frame(&app, "images").await.map_err(|e| reader.refuse(e))?;
    if part.wanted() {
        return reader.page(&Live { frame, rows });
    }
    let summary = reader.t.with2("images-summary", rows.len() as i64, disk(bytes));
    reader.page(&Page { frame, summary, rows })
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
