//! `GET /containers`: the team's, those that need a person first; filters are held in the address.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::containers::Container;
use sampan_engine::stats::Sample;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::super::words::{Look, duration, memory, now_ns};
use crate::app::App;
use crate::policy::Containers;
use crate::policy::action::{List, Stats};
use crate::service;
use crate::texts::Texts;

/// Readings are shown for at most so many rows: each costs reads of several files.
const READINGS: usize = 200;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    text: String,
    state: String,
    part: String,
}

#[derive(Template)]
#[template(path = "containers.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    states: Vec<Choice>,
    rows: Vec<Row>,
    total: usize,
}

#[derive(Template)]
#[template(path = "containers.html", block = "live")]
struct Live {
    frame: Frame,
    rows: Vec<Row>,
    total: usize,
}

struct Choice {
    word: String,
    count: usize,
    on: bool,
    link: String,
}

struct Row {
    id: String,
    name: String,
    tone: &'static str,
    word: String,
    reason: String,
    image: String,
    cpu: String,
    memory: String,
    ports: Vec<u16>,
    uptime: String,
}

/// The page, or its live part.
pub async fn show(app: web::Data<App>, reader: Reader, filter: web::Query<Filter>) -> Result<HttpResponse, PageError> {
    let filter = filter.into_inner();
    let target = app.policy().team::<List, _>(&reader.caller, Containers).map_err(|e| reader.refuse(e))?;
    let all = service::containers::list(&app, &target, true);
    let now = now_ns();
    let mut looked: Vec<(Look, Arc<Container>)> =
        all.iter().map(|container| (Look::of(container, reader.t, now), container.clone())).collect();
    let states = choices(&looked, &filter, reader.t);
    let total = looked.len();
    looked.retain(|(look, container)| wanted(look, container, &filter));
    looked.sort_by_key(|(look, container)| (order(look), std::cmp::Reverse(container.created_at_ns)));
    let readings = readings(&app, &reader, &looked).await;
    let rows = looked.iter().map(|(look, container)| row(look, container, &readings, reader.t, now)).collect();
    let frame = reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?;
    if filter.part == "live" {
        return reader.page(&Live { frame, rows, total });
    }
    reader.page(&Page { frame, filter, states, rows, total })
}

/// Which group of the filter a look belongs to.
fn group(look: &Look) -> &'static str {
    match look.tone {
        "running" | "starting" | "paused" => "running",
        "failed" | "restarting" | "unhealthy" => "attention",
        _ => "rest",
    }
}

fn order(look: &Look) -> u8 {
    match group(look) {
        "attention" => 0,
        "running" => 1,
        _ => 2,
    }
}

fn choices(looked: &[(Look, Arc<Container>)], filter: &Filter, t: Texts) -> Vec<Choice> {
    let groups = [("attention", "needs-attention"), ("running", "state-running"), ("rest", "state-rest")];
    groups
        .into_iter()
        .map(|(name, key)| Choice {
            word: t.get(key),
            count: looked.iter().filter(|(look, _)| group(look) == name).count(),
            on: filter.state == name,
            link: if filter.state == name { "/containers".to_owned() } else { format!("/containers?state={name}") },
        })
        .collect()
}

fn wanted(look: &Look, container: &Container, filter: &Filter) -> bool {
    let text = filter.text.trim().to_lowercase();
    let named = text.is_empty()
        || container.name.to_lowercase().contains(&text)
        || container.config.image.to_lowercase().contains(&text);
    named && (filter.state.is_empty() || group(look) == filter.state)
}

async fn readings(
    app: &App,
    reader: &Reader,
    looked: &[(Look, Arc<Container>)],
) -> HashMap<String, (Arc<Sample>, Option<f64>)> {
    let mut found = HashMap::new();
    for (_, container) in looked.iter().filter(|(_, container)| container.state.is_alive()).take(READINGS) {
        let Ok(target) = app.policy().container::<Stats>(&reader.caller, &container.id) else { continue };
        // One that ends meanwhile has no reading: its row shows none.
        let Ok(sample) = service::containers::sample(app, &target).await else { continue };
        let last = service::containers::history(app, &target).ok().and_then(|points| points.last().copied());
        found.insert(container.id.clone(), (sample, last.map(|point| point.cpu_percent)));
    }
    found
}

fn row(
    look: &Look,
    container: &Container,
    readings: &HashMap<String, (Arc<Sample>, Option<f64>)>,
    t: Texts,
    now: i64,
) -> Row {
    let dash = || "–".to_owned();
    let reading = readings.get(&container.id);
    let used = reading.map(|(sample, _)| {
        let used = memory(sample.memory_bytes.saturating_sub(sample.memory_inactive_file_bytes));
        match container.config.limits.memory_bytes {
            Some(limit) => format!("{used} / {}", memory(limit)),
            None => used,
        }
    });
    let alive = container.state.is_alive();
    Row {
        id: container.id.clone(),
        name: container.name.clone(),
        tone: look.tone,
        word: look.word.clone(),
        reason: look.reason.clone(),
        image: container.config.image.clone(),
        cpu: reading.and_then(|(_, cpu)| *cpu).map_or_else(dash, |cpu| format!("{cpu:.1}%")),
        memory: used.unwrap_or_else(dash),
        ports: if alive { container.run.ports.iter().map(|port| port.host_port).collect() } else { Vec::new() },
        uptime: container.run.started_at_ns.filter(|_| alive).map_or_else(dash, |at| duration(t, now - at)),
    }
}
