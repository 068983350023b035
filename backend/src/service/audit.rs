//! The audit trail of a team.

use super::Result;
use crate::accounts::AuditPage;
use crate::app::App;
use crate::policy::action::List;
use crate::policy::{AuditTrail, Granted};

/// Entries of the team, newest first, below `before`.
pub async fn list(app: &App, target: &Granted<List, AuditTrail>, before: Option<i64>, most: u32) -> Result<AuditPage> {
    Ok(app.accounts.audit(Some(target.owner().team_id), before, most).await?)
}
