//! The database by SQLite's own examination.

use sqlx::SqlitePool;

use super::{DoctorError, Finding, Outcome, Part};

/// What SQLite finds wrong with its pages, indices and references. Source: sqlite.org/pragma.html.
pub(super) async fn examine(pool: &SqlitePool) -> Result<Vec<Finding>, DoctorError> {
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(pool).await?;
    let mut findings: Vec<Finding> = said.into_iter().filter(|line| line != "ok").map(finding).collect();
    let dangling: Vec<(String, Option<i64>, String, i64)> =
        sqlx::query_as("PRAGMA foreign_key_check").fetch_all(pool).await?;
    findings.extend(
        dangling
            .into_iter()
            .map(|(table, _, parent, _)| finding(format!("a row of {table} names one of {parent} that is not there"))),
    );
    Ok(findings)
}

fn finding(damage: String) -> Finding {
    Finding {
        part: Part::Database,
        name: "sampan.db".to_owned(),
        damage,
        users: Vec::new(),
        outcome: Outcome::Left("put a copy of the data root from before the damage in its place"),
    }
}
