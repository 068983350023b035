//! What images are called now.

use std::collections::HashMap;

use sampan_engine::reference::ImageReference;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::Images;
use crate::policy::action::List;
use crate::service;

/// The team's references and the ids they stand for.
#[derive(Debug, Default)]
pub struct ImageNames {
    /// Whole reference → `sha256:…`.
    by_reference: HashMap<String, String>,
    /// All `sha256:…`, with the size of each.
    sizes: HashMap<String, u64>,
}

/// Reads them once for a whole list.
///
/// # Errors
/// As the service.
pub async fn of_images(app: &App, caller: &Caller) -> Result<ImageNames, DockerError> {
    let target = app.policy().team::<List, _>(caller, Images)?;
    let mut names = ImageNames::default();
    for image in service::images::list(app, &target).await? {
        let id = image.id.to_string();
        names.by_reference.extend(image.tags.iter().map(|tag| (tag.to_string(), id.clone())));
        names.sizes.insert(id, image.size);
    }
    Ok(names)
}

impl ImageNames {
    /// What `list` shows for a container's image: the reference as typed while it still means that image, else the id.
    pub fn shown(&self, typed: &str, id: &str) -> String {
        if self.id_of(typed).as_deref() == Some(id) { typed.to_owned() } else { id.to_owned() }
    }

    /// Id of the image that a reference or an id means.
    pub fn id_of(&self, reference: &str) -> Option<String> {
        let by_reference = reference.parse::<ImageReference>().ok();
        if let Some(id) = by_reference.and_then(|reference| self.by_reference.get(&reference.to_string())) {
            return Some(id.clone());
        }
        let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
        let whole = format!("sha256:{digits}");
        let mut found = self.sizes.keys().filter(|id| !digits.is_empty() && id.starts_with(&whole));
        found.next().filter(|_| found.next().is_none()).cloned()
    }

    /// Bytes of an image's layers; 0 for one that the team has no more.
    pub fn size_of(&self, id: &str) -> u64 {
        self.sizes.get(id).copied().unwrap_or(0)
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }
}
