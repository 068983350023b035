//! `GET /registry`: the team's repositories, by name, and how to push to one.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use sampan_engine::registry::Listed;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::super::words::{clock, disk};
use super::{Place, ROWS, can_have, cut};
use crate::app::App;
use crate::policy::action::List;
use crate::policy::{Repositories, Robots};
use crate::service;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    text: String,
    after: String,
}

#[derive(Template)]
#[template(path = "registry.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    summary: String,
    rows: Vec<Row>,
    next: Option<String>,
    total: u64,
    host: String,
    plain: bool,
    example: String,
    can_have: bool,
    may_robots: bool,
}

struct Row {
    name: String,
    public: bool,
    tags: u64,
    manifests: u64,
    size: String,
    pushed: String,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        Self {
            name: listed.repository.name,
            public: listed.repository.public,
            tags: listed.counts.tags,
            manifests: listed.counts.manifests,
            size: disk(listed.counts.bytes),
            pushed: listed.pushed_at.map_or_else(|| "–".to_owned(), clock),
        }
    }
}

/// The page.
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    reader: Reader,
    filter: web::Query<Filter>,
) -> Result<HttpResponse, PageError> {
    let mut filter = filter.into_inner();
    filter.text = filter.text.trim().to_lowercase();
    let target = app.policy().team::<List, _>(&reader.caller, Repositories).map_err(|e| reader.refuse(e))?;
    let found = service::registry::list(&app, &target, &filter.text, &filter.after, ROWS + 1).await;
    let mut rows: Vec<Row> = found.map_err(|e| reader.refuse(e))?.into_iter().map(Row::from).collect();
    let next = cut(&mut rows, |row| &row.name);
    let usage = service::registry::usage(&app, &target).await.map_err(|e| reader.refuse(e))?;
    let frame = reader.frame(&app, "registry").await.map_err(|e| reader.refuse(e))?;
    let place = Place::of(&app, &request);
    let count = i64::try_from(usage.repositories).unwrap_or(i64::MAX);
    reader.page(&Page {
        summary: reader.t.with2("registry-summary", count, disk(usage.bytes)),
        example: place.whole(&frame.team, "app"),
        can_have: can_have(&frame.team),
        may_robots: app.policy().team::<List, _>(&reader.caller, Robots).is_ok(),
        host: place.host,
        plain: place.plain,
        total: usage.repositories,
        frame,
        filter,
        rows,
        next,
    })
}
