//! `GET /containers/{id}/logs`: the last lines as a page; the script then follows. `…/logs/download`: all of it.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::StreamExt;
use sampan_engine::containers::{LogQuery, Output, StandardStream};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::super::words::{clock, rfc3339};
use super::Head;
use crate::app::App;
use crate::policy::action::{Logs, View};
use crate::service;

/// Most lines that a page holds before its script runs.
const MOST: u64 = 2_000;

/// What the address asks for.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Query {
    text: String,
    stdout: bool,
    stderr: bool,
    tail: u64,
}

impl Default for Query {
    fn default() -> Self {
        Self { text: String::new(), stdout: false, stderr: false, tail: 500 }
    }
}

#[derive(Template)]
#[template(path = "container_logs.html")]
struct Page {
    frame: Frame,
    head: Head,
    query: Query,
    lines: Vec<Line>,
    last_at: i64,
}

struct Line {
    at: String,
    clock: String,
    stream: &'static str,
    text: String,
}

/// The page.
pub async fn show(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    query: web::Query<Query>,
) -> Result<HttpResponse, PageError> {
    let mut query = query.into_inner();
    if !query.stdout && !query.stderr {
        (query.stdout, query.stderr) = (true, true);
    }
    query.tail = query.tail.clamp(1, MOST);
    let target = app.policy().container::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(&app, &target).map_err(|e| reader.refuse(e))?;
    let target = app.policy().container::<Logs>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let wanted = LogQuery { stdout: query.stdout, stderr: query.stderr, tail: Some(query.tail), ..LogQuery::default() };
    let mut stream = service::containers::logs(&app, target, wanted).await.map_err(|e| reader.refuse(e))?;
    let (mut lines, mut last_at) = (Vec::new(), 0);
    while let Some(output) = stream.next().await {
        let output = output.map_err(|e| reader.refuse(e))?;
        last_at = output.at_ns;
        lines.extend(split(&output).filter(|line| query.text.is_empty() || line.text.contains(&query.text)));
    }
    reader.page(&Page {
        head: Head::of(&container, reader.t, "logs"),
        frame: reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?,
        query,
        lines,
        last_at,
    })
}

fn split(output: &Output) -> impl Iterator<Item = Line> {
    let stream = match output.stream {
        StandardStream::Stdout => "stdout",
        StandardStream::Stderr => "stderr",
    };
    let text = String::from_utf8_lossy(&output.bytes).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (at, clock) = (rfc3339(output.at_ns), clock(output.at_ns));
    lines.into_iter().map(move |text| Line { at: at.clone(), clock: clock.clone(), stream, text })
}

/// `GET /containers/{id}/logs/download`: everything, as plain text.
pub async fn download(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<Logs>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let name: String =
        target.noun().name().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let stream = service::containers::logs(&app, target, LogQuery::default()).await.map_err(|e| reader.refuse(e))?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.log\"")))
        .streaming(stream.map(|output| output.map(|output| output.bytes).map_err(std::io::Error::other))))
}
