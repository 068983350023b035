//! Looks at what images and the registry inside are made of: database, blobs, layers, indexes, manifests, tags, uploads;
//! names what is damaged and who uses it, and repairs what can be made anew or fetched from where it came. Not at unpacked
//! layers, which are root's, nor at what belongs to containers and volumes.
//!
//! Examining reads only, and may go on beside a running server. Repairing wants the data root for itself
//! ([`crate::host::claim_alone`]).

mod blobs;
mod database;
mod finding;
mod layers;
mod origins;
mod registry;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::SqlitePool;

pub use finding::{DoctorError, Finding, Outcome, Part};

use self::origins::Origins;
use self::registry::Shelves;
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::layers::LayerStore;
use crate::store::images;
use crate::upstream::{Credentials, Transport};

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Images of all teams.
    pub images: usize,
    /// Manifests of the registry, of all teams.
    pub manifests: usize,
    /// Layers on disk.
    pub layers: usize,
    /// Blobs on disk.
    pub blobs: usize,
    /// What is damaged.
    pub findings: Vec<Finding>,
}

/// By what other registries are asked for bytes that are damaged here.
#[derive(Debug)]
pub struct Repair {
    /// The way to them.
    pub transport: Transport,
    /// Names of teams (`teams.id`) at registries.
    pub credentials: Vec<(i64, String, Credentials)>,
}

impl Report {
    /// Whether anything damaged is left.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.outcome.is_right())
    }
}

/// The stores of one data root, and what its rows say about them.
struct Patient {
    pool: SqlitePool,
    content: ContentStore,
    layers: LayerStore,
    images: Vec<Known>,
    shelves: Shelves,
    origins: Origins,
    repair: bool,
}

/// An image of some team, by its row.
#[derive(Debug, Clone)]
struct Known {
    id: Digest,
    config: String,
    diff_ids: Vec<Digest>,
    /// Its names, or its id when it has none.
    shown: String,
}

/// Examines a data root whose database is open; with `repair`, mends what can be mended.
///
/// # Errors
/// [`DoctorError`] when the examination itself cannot go on; what is damaged is no error but in the report.
pub async fn examine(data_root: &Path, pool: &SqlitePool, repair: Option<Repair>) -> Result<Report, DoctorError> {
    let mends = repair.is_some();
    let first = examine_once(data_root, pool, repair).await?;
    if mends || first.findings.is_empty() {
        return Ok(first);
    }
    // A server that works beside may have taken away what was looked at: damaged is what stays so.
    let mut second = examine_once(data_root, pool, None).await?;
    let seen =
        |finding: &Finding| first.findings.iter().any(|one| (one.part, &one.name) == (finding.part, &finding.name));
    second.findings.retain(seen);
    Ok(second)
}

async fn examine_once(data_root: &Path, pool: &SqlitePool, repair: Option<Repair>) -> Result<Report, DoctorError> {
    let mut report = Report::default();
    report.findings.extend(database::examine(pool).await?);
    let images = known(pool, &mut report.findings).await?;
    let (content, layers) = (ContentStore::existing(data_root), LayerStore::existing(data_root));
    let shelves = Shelves::load(pool).await?;
    let mends = repair.is_some();
    let origins = Origins::load(pool, &images, repair, (&content, &layers)).await?;
    let pool = pool.clone();
    let patient = Patient { pool, content, layers, images, shelves, origins, repair: mends };
    report.images = patient.images.len();
    report.manifests = patient.shelves.manifests.len();
    blobs::examine(&patient, &mut report).await?;
    layers::examine(&patient, &mut report).await?;
    registry::examine(&patient, &mut report).await?;
    uploads::examine(&patient, &mut report).await?;
    Ok(report)
}

/// Every image of every team. A row that does not read is a finding.
async fn known(pool: &SqlitePool, findings: &mut Vec<Finding>) -> Result<Vec<Known>, DoctorError> {
    let mut found = Vec::new();
    for row in images::all(pool).await? {
        let shown = row.tags.filter(|tags| !tags.is_empty()).unwrap_or_else(|| row.id.clone());
        let id = row.id.parse::<Digest>().ok();
        let diff_ids = serde_json::from_str::<Vec<Digest>>(&row.diff_ids).ok();
        match id.zip(diff_ids).filter(|(id, _)| Digest::of(row.config.as_bytes()) == *id) {
            Some((id, diff_ids)) => found.push(Known { id, config: row.config, diff_ids, shown }),
            None => findings.push(Finding {
                part: Part::Image,
                name: row.id,
                damage: "its record is not what its id says".to_owned(),
                users: vec![shown],
                outcome: Outcome::Left("remove the image and load or pull it again"),
            }),
        }
    }
    Ok(found)
}

impl Patient {
    /// The images that have something, by name, and the registry's names that lead to `digest`.
    fn users(&self, digest: &Digest, has: impl Fn(&Known) -> bool) -> Vec<String> {
        let images = self.images.iter().filter(|image| has(image)).map(|image| image.shown.clone());
        let all: BTreeSet<String> = images.chain(self.shelves.users(&digest.to_string())).collect();
        all.into_iter().collect()
    }
}
