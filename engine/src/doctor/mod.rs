//! Looks at what images are made of: database, blobs, layers, indexes; names what is damaged and who uses it, and repairs
//! what can be made anew. Not at unpacked layers, which are root's, nor at what belongs to containers and volumes.
//!
//! Examining reads only, and may go on beside a running server. Repairing wants the data root for itself
//! ([`crate::host::claim_alone`]).

mod blobs;
mod database;
mod finding;
mod layers;

use std::path::Path;

use sqlx::SqlitePool;

pub use finding::{DoctorError, Finding, Outcome, Part};

use crate::content::ContentStore;
use crate::digest::Digest;
use crate::layers::LayerStore;
use crate::store::images;

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Images of all teams.
    pub images: usize,
    /// Layers on disk.
    pub layers: usize,
    /// Blobs on disk.
    pub blobs: usize,
    /// What is damaged.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether anything damaged is left.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.outcome == Outcome::Repaired)
    }
}

/// The stores of one data root, and what its rows say about them.
struct Patient {
    content: ContentStore,
    layers: LayerStore,
    images: Vec<Known>,
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

/// Examines a data root whose database is open; `repair`: mends what can be mended.
///
/// # Errors
/// [`DoctorError`] when the examination itself cannot go on; what is damaged is no error but in the report.
pub async fn examine(data_root: &Path, pool: &SqlitePool, repair: bool) -> Result<Report, DoctorError> {
    let mut report = Report::default();
    report.findings.extend(database::examine(pool).await?);
    let images = known(pool, &mut report.findings).await?;
    let patient =
        Patient { content: ContentStore::existing(data_root), layers: LayerStore::existing(data_root), images, repair };
    report.images = patient.images.len();
    blobs::examine(&patient, &mut report).await?;
    layers::examine(&patient, &mut report).await?;
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
    /// The images that have something, by name.
    fn users(&self, has: impl Fn(&Known) -> bool) -> Vec<String> {
        let mut users: Vec<String> =
            self.images.iter().filter(|image| has(image)).map(|image| image.shown.clone()).collect();
        users.sort();
        users.dedup();
        users
    }
}
