//! What happens to images, told as Docker tells it. Source: moby daemon/images (ids, names and their order), LogImageEvent.

use std::collections::BTreeMap;

use sampan_engine::events::Action;
use sampan_engine::images::Removed;
use sampan_engine::owner::Owner;
use sampan_engine::reference::ImageReference;

use crate::app::App;

/// Tells that something happened to an image, with its labels; one that is gone has none.
pub(super) async fn tell(app: &App, owner: &Owner, action: Action, id: &str, name: &str) {
    let found = app.engine.images().find(owner, id).await;
    let mut attributes = found.map(|image| image.configuration.config.labels).unwrap_or_default();
    attributes.insert("name".to_owned(), name.to_owned());
    app.engine.tell_image(owner, action, id, attributes);
}

/// The same of what came or went under a reference: that is the id then. Of all tags it is the name alone.
pub(super) async fn tell_moved(app: &App, owner: &Owner, action: Action, reference: &ImageReference, all: bool) {
    let name = reference.familiar_name();
    let id = if all { name.clone() } else { reference.familiar() };
    tell(app, owner, action, &id, &name).await;
}

/// Tells of names that were taken and images that went. `id`: of the image whose names they were, unless its own end
/// follows.
pub(super) fn tell_removed(app: &App, owner: &Owner, id: &str, removed: &[Removed]) {
    let named = |id: &str| BTreeMap::from([("name".to_owned(), id.to_owned())]);
    let mut untagged = 0;
    let untag = |count: usize, id: &str| {
        for _ in 0..count {
            app.engine.tell_image(owner, Action::Untag, id, named(id));
        }
    };
    for one in removed {
        match one {
            Removed::Untagged(_) => untagged += 1,
            Removed::Deleted(id) => {
                let id = id.to_string();
                untag(std::mem::take(&mut untagged), &id);
                app.engine.tell_image(owner, Action::Delete, &id, named(&id));
            }
        }
    }
    untag(untagged, id);
}

/// Tells of a prune and what it took.
pub(super) fn tell_pruned(app: &App, owner: &Owner, removed: &[Removed], reclaimed_bytes: u64) {
    tell_removed(app, owner, "", removed);
    let reclaimed = BTreeMap::from([("reclaimed".to_owned(), reclaimed_bytes.to_string())]);
    app.engine.tell_image(owner, Action::Prune, "", reclaimed);
}
