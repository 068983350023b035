//! Blobs by their digest: those that are there, and those that something says are there.

use std::collections::{BTreeMap, BTreeSet};

use super::origins::Asked;
use super::{DoctorError, Finding, Outcome, Part, Patient, Report};
use crate::digest::Digest;
use crate::store::registry::examine as rows;

/// What a blob that is damaged was, which says how it comes back.
enum Kind<'a> {
    /// Also in its image's row.
    Configuration(&'a str),
    /// The team's images are known by it elsewhere.
    Document,
    /// Pushed to the registry, by somebody who has it still; whether it is a manifest.
    Pushed(bool),
    /// Nothing names it.
    Unknown,
}

/// Reads every blob, and looks for those that are not there.
pub(super) async fn examine(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    let content = patient.content.clone();
    let (present, mut damaged) = tokio::task::spawn_blocking(move || {
        let present = content.list()?;
        let mut damaged = BTreeMap::new();
        for digest in &present {
            if let Some(damage) = content.verify(digest)? {
                damaged.insert(*digest, damage);
            }
        }
        Ok::<_, DoctorError>((present, damaged))
    })
    .await??;
    report.blobs = present.len();
    for digest in needed(patient) {
        if !present.contains(&digest) && !patient.content.contains(&digest) {
            damaged.insert(digest, "it is not there".to_owned());
        }
    }
    for (digest, damage) in damaged {
        let users = patient.users(&digest, |image| image.id == digest || patient.origins.is_of(&digest, &image.id));
        let outcome = mend(patient, &digest).await?;
        report.findings.push(Finding { part: Part::Blob, name: digest.to_string(), damage, users, outcome });
    }
    Ok(())
}

/// All that rows say is there. The bytes of a pushed blob may be a layer's tar.
fn needed(patient: &Patient) -> BTreeSet<Digest> {
    let images = patient.images.iter().map(|image| image.id);
    let pushed = patient.shelves.blobs.iter().filter_map(|row| row.digest.parse().ok());
    let pushed = pushed.filter(|digest| !patient.layers.has_tar(digest));
    let manifests = patient.shelves.manifests.iter().filter_map(|row| row.digest.parse().ok());
    images.chain(patient.origins.documents()).chain(pushed).chain(manifests).collect()
}

fn kind<'a>(patient: &'a Patient, digest: &Digest) -> Kind<'a> {
    if let Some(image) = patient.images.iter().find(|image| image.id == *digest) {
        return Kind::Configuration(&image.config);
    }
    let text = digest.to_string();
    let is_manifest = patient.shelves.manifests.iter().any(|row| row.digest == text);
    match patient.origins.of_document(digest) {
        Some(_) => Kind::Document,
        None if is_manifest || patient.shelves.blobs.iter().any(|row| row.digest == text) => Kind::Pushed(is_manifest),
        None => Kind::Unknown,
    }
}

async fn mend(patient: &Patient, digest: &Digest) -> Result<Outcome, DoctorError> {
    let kind = kind(patient, digest);
    if !patient.repair {
        return Ok(match kind {
            Kind::Configuration(_) => Outcome::Repairable,
            Kind::Document => Outcome::Fetchable(patient.origins.of_document(digest).unwrap_or_default()),
            Kind::Pushed(_) | Kind::Unknown => Outcome::Left(
                "`sampan doctor --repair` fetches it again where it is known, else takes it out of the store",
            ),
        });
    }
    patient.content.remove(digest)?;
    let asked = match kind {
        Kind::Configuration(config) => {
            patient.content.put(config.as_bytes())?;
            return Ok(Outcome::Repaired);
        }
        Kind::Document => patient.origins.bring_document(digest).await?,
        Kind::Pushed(false) => patient.origins.bring_blob(digest).await?,
        Kind::Pushed(true) | Kind::Unknown => Asked::Refused(None),
    };
    let said = match asked {
        Asked::Brought(from) => return Ok(Outcome::Fetched(from)),
        Asked::Refused(said) => said.map(|said| format!(" ({said})")).unwrap_or_default(),
    };
    Ok(match kind {
        Kind::Pushed(is_manifest) => {
            if !is_manifest {
                // A client that asks whether it is there is told no, and sends it.
                forget(patient, digest).await?;
            }
            Outcome::SetAside(format!("push what needs it again{said}"))
        }
        _ => Outcome::SetAside(format!("pull or push what needs it again{said}")),
    })
}

/// No repository has it any more, so that it is sent again.
pub(super) async fn forget(patient: &Patient, digest: &Digest) -> Result<(), DoctorError> {
    let mut connection = patient.pool.acquire().await?;
    Ok(rows::forget_blob(&mut connection, &digest.to_string()).await?)
}
