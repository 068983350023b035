//! `GET /containers/{id}/stats`: figures now; the script draws charts.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::meter::Meter;
use super::super::reader::Reader;
use super::Head;
use super::overview::meters;
use crate::app::App;
use crate::policy::action::{Stats, View};
use crate::service;

#[derive(Template)]
#[template(path = "container_stats.html")]
struct Page {
    frame: Frame,
    head: Head,
    meters: Vec<Meter>,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(&app, &target).map_err(|e| reader.refuse(e))?;
    let target = app.policy().container::<Stats>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let meters = if container.state.is_alive() {
        let sample = service::containers::sample(&app, &target).await.map_err(|e| reader.refuse(e))?;
        meters(&sample, reader.t)
    } else {
        Vec::new()
    };
    reader.page(&Page {
        head: Head::of(&container, reader.t, "stats"),
        frame: reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?,
        meters,
    })
}
