//! Blobs by their digest.

use super::{DoctorError, Finding, Outcome, Part, Patient, Report};
use crate::digest::Digest;

/// Reads every blob. A configuration is also in its image's row, and is put back from there.
pub(super) async fn examine(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    let content = patient.content.clone();
    let (present, damaged) = tokio::task::spawn_blocking(move || {
        let present = content.list()?;
        let mut damaged = Vec::new();
        for digest in &present {
            if let Some(damage) = content.verify(digest)? {
                damaged.push((*digest, damage));
            }
        }
        Ok::<_, DoctorError>((present, damaged))
    })
    .await??;
    report.blobs = present.len();
    for (digest, damage) in damaged {
        let outcome = mend(patient, &digest)?;
        report.findings.push(finding(patient, &digest, damage, outcome));
    }
    for image in &patient.images {
        if present.contains(&image.id) || report.findings.iter().any(|one| one.name == image.id.to_string()) {
            continue;
        }
        let outcome = mend(patient, &image.id)?;
        report.findings.push(finding(patient, &image.id, "it is not there".to_owned(), outcome));
    }
    Ok(())
}

fn finding(patient: &Patient, digest: &Digest, damage: String, outcome: Outcome) -> Finding {
    let users = patient.users(|image| image.id == *digest);
    Finding { part: Part::Blob, name: digest.to_string(), damage, users, outcome }
}

fn mend(patient: &Patient, digest: &Digest) -> Result<Outcome, DoctorError> {
    let row = patient.images.iter().find(|image| image.id == *digest);
    if !patient.repair {
        return Ok(match row {
            Some(_) => Outcome::Repairable,
            None => Outcome::Left("`sampan doctor --repair` takes it out of the store"),
        });
    }
    patient.content.remove(digest)?;
    match row {
        Some(image) => {
            patient.content.put(image.config.as_bytes())?;
            Ok(Outcome::Repaired)
        }
        None => Ok(Outcome::SetAside("pull or push what needs it again")),
    }
}
