//! `GET /images/{id}`: what an image takes and shares, how it was made, its names, who uses it, its configuration; tag,
//! push, save, remove.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::images::{HistoryLine, Image, ImageError, ImageUsage, LayerUsage};
use sampan_engine::reference::ImageReference;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::meter::Fact;
use super::super::reader::Reader;
use super::super::words::{clock, disk};
use super::{User, short, users};
use crate::app::App;
use crate::policy::Images;
use crate::policy::action::{List, Push, Tag, View};
use crate::service::{self, ServiceError};
use crate::texts::Texts;

/// Other images that a select offers.
const OTHERS: usize = 200;

#[derive(Template)]
#[template(path = "image.html")]
struct Page {
    frame: Frame,
    id: String,
    title: String,
    facts: String,
    use_of_disk: UseOfDisk,
    steps: Vec<Step>,
    tags: Vec<String>,
    digests: Vec<String>,
    used_by: Vec<User>,
    configuration: Vec<Fact>,
    environment: Vec<Fact>,
    labels: Vec<Fact>,
    /// To compare with.
    others: Vec<Other>,
    may_push: bool,
}

struct UseOfDisk {
    total: String,
    bar: String,
    shared: Option<String>,
    own: String,
    freed: String,
}

struct Step {
    size: String,
    empty: bool,
    command: String,
    comment: String,
    images: Option<String>,
}

/// An image by id and name.
struct Other {
    id: String,
    name: String,
}

/// A further name.
#[derive(Debug, Deserialize)]
pub struct TagForm {
    csrf: String,
    reference: String,
}

/// What to push.
#[derive(Debug, Deserialize)]
pub struct PushForm {
    csrf: String,
    reference: String,
    #[serde(default)]
    all: bool,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let refuse = |error: ServiceError| reader.refuse(error);
    let target = app.policy().image::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let found = service::images::usage_of(&app, &target).await.map_err(refuse)?;
    let history = service::images::history(&app, &target).await.map_err(refuse)?;
    let others = others(&app, &reader, &found.image).await?;
    let image = &found.image;
    let id = image.id.to_string();
    let users = users(&app, &reader).map_err(|e| reader.refuse(e))?;
    let frame = reader.frame(&app, "images").await.map_err(refuse)?;
    let t = reader.t;
    reader.page(&Page {
        title: if image.tags.is_empty() { short(&id) } else { image.shown() },
        facts: facts(t, image),
        use_of_disk: use_of_disk(t, &found),
        steps: history.iter().map(|line| step(t, line, &found.layers)).collect(),
        tags: image.tags.iter().map(ImageReference::familiar).collect(),
        digests: image.digests.iter().map(ImageReference::familiar).collect(),
        used_by: users.into_iter().filter(|(image, _)| *image == id).map(|(_, user)| user).collect(),
        configuration: configuration(t, image),
        environment: image.configuration.config.env.iter().map(|line| pair(line)).collect(),
        labels: image.configuration.config.labels.iter().map(|(name, value)| Fact::mono(name, value)).collect(),
        others,
        may_push: frame.may_write && !image.tags.is_empty(),
        id,
        frame,
    })
}

/// The team's other images, to choose from.
async fn others(app: &App, reader: &Reader, image: &Image) -> Result<Vec<Other>, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let all = service::images::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let mut others: Vec<Other> = all
        .iter()
        .filter(|other| other.id != image.id)
        .map(|other| Other { id: other.id.to_string(), name: other.shown() })
        .collect();
    // Those of the same repository first: two tags of one name are what people compare.
    let own: Vec<String> = image.tags.iter().map(ImageReference::familiar_name).collect();
    others.sort_by_key(|other| !own.iter().any(|name| other.name.starts_with(&format!("{name}:"))));
    others.truncate(OTHERS);
    Ok(others)
}

fn facts(t: Texts, image: &Image) -> String {
    let made = image.configuration.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let made = made.map(|at| t.with("image-made", at.strftime("%Y-%m-%d %H:%M").to_string()));
    let came = t.with("image-came", clock(image.created_at));
    [Some(image.configuration.platform()), made, Some(came)].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn use_of_disk(t: Texts, found: &ImageUsage) -> UseOfDisk {
    let layers = i64::try_from(found.layers.len()).unwrap_or(i64::MAX);
    UseOfDisk {
        total: t.with2("image-in-layers", layers, disk(found.unique_bytes + found.shared_bytes)),
        bar: bar(&found.layers),
        shared: (found.shared_bytes > 0).then(|| t.with("image-shared", disk(found.shared_bytes))),
        own: t.with("image-own", disk(found.unique_bytes)),
        freed: t.with("image-frees", disk(found.freed_bytes)),
    }
}

/// One piece for each layer, bottom to top, as wide as its share; what others have too is pale.
#[expect(clippy::cast_precision_loss, reason = "a bar has a few hundred pixels")]
fn bar(layers: &[LayerUsage]) -> String {
    let total = layers.iter().map(|layer| layer.disk_bytes).sum::<u64>().max(1) as f64;
    let mut x = 0.0;
    let mut pieces = String::new();
    for layer in layers {
        let width = layer.disk_bytes as f64 / total * 100.0;
        let tone = if layer.images > 1 { "shared" } else { "own" };
        pieces.push_str(&format!(r#"<rect class="{tone}" x="{x:.2}%" width="{width:.2}%" height="8"/>"#));
        x += width;
        pieces.push_str(&format!(r#"<rect class="gap" x="{x:.2}%" width="1" height="8"/>"#));
    }
    format!(r#"<svg class="bar layers-bar" height="8" aria-hidden="true">{pieces}</svg>"#)
}

fn step(t: Texts, line: &HistoryLine, layers: &[LayerUsage]) -> Step {
    let layer = line.diff_id.and_then(|diff_id| layers.iter().find(|layer| layer.diff_id == diff_id));
    let images = layer.map(|layer| layer.images).filter(|images| *images > 1);
    Step {
        size: disk(layer.map_or(0, |layer| layer.disk_bytes)),
        empty: layer.is_none(),
        command: command(&line.created_by),
        comment: line.comment.clone(),
        images: images.map(|images| t.with("image-count", i64::try_from(images).unwrap_or(i64::MAX))),
    }
}

/// As the Dockerfile had it: builders of old wrote their own words in front.
fn command(text: &str) -> String {
    let text = text.strip_prefix("/bin/sh -c #(nop)").map_or(text, str::trim_start);
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim_end);
    match text.strip_prefix("/bin/sh -c ") {
        Some(line) => format!("RUN {line}"),
        None if text.is_empty() => "–".to_owned(),
        None => text.to_owned(),
    }
}

fn pair(line: &str) -> Fact {
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    Fact::mono(name, value)
}

fn configuration(t: Texts, image: &Image) -> Vec<Fact> {
    let config = &image.configuration.config;
    let words = |list: &Option<Vec<String>>| list.as_ref().map(|words| serde_json::json!(words).to_string());
    let names = |map: &std::collections::BTreeMap<String, serde_json::Value>| {
        Some(map.keys().cloned().collect::<Vec<_>>().join(", "))
    };
    let given = |text: &str| Some(text.to_owned());
    [
        ("entrypoint", words(&config.entrypoint)),
        ("command", words(&config.cmd)),
        ("user", given(&config.user)),
        ("working-directory", given(&config.working_dir)),
        ("exposed-ports", names(&config.exposed_ports)),
        ("nav-volumes", names(&config.volumes)),
        ("health-check", config.healthcheck.as_ref().map(|check| serde_json::json!(check.test).to_string())),
        ("stop-signal", given(&config.stop_signal)),
        ("image-author", given(&image.configuration.author)),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.filter(|value| !value.is_empty()).map(|value| Fact::mono(t.get(key), value)))
    .collect()
}

/// `POST /images/{id}/tags`: a further name.
pub async fn tag(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    form: web::Form<TagForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().image::<Tag>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    match service::images::tag(&app, target, form.reference.trim()).await {
        Ok(tagged) => {
            let words = reader.t.with("image-tagged", tagged.reference.familiar());
            Ok(reader.back(&format!("/images/{}", tagged.id), "ok", &words))
        }
        Err(error) => Ok(reader.back_with(&place(&app, &reader, &id).await?, &error)),
    }
}

/// `POST /images/{id}/push`: begins one, and shows how far it is.
pub async fn push(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    form: web::Form<PushForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().image::<Push>(&reader.caller, &form.reference).map_err(|e| reader.refuse(e))?;
    let place = place(&app, &reader, &id).await?;
    let reference: ImageReference = match form.reference.trim().parse() {
        Ok(reference) => reference,
        Err(error) => return Ok(reader.back_with(&place, &ServiceError::from(ImageError::from(error)))),
    };
    match service::operations::push(&app.into_inner(), target, reference, form.all, None) {
        Ok(operation) => {
            let place = format!("/operations/{}", operation.id);
            Ok(HttpResponse::SeeOther().insert_header((LOCATION, place)).finish())
        }
        Err(error) => Ok(reader.back_with(&place, &error)),
    }
}

/// The image's own page, which must be there.
async fn place(app: &App, reader: &Reader, id: &str) -> Result<String, PageError> {
    let target = app.policy().image::<View>(&reader.caller, id).map_err(|e| reader.refuse(e))?;
    let image = service::images::inspect(app, &target).await.map_err(|e| reader.refuse(e))?;
    Ok(format!("/images/{}", image.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_were_written() {
        for (told, shown) in [
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD [\"sh\"]"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("COPY app /app # buildkit", "COPY app /app"),
            ("", "–"),
        ] {
            assert_eq!(command(told), shown);
        }
    }

    #[test]
    fn a_bar_has_a_piece_for_each_layer() {
        let layer =
            |disk_bytes, images| LayerUsage { diff_id: sampan_engine::digest::Digest::of(b""), disk_bytes, images };
        let drawn = bar(&[layer(75, 2), layer(25, 1)]);
        assert!(drawn.contains(r#"class="shared" x="0.00%" width="75.00%""#), "{drawn}");
        assert!(drawn.contains(r#"class="own" x="75.00%" width="25.00%""#), "{drawn}");
        assert!(!bar(&[layer(0, 1)]).contains("NaN"));
    }
}
