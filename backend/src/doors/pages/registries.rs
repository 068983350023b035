//! `GET /registries`: with whose name the team is known at other registries, what served its pulls; for administrators how
//! registries are reached, their mirrors in order and how they are.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::upstream::{Mirror, MirrorState, Proxies, Registry, Served};
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::reader::Reader;
use super::words::{clock, disk, duration};
use crate::app::App;
use crate::policy::action::{Create, List, Remove};
use crate::policy::{Fetches, Mirrors, Registries, RegistryCredentials};
use crate::service::registries;
use crate::texts::Texts;

/// Rows of what served what.
const ROWS: u32 = 50;
const PLACE: &str = "/registries";

/// Where the list of what served what begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Begin {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "registries.html")]
struct Page {
    frame: Frame,
    /// `None`: not for this reader.
    credentials: Option<Vec<Credential>>,
    decides: bool,
    served: Vec<Row>,
    begins: bool,
    next: Option<i64>,
    administration: Option<Administration>,
}

struct Credential {
    host: String,
    username: String,
    created: String,
}

/// What one place gave to one pull.
struct Row {
    at: String,
    reference: String,
    endpoint: String,
    blobs: u64,
    bytes: String,
}

/// What only administrators see.
struct Administration {
    rules: Vec<Rule>,
    mirrors: Vec<MirrorRow>,
    proxies: Proxies,
}

struct Rule {
    host: String,
    words: String,
}

struct MirrorRow {
    mirror: Mirror,
    tone: &'static str,
    word: String,
    reason: Option<String>,
    registry: Option<String>,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, begin: web::Query<Begin>) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Fetches).map_err(|e| reader.refuse(e))?;
    let mut served = registries::served(&app, &target, begin.before, ROWS + 1).await.map_err(|e| reader.refuse(e))?;
    let more = served.len() > ROWS as usize;
    served.truncate(ROWS as usize);
    let decides = app.policy().team::<Create, _>(&reader.caller, RegistryCredentials).is_ok();
    let credentials = credentials(&app, &reader).await?;
    let administration = administration(&app, &reader).await?;
    let frame = reader.frame(&app, "registries").await.map_err(|e| reader.refuse(e))?;
    reader.page(&Page {
        frame,
        credentials,
        decides,
        next: served.last().map(|last| last.id).filter(|_| more),
        served: served.into_iter().map(Row::from).collect(),
        begins: begin.before.is_some(),
        administration,
    })
}

async fn credentials(app: &App, reader: &Reader) -> Result<Option<Vec<Credential>>, PageError> {
    let Ok(target) = app.policy().team::<List, _>(&reader.caller, RegistryCredentials) else { return Ok(None) };
    let all = registries::list_credentials(app, &target).await.map_err(|e| reader.refuse(e))?;
    let row = |one: crate::accounts::RegistryCredential| Credential {
        host: one.registry,
        username: one.username,
        created: clock(one.created_at),
    };
    Ok(Some(all.into_iter().map(row).collect()))
}

async fn administration(app: &App, reader: &Reader) -> Result<Option<Administration>, PageError> {
    let Ok(target) = app.policy().instance::<List, _>(&reader.caller, Registries) else { return Ok(None) };
    let mirrors = app.policy().instance::<List, _>(&reader.caller, Mirrors).map_err(|e| reader.refuse(e))?;
    let rules = registries::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let mirrors = registries::mirrors(app, &mirrors).await.map_err(|e| reader.refuse(e))?;
    Ok(Some(Administration {
        rules: rules.iter().map(|rule| rule_row(reader.t, rule)).collect(),
        mirrors: mirrors.into_iter().map(|mirror| mirror_row(reader.t, mirror)).collect(),
        proxies: registries::proxies(app, &target),
    }))
}

impl From<Served> for Row {
    fn from(served: Served) -> Self {
        Self {
            at: clock(served.at),
            reference: served.reference,
            endpoint: served.endpoint,
            blobs: served.blobs,
            bytes: disk(served.bytes),
        }
    }
}

fn rule_row(t: Texts, rule: &Registry) -> Rule {
    let said = [
        (rule.plain_http, "registry-plain-http"),
        (rule.ca_pem.is_some(), "registry-own-ca"),
        (rule.teams_may, "registry-teams-may"),
    ];
    let words: Vec<String> = said.into_iter().filter(|(is, _)| *is).map(|(_, key)| t.get(key)).collect();
    let words = if words.is_empty() { t.get("registry-administrators-only") } else { words.join(" · ") };
    Rule { host: rule.host.clone(), words }
}

fn mirror_row(t: Texts, MirrorState { mirror, state, registry }: MirrorState) -> MirrorRow {
    let rests = state.as_ref().map(|state| i64::try_from(state.rests().as_nanos()).unwrap_or(i64::MAX));
    let (tone, word) = match (&state, rests) {
        _ if !mirror.enabled => ("paused", t.get("mirror-off")),
        (Some(state), Some(rests)) if rests > 0 => {
            let key = if state.lied { "mirror-lied" } else { "mirror-rests" };
            (if state.lied { "failed" } else { "restarting" }, t.with(key, duration(t, rests)))
        }
        (Some(_), _) => ("starting", t.get("mirror-again")),
        (None, _) => ("running", t.get("mirror-well")),
    };
    let registry = registry.map(|state| t.with("mirror-registry-away", state.reason));
    MirrorRow { mirror, tone, word, reason: state.map(|state| state.reason), registry }
}

/// A name and a password to keep.
#[derive(Deserialize)]
pub struct CredentialForm {
    csrf: String,
    host: String,
    username: String,
    password: String,
}

/// A host that something is not said about any more.
#[derive(Debug, Deserialize)]
pub struct HostForm {
    csrf: String,
    host: String,
}

/// What to say about a registry.
#[derive(Debug, Deserialize)]
pub struct RuleForm {
    csrf: String,
    host: String,
    #[serde(default)]
    plain_http: bool,
    #[serde(default)]
    teams_may: bool,
    #[serde(default)]
    ca_pem: String,
}

/// A mirror to add, or to change.
#[derive(Debug, Deserialize)]
pub struct MirrorForm {
    csrf: String,
    host: String,
    url: String,
    #[serde(default)]
    position: i64,
    #[serde(default)]
    enabled: bool,
}

/// A mirror to go.
#[derive(Debug, Deserialize)]
pub struct MirrorGone {
    csrf: String,
    mirror: i64,
}

/// `POST /registries/credentials`: they are sealed and never shown.
pub async fn put_credential(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<CredentialForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Create, _>(&reader.caller, RegistryCredentials).map_err(|e| reader.refuse(e))?;
    let (host, username) = (form.host.trim(), form.username.trim());
    match registries::put_credential(&app, target, host, username, &form.password).await {
        Ok(()) => {
            Ok(reader.back(PLACE, "ok", &reader.t.with2("credential-kept", host.to_owned(), username.to_owned())))
        }
        Err(error) => Ok(reader.back_with(PLACE, &error)),
    }
}

/// `POST /registries/credentials/remove`.
pub async fn remove_credential(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<HostForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Remove, _>(&reader.caller, RegistryCredentials).map_err(|e| reader.refuse(e))?;
    let done = registries::remove_credential(&app, target, &form.host).await;
    Ok(done.map_or_else(|e| reader.back_with(PLACE, &e), |()| removed(&reader, &form.host)))
}

/// `POST /registries/rules`.
pub async fn put_rule(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<RuleForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().instance::<Create, _>(&reader.caller, Registries).map_err(|e| reader.refuse(e))?;
    let ca_pem = Some(form.ca_pem.trim().to_owned()).filter(|pem| !pem.is_empty());
    let host = form.host.trim().to_owned();
    let registry = Registry { host, plain_http: form.plain_http, ca_pem, teams_may: form.teams_may };
    let done = registries::put(&app, target, &registry).await;
    Ok(done.map_or_else(|e| reader.back_with(PLACE, &e), |()| reader.back(PLACE, "ok", &reader.t.get("saved"))))
}

/// `POST /registries/rules/remove`.
pub async fn remove_rule(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<HostForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().instance::<Remove, _>(&reader.caller, Registries).map_err(|e| reader.refuse(e))?;
    let done = registries::remove(&app, target, &form.host).await;
    Ok(done.map_or_else(|e| reader.back_with(PLACE, &e), |()| removed(&reader, &form.host)))
}

/// `POST /registries/mirrors`.
pub async fn put_mirror(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<MirrorForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().instance::<Create, _>(&reader.caller, Mirrors).map_err(|e| reader.refuse(e))?;
    let form = form.into_inner();
    let (upstream, url) = (form.host.trim().to_owned(), form.url.trim().to_owned());
    let mirror = Mirror { id: 0, upstream, url, position: form.position, enabled: form.enabled };
    let done = registries::put_mirror(&app, target, &mirror).await;
    Ok(done.map_or_else(|e| reader.back_with(PLACE, &e), |_| reader.back(PLACE, "ok", &reader.t.get("saved"))))
}

/// `POST /registries/mirrors/remove`.
pub async fn remove_mirror(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<MirrorGone>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().instance::<Remove, _>(&reader.caller, Mirrors).map_err(|e| reader.refuse(e))?;
    let done = registries::remove_mirror(&app, target, form.mirror).await;
    let words = reader.t.get("mirror-removed");
    Ok(done.map_or_else(|e| reader.back_with(PLACE, &e), |()| reader.back(PLACE, "ok", &words)))
}

fn removed(reader: &Reader, what: &str) -> HttpResponse {
    reader.back(PLACE, "ok", &reader.t.with("removed", what.to_owned()))
}
