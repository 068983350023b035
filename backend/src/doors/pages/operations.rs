//! `GET /operations/{id}`: how far a pull or a push is, layer by layer; give it up. The pages of images list those under
//! way. Without a script the page asks for itself again.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::meter::bar;
use super::reader::{Part, Reader};
use super::words::{clock, disk, duration, now_ns};
use crate::app::App;
use crate::operations::{Layer, Operation, Progress, State};
use crate::policy::action::{List, Remove, View};
use crate::policy::{Denied, Operations};
use crate::service;
use crate::texts::Texts;

/// How long one that ended stands on the page of images.
const REMEMBERED_NS: i64 = 15 * 60_000_000_000;

#[derive(Template)]
#[template(path = "operation.html")]
struct Page {
    frame: Frame,
    work: Work,
}

#[derive(Template)]
#[template(path = "operation.html", block = "live")]
struct Live {
    frame: Frame,
    work: Work,
}

/// A form with nothing but a button.
#[derive(Debug, Deserialize)]
pub struct Plain {
    csrf: String,
}

/// A pull or a push as the pages show it.
pub(super) struct Work {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) state: &'static str,
    pub(super) running: bool,
    /// Shape and colour, and the word.
    pub(super) tone: &'static str,
    pub(super) badge: &'static str,
    pub(super) word: String,
    pub(super) facts: String,
    /// All bytes of all layers: the bar, and in words.
    pub(super) bar: String,
    pub(super) amount: String,
    /// What a layer does that is on its way.
    pub(super) moving: String,
    pub(super) layers: Vec<Row>,
    pub(super) notes: Vec<String>,
    pub(super) error: Option<String>,
    pub(super) digests: Vec<String>,
    /// The image's page, once it is there.
    pub(super) image: Option<String>,
}

/// A layer.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) word: String,
    pub(super) bar: String,
    pub(super) amount: String,
}

impl Work {
    pub(super) fn of(t: Texts, operation: &Operation) -> Self {
        let now = operation.progress();
        let (current, total) = now.layers.iter().fold((0, 0), |(current, total), (_, layer)| {
            (current + layer.current.min(layer.total), total + layer.total)
        });
        let (tone, badge) = match &now.state {
            State::Running => ("starting", "accent"),
            State::Done => ("running", "ok"),
            State::Cancelled => ("finished", ""),
            State::Failed(_) => ("failed", "bad"),
        };
        let is_pull = operation.kind == "pull";
        let image = (is_pull && now.state == State::Done).then(|| operation.reference.clone());
        Self {
            id: operation.id,
            title: t.with(if is_pull { "pull-of" } else { "push-of" }, operation.reference.clone()),
            state: now.state.word(),
            running: now.state == State::Running,
            tone,
            badge,
            word: t.get(match &now.state {
                State::Running => "work-running",
                State::Done => "work-done",
                State::Cancelled => "work-cancelled",
                State::Failed(_) => "work-failed",
            }),
            facts: facts(t, operation, &now),
            bar: bar(percent(&now, current, total)),
            amount: amount(current, total),
            moving: t.get(if is_pull { "layer-coming" } else { "layer-going" }),
            layers: now.layers.iter().map(|(id, layer)| row(t, is_pull, id, layer)).collect(),
            notes: now.notes.clone(),
            error: if let State::Failed(reason) = &now.state { Some(reason.clone()) } else { None },
            digests: now.digests,
            image,
        }
    }
}

/// Those under way, and those that ended a little while ago.
pub(super) fn recent(app: &App, reader: &Reader) -> Result<Vec<Work>, Denied> {
    let target = app.policy().team::<List, _>(&reader.caller, Operations)?;
    let since = now_ns() - REMEMBERED_NS;
    let fresh = |operation: &Operation| operation.progress().ended_at.is_none_or(|at| at > since);
    let all = service::operations::list(app, &target);
    Ok(all.iter().filter(|one| fresh(one)).map(|one| Work::of(reader.t, one)).collect())
}

fn percent(now: &Progress, current: u64, total: u64) -> f64 {
    if now.state == State::Done {
        return 100.0;
    }
    share(current, total)
}

#[expect(clippy::cast_precision_loss, reason = "a bar has a few hundred pixels")]
fn share(current: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { current as f64 / total as f64 * 100.0 }
}

fn row(t: Texts, is_pull: bool, id: &str, layer: &Layer) -> Row {
    let word = match layer.state {
        "exists" => "layer-exists",
        "moving" if is_pull => "layer-coming",
        "moving" => "layer-going",
        "done" => "layer-done",
        _ => "layer-waiting",
    };
    let whole = matches!(layer.state, "exists" | "done");
    Row {
        id: id.to_owned(),
        word: t.get(word),
        bar: bar(if whole { 100.0 } else { share(layer.current, layer.total) }),
        amount: amount(layer.current, layer.total),
    }
}

/// `12.3 MB / 40.1 MB`; nothing where nothing is known.
fn amount(current: u64, total: u64) -> String {
    if total == 0 { String::new() } else { format!("{} / {}", disk(current), disk(total)) }
}

fn facts(t: Texts, operation: &Operation, now: &Progress) -> String {
    let took = duration(t, now.ended_at.unwrap_or_else(now_ns) - operation.begun_at);
    let layers = t.with("work-layers", i64::try_from(now.layers.len()).unwrap_or(i64::MAX));
    [t.with("work-begun", clock(operation.begun_at)), took, layers].join(" · ")
}

/// The page, or its live part.
pub async fn show(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<u64>,
    part: web::Query<Part>,
) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<View, _>(&reader.caller, Operations).map_err(|e| reader.refuse(e))?;
    let operation = service::operations::inspect(&app, &target, *id).map_err(|e| reader.refuse(e))?;
    let work = Work::of(reader.t, &operation);
    let frame = reader.frame(&app, "images").await.map_err(|e| reader.refuse(e))?;
    if part.wanted() { reader.page(&Live { frame, work }) } else { reader.page(&Page { frame, work }) }
}

/// `POST /operations/{id}/remove`: gives it up, or forgets it when it ended.
pub async fn remove(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<u64>,
    form: web::Form<Plain>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Remove, _>(&reader.caller, Operations).map_err(|e| reader.refuse(e))?;
    let running = service::operations::remove(&app, &target, *id).map_err(|e| reader.refuse(e))?;
    let key = if running { "work-given-up" } else { "work-forgotten" };
    Ok(reader.back("/images", "ok", &reader.t.get(key)))
}
