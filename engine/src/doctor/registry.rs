//! The registry's records against the bytes they are about: manifests and what they need, sizes, tags.
//!
//! What a record says besides names, times and who pushed follows from the manifest's own bytes, and is made from them
//! anew. What a manifest is about (`subject`) need not be there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::json;
use sqlx::SqlitePool;

use super::{DoctorError, Finding, Outcome, Part, Patient, Report};
use crate::digest::Digest;
use crate::registry::{Checked, MANIFEST_BYTES, cached, check};
use crate::store::registry::examine::{self as rows, AnyBlobRow, AnyLinkRow, AnyManifestRow};
use crate::store::registry::{manifests, tags};

const AGAIN: &str = "push what needs it again, or delete that";

/// All rows of the registry.
pub(super) struct Shelves {
    pub manifests: Vec<AnyManifestRow>,
    pub blobs: Vec<AnyBlobRow>,
    links: HashMap<(i64, String), BTreeSet<(String, String)>>,
    /// What a digest is needed by: manifests.
    parents: HashMap<String, Vec<(i64, String)>>,
    /// Names of a manifest: `team/name:tag`, or `team/name@digest` where it has no tag.
    names: HashMap<(i64, String), Vec<String>>,
}

impl Shelves {
    pub async fn load(pool: &SqlitePool) -> Result<Self, DoctorError> {
        let (manifests, blobs) = (rows::manifests(pool).await?, rows::blobs(pool).await?);
        let (mut links, mut parents) = (HashMap::<_, BTreeSet<_>>::new(), HashMap::<_, Vec<_>>::new());
        for AnyLinkRow { repository_id, parent, child, kind } in rows::links(pool).await? {
            parents.entry(child.clone()).or_default().push((repository_id, parent.clone()));
            links.entry((repository_id, parent)).or_default().insert((kind, child));
        }
        let names = manifests.iter().map(|row| ((row.repository_id, row.digest.clone()), names(row))).collect();
        Ok(Self { manifests, blobs, links, parents, names })
    }

    /// Names that lead to a manifest or a blob, by themselves or by an index.
    pub fn users(&self, digest: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        let mut seen: HashSet<(i64, &str)> = HashSet::new();
        let own = self.manifests.iter().filter(|row| row.digest == digest).map(|row| (row.repository_id, digest));
        let parents = self.parents.get(digest).into_iter().flatten().map(|(id, parent)| (*id, parent.as_str()));
        let mut waiting: Vec<(i64, &str)> = own.chain(parents).collect();
        while let Some((id, manifest)) = waiting.pop() {
            if seen.insert((id, manifest)) {
                found.extend(self.names.get(&(id, manifest.to_owned())).into_iter().flatten().cloned());
                let above = self.parents.get(manifest).into_iter().flatten();
                waiting.extend(above.filter(|(other, _)| *other == id).map(|(id, parent)| (*id, parent.as_str())));
            }
        }
        found.into_iter().collect()
    }
}

fn names(row: &AnyManifestRow) -> Vec<String> {
    let tags: Vec<String> = serde_json::from_str(&row.tags).unwrap_or_default();
    match tags.is_empty() {
        true => vec![format!("{}@{}", row.repository, row.digest)],
        false => tags.iter().map(|tag| format!("{}:{tag}", row.repository)).collect(),
    }
}

/// Compares every record with its bytes, and looks for what a manifest needs and its repository lacks.
pub(super) async fn examine(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    let blobs = examine_blobs(patient, report).await?;
    let present: HashSet<(i64, &str)> =
        patient.shelves.manifests.iter().map(|row| (row.repository_id, row.digest.as_str())).collect();
    for row in &patient.shelves.manifests {
        // One whose bytes are damaged is named among the blobs.
        let Ok(digest) = row.digest.parse::<Digest>() else { continue };
        let Ok(bytes) = patient.content.read_blob(&digest, MANIFEST_BYTES as u64) else { continue };
        let finding = |damage: String, outcome| Finding {
            part: Part::Manifest,
            name: row.digest.clone(),
            damage,
            users: names(row),
            outcome,
        };
        let Some((kind, checked)) = read(&row.media_type, &bytes) else {
            let damage = "its bytes are no manifest that is taken here".to_owned();
            report.findings.push(finding(damage, Outcome::Left(AGAIN)));
            continue;
        };
        let wanted = record(row, kind, &checked, bytes.len());
        let links = links(&checked);
        let known = patient.shelves.links.get(&(row.repository_id, row.digest.clone())).cloned().unwrap_or_default();
        if !is_same(row, &wanted) || links != known {
            if patient.repair {
                correct(patient, &wanted, &links).await?;
            }
            let outcome = if patient.repair { Outcome::Repaired } else { Outcome::Repairable };
            report.findings.push(finding("its record is not what its bytes say".to_owned(), outcome));
        }
        // What the cache lacks comes when somebody asks for it.
        let fills = row.repository.split_once('/').is_some_and(|(_, name)| cached(name).is_some());
        for (kind, child) in &links {
            let there = match kind.as_str() {
                "blob" => blobs.contains(&(row.repository_id, child.as_str())),
                _ => present.contains(&(row.repository_id, child.as_str())),
            };
            if !there && !fills {
                let damage = format!("it needs the {kind} {child}, which is not in its repository");
                report.findings.push(finding(damage, Outcome::Left(AGAIN)));
            }
        }
    }
    examine_tags(patient, report).await
}

/// Sizes. Gives the blobs that each repository has.
async fn examine_blobs<'a>(patient: &'a Patient, report: &mut Report) -> Result<HashSet<(i64, &'a str)>, DoctorError> {
    let mut sizes: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for row in &patient.shelves.blobs {
        let size = *sizes.entry(&row.digest).or_insert_with(|| size_of(patient, &row.digest));
        // One that is not there is named among the blobs.
        let Some(found) = size.filter(|found| *found != row.size.unsigned_abs()) else { continue };
        if patient.repair {
            let mut connection = patient.pool.acquire().await?;
            let found = i64::try_from(found).unwrap_or(i64::MAX);
            rows::correct_size(&mut connection, row.repository_id, &row.digest, found).await?;
        }
        report.findings.push(Finding {
            part: Part::Blob,
            name: row.digest.clone(),
            damage: format!("{} says that it has {} bytes, and it has {found}", row.repository, row.size),
            users: patient.shelves.users(&row.digest),
            outcome: if patient.repair { Outcome::Repaired } else { Outcome::Repairable },
        });
    }
    Ok(patient.shelves.blobs.iter().map(|row| (row.repository_id, row.digest.as_str())).collect())
}

/// Of bytes that are right.
fn size_of(patient: &Patient, digest: &str) -> Option<u64> {
    let digest: Digest = digest.parse().ok()?;
    let file = patient.content.open_blob(&digest).ok().or_else(|| patient.layers.tar(&digest).ok())?;
    file.metadata().ok().map(|found| found.len())
}

/// Tags whose manifest has no row: nothing but damage makes them.
async fn examine_tags(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    for row in rows::dangling_tags(&patient.pool).await? {
        let outcome = if patient.repair {
            let mut connection = patient.pool.acquire().await?;
            tags::delete(&mut connection, row.repository_id, &row.name).await?;
            Outcome::SetAside("push it again".to_owned())
        } else {
            Outcome::Left("`sampan doctor --repair` takes it away; push it again then")
        };
        report.findings.push(Finding {
            part: Part::Tag,
            name: format!("{}:{}", row.repository, row.name),
            damage: format!("it leads to {}, which is not there", row.digest),
            users: Vec::new(),
            outcome,
        });
    }
    Ok(())
}

/// What the bytes say, by the type that they were pushed as, or by their own.
fn read(media_type: &str, bytes: &[u8]) -> Option<(String, Checked)> {
    let as_pushed = check(Some(media_type), bytes).ok();
    let checked = as_pushed.or_else(|| check(None, bytes).ok())?;
    Some((checked.media_type.clone(), checked))
}

fn record(row: &AnyManifestRow, media_type: String, checked: &Checked, size: usize) -> AnyManifestRow {
    AnyManifestRow {
        media_type,
        size: i64::try_from(size).unwrap_or(i64::MAX),
        artifact_type: checked.artifact_type.clone(),
        subject: checked.subject.map(|subject| subject.to_string()),
        annotations: json!(checked.annotations).to_string(),
        ..row.clone()
    }
}

fn is_same(row: &AnyManifestRow, wanted: &AnyManifestRow) -> bool {
    let parts = |row: &AnyManifestRow| {
        (row.media_type.clone(), row.size, row.artifact_type.clone(), row.subject.clone(), row.annotations.clone())
    };
    parts(row) == parts(wanted)
}

fn links(checked: &Checked) -> BTreeSet<(String, String)> {
    let of = |kind: &str, needed: &[(Digest, u64)]| {
        needed.iter().map(|(digest, _)| (kind.to_owned(), digest.to_string())).collect::<Vec<_>>()
    };
    of("blob", &checked.blobs).into_iter().chain(of("manifest", &checked.manifests)).collect()
}

async fn correct(
    patient: &Patient,
    row: &AnyManifestRow,
    links: &BTreeSet<(String, String)>,
) -> Result<(), DoctorError> {
    let list = |kind: &str| {
        let children: Vec<&String> = links.iter().filter(|(other, _)| other == kind).map(|(_, child)| child).collect();
        json!(children).to_string()
    };
    let mut transaction = patient.pool.begin_with("BEGIN IMMEDIATE").await?;
    rows::correct_manifest(&mut transaction, row).await?;
    manifests::link(&mut transaction, row.repository_id, &row.digest, &list("blob"), &list("manifest")).await?;
    Ok(transaction.commit().await?)
}
