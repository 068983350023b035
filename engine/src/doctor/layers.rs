//! Layers and merged indexes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::origins::Asked;
use super::{DoctorError, Finding, Outcome, Part, Patient, Report};
use crate::digest::Digest;
use crate::layers::{LayerDamage, LayerStore};

/// Layers that are read at the same time.
const AT_ONCE: usize = 2;
const AGAIN: &str = "load or pull an image that has it again";

/// Reads every layer, made anew beside the old one, and then every merged index.
pub(super) async fn examine(patient: &Patient, report: &mut Report) -> Result<(), DoctorError> {
    let wanted: BTreeSet<Digest> = patient.images.iter().flat_map(|image| image.diff_ids.clone()).collect();
    let present = patient.layers.list()?;
    report.layers = present.len();
    let all: BTreeSet<Digest> = wanted.union(&present).copied().collect();
    let looked = stream::iter(all).map(|diff_id| look(patient.layers.clone(), diff_id)).buffer_unordered(AT_ONCE);
    let damaged: BTreeMap<Digest, Vec<LayerDamage>> = looked.try_collect().await?;
    for (diff_id, damages) in damaged.into_iter().filter(|(_, damages)| !damages.is_empty()) {
        report.findings.push(mend(patient, &diff_id, &damages).await?);
    }
    let torn = |report: &Report, diff_id: &Digest| {
        let name = diff_id.to_string();
        report.findings.iter().any(|one| one.name == name && !one.outcome.is_right())
    };
    for image in &patient.images {
        if !image.diff_ids.iter().any(|diff_id| torn(report, diff_id)) {
            report.findings.extend(look_at_root(patient, &image.diff_ids)?);
        }
    }
    Ok(())
}

async fn look(layers: LayerStore, diff_id: Digest) -> Result<(Digest, Vec<LayerDamage>), DoctorError> {
    let found = tokio::task::spawn_blocking(move || layers.verify(&diff_id)).await??;
    Ok((diff_id, found))
}

async fn mend(patient: &Patient, diff_id: &Digest, damages: &[LayerDamage]) -> Result<Finding, DoctorError> {
    let users = patient.users(diff_id, |image| image.diff_ids.contains(diff_id));
    let tar = damages.iter().find_map(|damage| match damage {
        LayerDamage::Tar(why) => Some(why.clone()),
        LayerDamage::Derived(_) => None,
    });
    let (damage, outcome) = match (tar, patient.repair) {
        (Some(why), false) => {
            let from = patient.origins.of_layer(diff_id);
            (why, from.map_or(Outcome::Left(AGAIN), Outcome::Fetchable))
        }
        (Some(why), true) => (why, bring(patient, diff_id).await?),
        (None, repair) => {
            let files = damages.iter().filter_map(|damage| match damage {
                LayerDamage::Derived(name) => Some(*name),
                LayerDamage::Tar(_) => None,
            });
            let damage = format!("{} differs from what the tar makes", files.collect::<Vec<_>>().join(", "));
            if repair {
                patient.layers.rebuild(diff_id)?;
            }
            (damage, if repair { Outcome::Repaired } else { Outcome::Repairable })
        }
    };
    Ok(Finding { part: Part::Layer, name: diff_id.to_string(), damage, users, outcome })
}

/// From where it came; else it is taken out of the store, so that it can come again.
async fn bring(patient: &Patient, diff_id: &Digest) -> Result<Outcome, DoctorError> {
    let said = match patient.origins.bring_layer(diff_id).await? {
        Asked::Brought(from) => return Ok(Outcome::Fetched(from)),
        Asked::Refused(said) => said.map(|said| format!(" ({said})")).unwrap_or_default(),
    };
    patient.layers.set_aside(diff_id)?;
    super::blobs::forget(patient, diff_id).await?;
    Ok(Outcome::SetAside(format!("{AGAIN}{said}")))
}

fn look_at_root(patient: &Patient, diff_ids: &[Digest]) -> Result<Option<Finding>, DoctorError> {
    if patient.layers.verify_root(diff_ids)? {
        return Ok(None);
    }
    if patient.repair {
        patient.layers.remove_root(diff_ids)?;
    }
    let name = crate::layers::chain_id(diff_ids).map(|chain_id| chain_id.to_string()).unwrap_or_default();
    Ok(Some(Finding {
        part: Part::Index,
        name,
        damage: "it differs from what the layers make".to_owned(),
        users: users_of_root(patient, diff_ids),
        outcome: if patient.repair { Outcome::Repaired } else { Outcome::Repairable },
    }))
}

fn users_of_root(patient: &Patient, diff_ids: &[Digest]) -> Vec<String> {
    let users = patient.images.iter().filter(|image| image.diff_ids == diff_ids).map(|image| image.shown.clone());
    users.collect::<BTreeSet<String>>().into_iter().collect()
}
