//! Where damaged bytes can be had again: the repositories under whose digests a team got an image or gave it away, and,
//! where no such name is left, those by which its pulls went (the table `fetches`).

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::SqlitePool;

use super::{DoctorError, Known, Repair};
use crate::content::ContentStore;
use crate::digest::Digest;
use crate::images::{ImageError, Origin, Refetch};
use crate::layers::{LayerError, LayerStore};
use crate::reference::ImageReference;
use crate::store::{images, upstream};
use crate::upstream::Rules;

/// Pulls of a team that are remembered as places to ask.
const FETCHES: i64 = 100;

/// All places, and, for a repair, who asks them.
pub(super) struct Origins {
    places: Vec<Origin>,
    /// Kept documents: digest to the images they are of.
    documents: BTreeMap<Digest, Vec<usize>>,
    /// Layers of the images.
    layers: BTreeMap<Digest, Vec<Digest>>,
    refetch: Option<Refetch>,
}

/// What came of asking.
pub(super) enum Asked {
    /// The bytes are right again; who gave them.
    Brought(String),
    /// Nobody did; what the last one said, if anybody was asked.
    Refused(Option<String>),
}

impl Origins {
    pub async fn load(
        pool: &SqlitePool,
        known: &[Known],
        repair: Option<Repair>,
        (content, layers): (&ContentStore, &LayerStore),
    ) -> Result<Self, DoctorError> {
        let mut origins = Self {
            places: Vec::new(),
            documents: BTreeMap::new(),
            layers: known.iter().map(|image| (image.id, image.diff_ids.clone())).collect(),
            refetch: None,
        };
        for (team_id, row) in upstream::all_digests(pool).await? {
            let reference = format!("{}@{}", row.repository, row.manifest).parse::<ImageReference>().ok();
            if let Some((reference, image_id)) = reference.zip(row.image_id.parse().ok()) {
                for digest in [&row.digest, &row.manifest].into_iter().filter_map(|digest| digest.parse().ok()) {
                    origins.documents.entry(digest).or_default().push(origins.places.len());
                }
                origins.places.push(Origin { team_id, reference, image_id });
            }
        }
        origins.add_fetches(pool).await?;
        if let Some(Repair { transport, credentials }) = repair {
            let rules = Arc::new(Rules::load(pool).await?);
            let (content, layers) = (content.clone(), layers.clone());
            origins.refetch = Some(Refetch { transport, rules, credentials, content, layers });
        }
        Ok(origins)
    }

    /// Names by which teams pulled, for images of theirs that no digest leads to: what such a name is by now may be
    /// another image, and then it does not count.
    async fn add_fetches(&mut self, pool: &SqlitePool) -> Result<(), DoctorError> {
        let mut nameless: BTreeMap<i64, Vec<Digest>> = BTreeMap::new();
        for row in images::all(pool).await? {
            let Ok(id) = row.id.parse::<Digest>() else { continue };
            if !self.places.iter().any(|place| place.team_id == row.team_id && place.image_id == id) {
                nameless.entry(row.team_id).or_default().push(id);
            }
        }
        for (team_id, ids) in nameless {
            let mut names: Vec<ImageReference> = Vec::new();
            for row in upstream::fetches(pool, team_id, i64::MAX, FETCHES).await? {
                names.extend(row.reference.parse::<ImageReference>().ok().filter(|name| !names.contains(name)));
            }
            for image_id in ids {
                let place = |reference: &ImageReference| Origin { team_id, reference: reference.clone(), image_id };
                self.places.extend(names.iter().map(place));
            }
        }
        Ok(())
    }

    fn of_images<'a>(&'a self, has: impl Fn(&Digest) -> bool + 'a) -> impl Iterator<Item = &'a Origin> + 'a {
        self.places.iter().filter(move |place| has(&place.image_id))
    }

    fn having<'a>(&'a self, diff_id: &'a Digest) -> impl Iterator<Item = &'a Origin> + 'a {
        self.of_images(move |id| self.layers.get(id).is_some_and(|layers| layers.contains(diff_id)))
    }

    fn keeping<'a>(&'a self, digest: &Digest) -> impl Iterator<Item = &'a Origin> + 'a {
        self.documents.get(digest).into_iter().flatten().filter_map(|place| self.places.get(*place))
    }

    /// Digests of all documents that are kept.
    pub fn documents(&self) -> impl Iterator<Item = Digest> + '_ {
        self.documents.keys().copied()
    }

    /// Whether a document is kept for an image.
    pub fn is_of(&self, digest: &Digest, image_id: &Digest) -> bool {
        self.keeping(digest).any(|origin| origin.image_id == *image_id)
    }

    /// Who would be asked for a document first.
    pub fn of_document(&self, digest: &Digest) -> Option<String> {
        self.keeping(digest).next().map(shown)
    }

    /// Who would be asked for a layer first.
    pub fn of_layer(&self, diff_id: &Digest) -> Option<String> {
        self.having(diff_id).next().map(shown)
    }

    /// Asks for a manifest or an index that was kept, and puts it into the store.
    pub async fn bring_document(&self, digest: &Digest) -> Result<Asked, DoctorError> {
        let Some(refetch) = &self.refetch else { return Ok(Asked::Refused(None)) };
        let mut said = None;
        for origin in self.keeping(digest) {
            match refetch.document(origin, digest).await {
                Ok(bytes) => {
                    refetch.content.put(&bytes)?;
                    return Ok(Asked::Brought(shown(origin)));
                }
                Err(error) => said = Some(crate::sentence(&error)),
            }
        }
        Ok(Asked::Refused(said))
    }

    /// Asks for a blob that is a packed layer or a configuration of some image, and puts it into the store.
    pub async fn bring_blob(&self, digest: &Digest) -> Result<Asked, DoctorError> {
        let Some(refetch) = &self.refetch else { return Ok(Asked::Refused(None)) };
        let mut said = None;
        for origin in &self.places {
            match refetch.blob(origin, digest).await {
                Ok(true) => return Ok(Asked::Brought(shown(origin))),
                Ok(false) => {}
                Err(ImageError::Content(error)) => return Err(error.into()),
                Err(error) => said = Some(crate::sentence(&error)),
            }
        }
        Ok(Asked::Refused(said))
    }

    /// Asks for a layer, and puts it in the place of the damaged one.
    pub async fn bring_layer(&self, diff_id: &Digest) -> Result<Asked, DoctorError> {
        let Some(refetch) = &self.refetch else { return Ok(Asked::Refused(None)) };
        let mut said = None;
        for origin in self.having(diff_id) {
            let Some(diff_ids) = self.layers.get(&origin.image_id) else { continue };
            match refetch.layer(origin, diff_ids, diff_id).await {
                Ok(Some(layer)) => {
                    refetch.layers.set_aside(diff_id)?;
                    refetch.layers.adopt(layer)?;
                    refetch.layers.sync()?;
                    return Ok(Asked::Brought(shown(origin)));
                }
                Ok(None) => {}
                Err(ImageError::Layer { source: source @ LayerError::Io { .. }, .. }) => return Err(source.into()),
                Err(error) => said = Some(crate::sentence(&error)),
            }
        }
        Ok(Asked::Refused(said))
    }
}

fn shown(origin: &Origin) -> String {
    origin.reference.familiar()
}
