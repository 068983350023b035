//! The audit trail of the team.

use actix_web::get;
use actix_web::web::{Data, Json, Query};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::page::{self, Page, PageQuery};
use super::super::{Answer, Known, Problems, times};
use crate::accounts::AuditEntry;
use crate::app::App;
use crate::policy::AuditTrail;
use crate::service::audit;

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// RFC 3339
    at: String,
    /// Who
    actor: String,
    /// Through which door
    door: String,
    /// What
    action: String,
    /// To what kind of thing
    noun: String,
    /// To which
    target: String,
    /// More about it
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: times::text(entry.at),
            actor: entry.actor,
            door: entry.door,
            action: entry.action,
            noun: entry.noun,
            target: entry.target,
            details: serde_json::from_str(&entry.details).unwrap_or(serde_json::Value::Null),
        }
    }
}

/// What was done in the team, newest first
#[utoipa::path(tag = "people", params(PageQuery),
    responses((status = 200, description = "A page of it", body = Page<AuditView>), Problems))]
#[get("/audit")]
pub async fn list(app: Data<App>, known: Known, query: Query<PageQuery>) -> Answer<Json<Page<AuditView>>> {
    let limit = page::limit(query.limit)?;
    let before: Option<i64> = page::read(query.cursor.as_deref())?;
    let target = app.policy().team(&known.0, AuditTrail)?;
    let found = audit::list(&app, &target, before, limit).await?;
    let next = found.next.map(|id| page::write(&id));
    Ok(Json(Page { items: found.entries.into_iter().map(AuditView::from).collect(), next }))
}
