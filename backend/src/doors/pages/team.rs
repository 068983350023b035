//! `GET /team`: members and roles, granted host folders, one's own tokens, the audit trail; and the forms of that page.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::reader::Reader;
use super::words::{clock, duration, now_ns};
use crate::app::App;
use crate::auth::{Role, Scopes, session};
use crate::policy::action::{Create, List, Remove};
use crate::policy::{AuditTrail, Folders, Members};
use crate::service;

/// Rows of the audit trail.
const ENTRIES: u32 = 30;

/// A form with nothing but a button.
#[derive(Debug, Deserialize)]
pub struct Plain {
    pub(super) csrf: String,
}

/// Another team in view.
#[derive(Debug, Deserialize)]
pub struct Switch {
    csrf: String,
    team: String,
}

/// A member to be, or to go.
#[derive(Debug, Deserialize)]
pub struct MemberForm {
    csrf: String,
    user: String,
    role: Option<Role>,
}

/// A host folder to be granted, or not any more.
#[derive(Debug, Deserialize)]
pub struct FolderForm {
    csrf: String,
    path: String,
    #[serde(default)]
    read_only: bool,
}

/// A token to be.
#[derive(Debug, Deserialize)]
pub struct TokenForm {
    csrf: String,
    name: String,
}

/// A token to go.
#[derive(Debug, Deserialize)]
pub struct RevokeForm {
    csrf: String,
    token: i64,
}

#[derive(Template)]
#[template(path = "team.html")]
struct Page {
    frame: Frame,
    facts: String,
    members: Vec<MemberRow>,
    may_manage: bool,
    folders: Vec<FolderRow>,
    may_grant: bool,
    tokens: Vec<TokenRow>,
    new_token: Option<String>,
    audit: Vec<Entry>,
}

struct MemberRow {
    name: String,
    role: &'static str,
}

struct FolderRow {
    path: String,
    access: String,
}

struct TokenRow {
    id: i64,
    name: String,
    prefix: String,
    last_used: String,
}

struct Entry {
    clock: String,
    actor: String,
    action: String,
    target: String,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader) -> Result<HttpResponse, PageError> {
    page(&app, &reader, None).await
}

async fn page(app: &App, reader: &Reader, new_token: Option<String>) -> Result<HttpResponse, PageError> {
    let (t, now) = (reader.t, now_ns());
    let frame = reader.frame(app, "team").await.map_err(|e| reader.refuse(e))?;
    let target = app.policy().members::<List>(&reader.caller, &frame.team).await.map_err(|e| reader.refuse(e))?;
    let members = service::members::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let target = app.policy().folders::<List>(&reader.caller, &frame.team).await.map_err(|e| reader.refuse(e))?;
    let folders = service::folders::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let may_grant = app.policy().folders::<Create>(&reader.caller, &frame.team).await.is_ok();
    let target = app.policy().own_tokens::<List>(&reader.caller).map_err(|e| reader.refuse(e))?;
    let tokens = service::tokens::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let may_manage = app.policy().members::<Create>(&reader.caller, &frame.team).await.is_ok();
    // Only an owner may read the trail; for others the page is whole without it.
    let audit = match app.policy().team::<List, _>(&reader.caller, AuditTrail) {
        Ok(target) => service::audit::list(app, &target, None, ENTRIES).await.map_err(|e| reader.refuse(e))?.entries,
        Err(_) => Vec::new(),
    };
    let range = reader.caller.team().map(|team| team.owner.base_id).unwrap_or_default();
    let last_used = |at: Option<i64>| match at {
        Some(at) => t.with("token-used", duration(t, now - at)),
        None => t.get("token-never-used"),
    };
    reader.page(&Page {
        facts: t.with2("team-facts", range.to_string(), (range + 65_535).to_string()),
        members: members
            .into_iter()
            .map(|member| MemberRow { name: member.user_name, role: member.role.as_str() })
            .collect(),
        may_manage,
        folders: folders
            .into_iter()
            .map(|folder| FolderRow {
                path: folder.path,
                access: t.get(if folder.read_only { "folder-read-only" } else { "folder-writable" }),
            })
            .collect(),
        may_grant,
        tokens: tokens
            .into_iter()
            .filter(|token| token.team_name == frame.team)
            .map(|token| TokenRow {
                id: token.id,
                name: token.name,
                prefix: token.prefix,
                last_used: last_used(token.last_used_at),
            })
            .collect(),
        new_token,
        audit: audit
            .into_iter()
            .map(|entry| Entry {
                clock: clock(entry.at),
                actor: entry.actor,
                action: format!("{} {}", entry.action, entry.noun),
                target: entry.target,
            })
            .collect(),
        frame,
    })
}

/// `POST /team/switch`: puts another of the reader's teams in view.
pub async fn switch(app: web::Data<App>, reader: Reader, form: web::Form<Switch>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    session::switch_team(&app, &reader.cookie, &reader.session, &form.team).await.map_err(|e| reader.refuse(e))?;
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
}

/// `POST /team/members`.
pub async fn add_member(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<MemberForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = members::<Create>(&app, &reader).await?;
    let role = form.role.unwrap_or(Role::Developer);
    Ok(match service::members::add(&app, target, form.user.trim(), role).await {
        Ok(()) => reader.back("/team", "ok", &reader.t.with("member-added", form.user.clone())),
        Err(error) => reader.back_with("/team", &error),
    })
}

/// `POST /team/members/remove`.
pub async fn remove_member(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<MemberForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = members::<Remove>(&app, &reader).await?;
    Ok(match service::members::remove(&app, target, &form.user).await {
        Ok(()) => reader.back("/team", "ok", &reader.t.with("removed", form.user.clone())),
        Err(error) => reader.back_with("/team", &error),
    })
}

async fn members<A: crate::policy::Action>(
    app: &App,
    reader: &Reader,
) -> Result<crate::policy::Granted<A, Members>, PageError> {
    let team = reader.caller.team().map(|team| team.name.clone()).unwrap_or_default();
    app.policy().members::<A>(&reader.caller, &team).await.map_err(|e| reader.refuse(e))
}

/// `POST /team/folders`: grants the team in view a host folder.
pub async fn grant_folder(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<FolderForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = folders::<Create>(&app, &reader).await?;
    Ok(match service::folders::grant(&app, target, form.path.trim(), form.read_only).await {
        Ok(()) => reader.back("/team", "ok", &reader.t.with("folder-granted", form.path.clone())),
        Err(error) => reader.back_with("/team", &error),
    })
}

/// `POST /team/folders/revoke`.
pub async fn revoke_folder(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<FolderForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = folders::<Remove>(&app, &reader).await?;
    Ok(match service::folders::revoke(&app, target, &form.path).await {
        Ok(()) => reader.back("/team", "ok", &reader.t.with("folder-revoked", form.path.clone())),
        Err(error) => reader.back_with("/team", &error),
    })
}

async fn folders<A: crate::policy::Action>(
    app: &App,
    reader: &Reader,
) -> Result<crate::policy::Granted<A, Folders>, PageError> {
    let team = reader.caller.team().map(|team| team.name.clone()).unwrap_or_default();
    app.policy().folders::<A>(&reader.caller, &team).await.map_err(|e| reader.refuse(e))
}

/// `POST /team/tokens`: makes one with the reader's whole role; its text is shown this once.
pub async fn new_token(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<TokenForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().own_tokens::<Create>(&reader.caller).map_err(|e| reader.refuse(e))?;
    match service::tokens::create(&app, target, form.name.trim(), Scopes::ALL, None).await {
        Ok(issued) => page(&app, &reader, Some(issued.token.expose().to_owned())).await,
        Err(error) => Ok(reader.back_with("/team", &error)),
    }
}

/// `POST /team/tokens/revoke`.
pub async fn revoke_token(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<RevokeForm>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().token::<Remove>(&reader.caller, form.token).await.map_err(|e| reader.refuse(e))?;
    service::tokens::remove(&app, target).await.map_err(|e| reader.refuse(e))?;
    Ok(reader.back("/team", "ok", &reader.t.get("revoked")))
}
