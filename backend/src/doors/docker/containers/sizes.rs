//! The space of a container, where a client asks for it.

use sampan_engine::containers::Container;
use sampan_engine::volumes::Usage;

use super::names::ImageNames;
use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::policy::action::View;
use crate::service;

/// Its writable layer, and the bytes of its image.
///
/// # Errors
/// As the services.
pub async fn of(
    app: &App,
    caller: &Caller,
    container: &Container,
    names: &ImageNames,
) -> Result<(Usage, u64), DockerError> {
    let target = app.policy().container::<View>(caller, &container.id)?;
    let usage = service::containers::usage(app, &target).await?;
    Ok((usage, names.size_of(&container.image_id)))
}
