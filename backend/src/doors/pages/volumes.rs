//! `GET /volumes`: the team's, with who uses them; create, remove by typing the name.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::containers::MountKind;
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::images::User;
use super::reader::{Part, Reader};
use super::words::clock;
use crate::app::App;
use crate::policy::action::{Create, List, Remove};
use crate::policy::{Containers, Volumes};
use crate::service;

#[derive(Template)]
#[template(path = "volumes.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "volumes.html", block = "live")]
struct Live {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    anonymous: bool,
    created: String,
    used_by: Vec<User>,
}

/// The form that makes one.
#[derive(Debug, Deserialize)]
pub struct New {
    csrf: String,
    name: String,
}

/// The form that removes one.
#[derive(Debug, Deserialize)]
pub struct Gone {
    csrf: String,
    volume: String,
    #[serde(default)]
    confirm: String,
}

/// The page, or its live part.
pub async fn show(app: web::Data<App>, reader: Reader, part: web::Query<Part>) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Volumes).map_err(|e| reader.refuse(e))?;
    let volumes = service::volumes::list(&app, &target).await.map_err(|e| reader.refuse(e))?;
    let containers = app.policy().team::<List, _>(&reader.caller, Containers).map_err(|e| reader.refuse(e))?;
    let containers = service::containers::list(&app, &containers, true);
    let rows = volumes
        .iter()
        .map(|volume| Row {
            name: volume.name.clone(),
            anonymous: volume.anonymous,
            created: clock(volume.created_at_ns),
            used_by: containers
                .iter()
                .filter(|container| {
                    let mounts = &container.resolved.mounts;
                    mounts.iter().any(|m| m.kind == MountKind::Volume && m.volume.as_deref() == Some(&volume.name))
                })
                .map(|container| User { id: container.id.clone(), name: container.name.clone() })
                .collect(),
        })
        .collect();
    let frame = reader.frame(&app, "volumes").await.map_err(|e| reader.refuse(e))?;
    if part.wanted() { reader.page(&Live { frame, rows }) } else { reader.page(&Page { frame, rows }) }
}

/// `POST /volumes/new`.
pub async fn create(app: web::Data<App>, reader: Reader, form: web::Form<New>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Create, _>(&reader.caller, Volumes).map_err(|e| reader.refuse(e))?;
    match service::volumes::create(&app, target, Some(form.name.trim()), BTreeMap::new()).await {
        Ok(volume) => Ok(reader.back("/volumes", "ok", &reader.t.with("volume-created", volume.name))),
        Err(error) => Ok(reader.back_with("/volumes", &error)),
    }
}

/// `POST /volumes/remove`: only with the name typed, since the data does not come back.
pub async fn remove(app: web::Data<App>, reader: Reader, form: web::Form<Gone>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().volume::<Remove>(&reader.caller, &form.volume).map_err(|e| reader.refuse(e))?;
    if form.confirm.trim() != form.volume {
        return Ok(reader.back("/volumes", "bad", &reader.t.with("volume-not-confirmed", form.volume.clone())));
    }
    match service::volumes::remove(&app, target).await {
        Ok(()) => Ok(reader.back("/volumes", "ok", &reader.t.with("removed", form.volume.clone()))),
        Err(error) => Ok(reader.back_with("/volumes", &error)),
    }
}
