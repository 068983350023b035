//! `GET /`: what needs a person, the fleet, the host, what happened.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::events::{Action, Event};

use super::error::PageError;
use super::frame::Frame;
use super::meter::Meter;
use super::reader::{Part, Reader};
use super::words::{Look, clock, disk, memory, now_ns, rfc3339};
use crate::app::App;
use crate::policy::action::{List, View, Watch};
use crate::policy::{Containers, Events, System};
use crate::service;
use crate::texts::Texts;

/// Rows of recent events.
const EVENTS: usize = 12;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    headline: String,
    counts: Vec<Count>,
    cells: Vec<Cell>,
    attention: Vec<Need>,
    events: Vec<Happened>,
    host: Vec<Meter>,
}

#[derive(Template)]
#[template(path = "overview.html", block = "live")]
struct Live<'a> {
    frame: &'a Frame,
    headline: &'a str,
    counts: &'a [Count],
    cells: &'a [Cell],
    attention: &'a [Need],
    events: &'a [Happened],
    host: &'a [Meter],
}

struct Count {
    tone: &'static str,
    number: usize,
    word: String,
}

struct Cell {
    id: String,
    tone: &'static str,
    title: String,
}

struct Need {
    id: String,
    name: String,
    tone: &'static str,
    reason: String,
}

struct Happened {
    at: String,
    clock: String,
    text: String,
}

/// The page, or its live part.
pub async fn show(app: web::Data<App>, reader: Reader, part: web::Query<Part>) -> Result<HttpResponse, PageError> {
    let t = reader.t;
    let now = now_ns();
    let target = app.policy().team::<List, _>(&reader.caller, Containers).map_err(|e| reader.refuse(e))?;
    let containers = service::containers::list(&app, &target, true);
    let looked: Vec<(Look, &sampan_engine::containers::Container)> =
        containers.iter().map(|container| (Look::of(container, t, now), container.as_ref())).collect();
    let watch = app.policy().team::<Watch, _>(&reader.caller, Events).map_err(|e| reader.refuse(e))?;
    let system = app.policy().team::<View, _>(&reader.caller, System).map_err(|e| reader.refuse(e))?;
    let needs = looked.iter().filter(|(look, _)| look.needs_attention()).count();
    let page = Page {
        headline: match (containers.len(), needs) {
            (0, _) => t.get("headline-empty"),
            (_, 0) => t.get("headline-calm"),
            (_, needs) => t.with("headline-need", needs as i64),
        },
        counts: counts(&looked, t),
        cells: looked
            .iter()
            .map(|(look, container)| Cell {
                id: container.id.clone(),
                tone: look.tone,
                title: format!("{}: {} {}", container.name, look.word, look.reason),
            })
            .collect(),
        attention: looked
            .iter()
            .filter(|(look, _)| look.needs_attention())
            .map(|(look, container)| Need {
                id: container.id.clone(),
                name: container.name.clone(),
                tone: look.tone,
                reason: format!("{} {}", look.word, look.reason),
            })
            .collect(),
        events: service::events::recent(&app, &watch, EVENTS).iter().map(|event| happened(event, t)).collect(),
        host: host(&service::host::look(&app, &system).map_err(|e| reader.refuse(e))?, t),
        frame: reader.frame(&app, "overview").await.map_err(|e| reader.refuse(e))?,
    };
    if part.wanted() {
        let Page { frame, headline, counts, cells, attention, events, host } = &page;
        return reader.page(&Live { frame, headline, counts, cells, attention, events, host });
    }
    reader.page(&page)
}

fn counts(looked: &[(Look, &sampan_engine::containers::Container)], t: Texts) -> Vec<Count> {
    [
        ("running", "count-running"),
        ("restarting", "count-restarting"),
        ("failed", "count-failed"),
        ("finished", "count-rest"),
    ]
    .into_iter()
    .map(|(tone, key)| {
        let of = |look: &Look| match tone {
            "finished" => matches!(look.tone, "finished" | "created" | "paused"),
            "running" => matches!(look.tone, "running" | "starting" | "unhealthy"),
            tone => look.tone == tone,
        };
        Count { tone, number: looked.iter().filter(|(look, _)| of(look)).count(), word: t.get(key) }
    })
    .filter(|count| count.number > 0 || count.tone == "running")
    .collect()
}

fn happened(event: &Event, t: Texts) -> Happened {
    let name = event.attributes.get("name").unwrap_or(&event.id);
    let short: String = name.chars().take(32).collect();
    // Labels stand among the attributes too: only where the engine says it.
    let more = match event.action {
        Action::HealthStatus => event.attributes.get("health"),
        _ => event.attributes.get("exitCode"),
    };
    let action = match more {
        Some(more) => format!("{} ({more})", event.action.word()),
        None => event.action.word().to_owned(),
    };
    Happened {
        at: rfc3339(event.at_ns),
        clock: clock(event.at_ns).split(' ').nth(1).unwrap_or_default().to_owned(),
        text: t.with2("event-container", action, short),
    }
}

fn host(host: &service::host::Host, t: Texts) -> Vec<Meter> {
    #[expect(clippy::cast_precision_loss, reason = "shares of a bar")]
    let number = |value: u64| value as f64;
    vec![
        Meter::new(
            t,
            &t.get("cpu"),
            (host.cpu_percent, format!("{:.0}%", host.cpu_percent)),
            Some((100.0, t.with("of-cores", i64::from(host.cpus)))),
        ),
        Meter::new(
            t,
            &t.get("memory"),
            (number(host.memory_used_bytes), memory(host.memory_used_bytes)),
            Some((number(host.memory_bytes), t.with("of-limit", memory(host.memory_bytes)))),
        ),
        Meter::new(
            t,
            &t.get("disk"),
            (number(host.disk_used_bytes), disk(host.disk_used_bytes)),
            Some((number(host.disk_bytes), t.with("of-limit", disk(host.disk_bytes)))),
        ),
    ]
}
