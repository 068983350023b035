//! `GET /containers/{id}/remove` asks first and says what is lost; `POST` does it.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use crate::app::App;
use crate::policy::action::{Remove, View};
use crate::service;

#[derive(Template)]
#[template(path = "container_remove.html")]
struct Page {
    frame: Frame,
    id: String,
    name: String,
    sentence: String,
}

/// What the form says.
#[derive(Debug, Deserialize)]
pub struct Form {
    csrf: String,
    #[serde(default)]
    volumes: bool,
}

/// Asks.
pub async fn ask(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(&app, &target).map_err(|e| reader.refuse(e))?;
    let sentence = if container.state.is_alive() { "remove-running" } else { "remove-stopped" };
    reader.page(&Page {
        sentence: reader.t.get(sentence),
        id: container.id.clone(),
        name: container.name.clone(),
        frame: reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?,
    })
}

/// Does it.
pub async fn remove(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    form: web::Form<Form>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().container::<Remove>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let name = target.noun().name().clone();
    match service::containers::remove(&app, target, true, form.volumes).await {
        Ok(()) => Ok(reader.back("/containers", "ok", &reader.t.with("removed", name))),
        Err(error) => Ok(reader.back_with(&format!("/containers/{id}"), &error)),
    }
}
