//! Uploads that nobody goes on with, and files and rows that lack each other.
//!
//! A server takes them away by itself, at its start and once a day; what is found here was left where none has run.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{DoctorError, Finding, Outcome, Part, Patient, Report};
use crate::clock::now_ns;
use crate::store::registry::uploads;

/// Longer than a server lets one lie: what is younger may be somebody's work.
const GRACE: Duration = Duration::from_secs(2 * 86_400);

pub(super) async fn examine(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    let mut left: BTreeMap<String, &str> = BTreeMap::new();
    let long_ago = now_ns() - i64::try_from(GRACE.as_nanos()).unwrap_or(i64::MAX);
    let rows: BTreeMap<String, i64> = uploads::all(&patient.pool).await?.into_iter().collect();
    let folder = patient.content.uploads();
    let mut files = BTreeMap::new();
    match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        listing => {
            for entry in listing.map_err(DoctorError::Upload)? {
                let entry = entry.map_err(DoctorError::Upload)?;
                let written = entry.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(entry.file_name().to_string_lossy().into_owned(), written);
            }
        }
    }
    for (name, written) in &files {
        if written.elapsed().unwrap_or_default() > GRACE {
            let damage = if rows.contains_key(name) { "nobody goes on with it" } else { "its file has no row" };
            left.insert(name.clone(), damage);
        }
    }
    for (name, started_at) in &rows {
        if !files.contains_key(name) && *started_at < long_ago {
            left.insert(name.clone(), "its row has no file");
        }
    }
    for (name, damage) in left {
        if patient.repair {
            let mut connection = patient.pool.acquire().await?;
            uploads::delete(&mut connection, &name).await?;
            match std::fs::remove_file(folder.join(&name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(DoctorError::Upload(error)),
                _ => {}
            }
        }
        report.findings.push(Finding {
            part: Part::Upload,
            name,
            damage: damage.to_owned(),
            users: Vec::new(),
            outcome: if patient.repair { Outcome::Repaired } else { Outcome::Repairable },
        });
    }
    Ok(())
}
