//! `GET /robots`: who pulls and pushes and is no person; make one, revoke one.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::super::words::{clock, duration, now_ns};
use super::Place;
use crate::accounts::RobotInfo;
use crate::app::App;
use crate::policy::Robots;
use crate::policy::action::{Create, List, Remove};
use crate::service;
use crate::service::robots::Wanted;
use crate::texts::Texts;

const DAY_NS: i64 = 86_400_000_000_000;

/// A robot to be.
#[derive(Debug, Deserialize)]
pub struct New {
    csrf: String,
    name: String,
    #[serde(default)]
    push: bool,
    #[serde(default)]
    repositories: String,
    /// Days; none or 0: it does not expire.
    #[serde(default)]
    days: u16,
}

/// A robot to go.
#[derive(Debug, Deserialize)]
pub struct Gone {
    csrf: String,
    robot: i64,
}

#[derive(Template)]
#[template(path = "registry_robots.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    made: Option<Made>,
}

struct Row {
    id: i64,
    login: String,
    prefix: String,
    access: String,
    repositories: String,
    last_used: String,
    expires: String,
}

/// The only time that a secret is shown.
struct Made {
    secret: String,
    login: String,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader) -> Result<HttpResponse, PageError> {
    page(&app, &reader, None).await
}

async fn page(app: &App, reader: &Reader, made: Option<Made>) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Robots).map_err(|e| reader.refuse(e))?;
    let robots = service::robots::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let frame = reader.frame(app, "registry").await.map_err(|e| reader.refuse(e))?;
    let rows = robots.into_iter().map(|robot| row(reader.t, &frame.team, robot)).collect();
    reader.page(&Page { frame, rows, made })
}

fn row(t: Texts, team: &str, robot: RobotInfo) -> Row {
    let now = now_ns();
    Row {
        id: robot.id,
        login: format!("{team}+{}", robot.name),
        prefix: robot.prefix,
        access: t.get(if robot.push { "robot-push" } else { "robot-pull" }),
        repositories: match robot.repositories.is_empty() {
            true => t.get("robot-all"),
            false => format!("{}*", robot.repositories),
        },
        last_used: match robot.last_used_at {
            Some(at) => t.with("token-used", duration(t, now - at)),
            None => t.get("token-never-used"),
        },
        expires: match robot.expires_at {
            Some(at) if at <= now => t.with("robot-expired", clock(at)),
            Some(at) => clock(at),
            None => t.get("robot-lasting"),
        },
    }
}

/// `POST /robots`: makes one; its secret is shown this once.
pub async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    reader: Reader,
    form: web::Form<New>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Create, _>(&reader.caller, Robots).map_err(|e| reader.refuse(e))?;
    let expires_at = (form.days > 0).then(|| now_ns() + i64::from(form.days) * DAY_NS);
    let (name, repositories) = (form.name.trim(), form.repositories.trim());
    match service::robots::create(&app, &target, Wanted { name, push: form.push, repositories, expires_at }).await {
        Ok((login, issued)) => {
            let login = format!("docker login -u '{login}' {}", Place::of(&app, &request).host);
            page(&app, &reader, Some(Made { secret: issued.secret.expose().to_owned(), login })).await
        }
        Err(error) => Ok(reader.back_with("/robots", &error)),
    }
}

/// `POST /robots/revoke`: its secret stops working at once.
pub async fn revoke(app: web::Data<App>, reader: Reader, form: web::Form<Gone>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().robot::<Remove>(&reader.caller, form.robot).map_err(|e| reader.refuse(e))?;
    service::robots::remove(&app, &target).await.map_err(|e| reader.refuse(e))?;
    Ok(reader.back("/robots", "ok", &reader.t.get("robot-revoked")))
}
