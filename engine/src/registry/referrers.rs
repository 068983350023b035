//! What is about a manifest: signatures, lists of materials, attestations. Spec: distribution-spec, "Listing Referrers".

use serde_json::{Map, Value, json};

use super::{INDEX, Registry, RegistryError, Repository};
use crate::digest::Digest;
use crate::store::registry::manifests::{self as rows, ManifestRow};

/// Most descriptors of one page.
const PAGE: usize = 500;

/// One page of referrers.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrers {
    /// An OCI image index.
    pub index: Value,
    /// Give it as `after` for the next page; `None`: there is no more.
    pub next: Option<String>,
}

impl Registry {
    /// Manifests of the repository whose subject is `subject`, of one artifact type or of any, behind the digest `after`.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: &str,
    ) -> Result<Referrers, RegistryError> {
        let subject = subject.to_string();
        let most = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
        let mut found = rows::referrers(&self.shared.read, repository.id, &subject, artifact_type, after, most).await?;
        let more = found.len() > PAGE;
        found.truncate(PAGE);
        let next = found.last().filter(|_| more).map(|row| row.digest.clone());
        let manifests: Vec<Value> = found.into_iter().map(descriptor).collect();
        Ok(Referrers { index: json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }), next })
    }
}

fn descriptor(row: ManifestRow) -> Value {
    let mut descriptor = json!({ "mediaType": row.media_type, "digest": row.digest, "size": row.size });
    if let Some(artifact_type) = row.artifact_type {
        descriptor["artifactType"] = artifact_type.into();
    }
    match serde_json::from_str::<Map<String, Value>>(&row.annotations) {
        Ok(annotations) if !annotations.is_empty() => descriptor["annotations"] = annotations.into(),
        _ => {}
    }
    descriptor
}
