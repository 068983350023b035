//! `docker save`: images become one archive, streamed straight from the stores.
//!
//! The archive is that of current Docker: an OCI layout (oci-layout, index.json, blobs by digest) that has manifest.json
//! as well. Layers are the tars as they lie in the store, each once. Nothing in it depends on when or where it is made, so
//! that the same images make the same archive. Source: OCI image-spec, image-layout.md; github.com/moby/docker-image-spec,
//! v1.2.

use std::collections::BTreeMap;
use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tar_core::EntryType;
use tar_core::builder::EntryBuilder;
use tokio::io::AsyncReadExt;

use super::document::{INDEXES, MANIFESTS};
use super::oci_layout::INDEX;
use super::{Image, ImageError, Images, docker_archive};
use crate::digest::Digest;
use crate::gc::Lease;
use crate::layers::LayerStore;
use crate::owner::Owner;
use crate::reference::ImageReference;

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Size of a tar's block.
const BLOCK: u64 = 512;
/// Blocks of zeros at the end of a tar.
const END: usize = 2;

const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const BLOBS: &str = "blobs/sha256/";

/// An archive to be: what is in it is decided, its layers cannot go until it is dropped.
#[derive(Debug)]
pub struct Archive {
    pieces: Vec<Piece>,
    layers: LayerStore,
    images: Vec<Digest>,
    _lease: Kept,
}

/// The lease of the layers. Those of an image that was removed meanwhile go with it.
#[derive(Debug)]
struct Kept {
    lease: Option<Lease>,
    images: Images,
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.lease.take());
        if tokio::runtime::Handle::try_current().is_ok() {
            self.images.sweep_later();
        }
    }
}

/// A part of the archive.
#[derive(Debug)]
enum Piece {
    /// Headers, small files, padding.
    Text(Bytes),
    /// A layer's tar of so many bytes.
    Layer(Digest, u64),
}

/// One image and the names that go with it.
struct Named {
    image: Image,
    tags: Vec<ImageReference>,
}

impl Images {
    /// Puts an archive together. A name with a tag brings that name along, a name without one all tags of its
    /// repository, an id none.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] and the like for a name; [`ImageError::Root`] when a layer is not there.
    pub async fn save(&self, owner: &Owner, names: &[String]) -> Result<Archive, ImageError> {
        let gate = self.shared.leases.shared().await;
        let mut named: Vec<Named> = Vec::new();
        for name in names {
            for (image, tag) in self.meant(owner, name).await? {
                let place = named.iter().position(|other| other.image.id == image.id);
                let place = place.unwrap_or_else(|| {
                    named.push(Named { image, tags: Vec::new() });
                    named.len() - 1
                });
                let tags = &mut named[place].tags;
                tags.extend(tag.filter(|tag| !tags.contains(tag)));
            }
        }
        let lease = self.shared.leases.take(named.iter().flat_map(|one| one.image.diff_ids.clone()));
        drop(gate);
        let kept = Kept { lease: Some(lease), images: self.clone() };
        let layers = self.shared.layers.clone();
        let pieces = pieces(&named, &layers)?;
        Ok(Archive { pieces, layers, images: named.iter().map(|one| one.image.id).collect(), _lease: kept })
    }

    /// The images that a name stands for, each with the name under which it is saved.
    async fn meant(&self, owner: &Owner, name: &str) -> Result<Vec<(Image, Option<ImageReference>)>, ImageError> {
        let bare = name.parse::<ImageReference>().ok().filter(|reference| {
            let last = name.rsplit('/').next().unwrap_or(name);
            reference.digest().is_none() && !last.contains(':')
        });
        if let Some(bare) = bare {
            let mut all = Vec::new();
            for image in self.list(owner).await? {
                let of_repository = |tag: &&ImageReference| {
                    tag.registry() == bare.registry() && tag.repository() == bare.repository() && tag.tag().is_some()
                };
                for tag in image.tags.iter().filter(of_repository) {
                    all.push((image.clone(), Some(tag.clone())));
                }
            }
            all.sort_by_key(|(_, tag)| tag.as_ref().map(ToString::to_string));
            if !all.is_empty() {
                return Ok(all);
            }
        }
        let (image, reference) = self.find_by(owner, name).await?;
        Ok(vec![(image, reference.filter(|reference| reference.digest().is_none()))])
    }
}

impl Archive {
    /// The images in it.
    pub fn images(&self) -> &[Digest] {
        &self.images
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        let size = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Layer(_, size) => *size,
        };
        self.pieces.iter().map(size).sum()
    }

    /// The archive, piece by piece. A layer that is not as long as it should be ends it with an error.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { pieces, layers, _lease: kept, .. } = self;
        let state = Sending { pieces: pieces.into_iter(), layers, open: None, _kept: kept };
        stream::try_unfold(state, |mut state| async move {
            let piece = state.next().await?;
            Ok(piece.map(|piece| (piece, state)))
        })
    }
}

/// An archive on its way.
struct Sending {
    pieces: std::vec::IntoIter<Piece>,
    layers: LayerStore,
    /// The present layer and the bytes of it that are left.
    open: Option<(tokio::fs::File, u64)>,
    _kept: Kept,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some((mut file, left)) = self.open.take().filter(|(_, left)| *left > 0) {
                let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                let mut piece = BytesMut::with_capacity(length);
                let read = (&mut file).take(length as u64).read_buf(&mut piece).await?;
                if read == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a layer is shorter than it should be"));
                }
                self.open = Some((file, left - read as u64));
                return Ok(Some(piece.freeze()));
            }
            match self.pieces.next() {
                None => return Ok(None),
                Some(Piece::Text(text)) => return Ok(Some(text)),
                Some(Piece::Layer(diff_id, size)) => {
                    let file = self.layers.tar(&diff_id).map_err(io::Error::other)?;
                    let mut file = tokio::fs::File::from_std(file);
                    file.set_max_buf_size(PIECE);
                    self.open = Some((file, size));
                }
            }
        }
    }
}

/// What a blob of the archive is.
enum Blob {
    Text(Vec<u8>),
    Layer(u64),
}

fn pieces(named: &[Named], layers: &LayerStore) -> Result<Vec<Piece>, ImageError> {
    let failed = |source| ImageError::Root { source };
    let mut blobs: BTreeMap<Digest, Blob> = BTreeMap::new();
    let (mut entries, mut descriptors) = (Vec::new(), Vec::new());
    for Named { image, tags } in named {
        let mut sizes = Vec::new();
        for diff_id in &image.diff_ids {
            let size = layers.facts(diff_id).map_err(failed)?.size;
            blobs.insert(*diff_id, Blob::Layer(size));
            sizes.push((*diff_id, size));
        }
        let manifest = manifest(image, &sizes).to_string().into_bytes();
        let digest = Digest::of(&manifest);
        descriptors.extend(references(image, tags, &digest, manifest.len()));
        blobs.insert(digest, Blob::Text(manifest));
        blobs.insert(image.id, Blob::Text(image.raw.clone().into_bytes()));
        let familiar: Vec<String> = tags.iter().map(ImageReference::familiar).collect();
        let paths: Vec<String> = image.diff_ids.iter().map(place).collect();
        entries.push(json!({
            "Config": place(&image.id),
            "RepoTags": if familiar.is_empty() { Value::Null } else { json!(familiar) },
            "Layers": paths,
        }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEXES[0], "manifests": descriptors });
    let mut tar = Tar::default();
    tar.folder("blobs/")?;
    tar.folder(BLOBS)?;
    for (digest, blob) in blobs {
        match blob {
            Blob::Text(text) => tar.file(&place(&digest), &text)?,
            Blob::Layer(size) => tar.layer(digest, size)?,
        }
    }
    tar.file(INDEX, index.to_string().as_bytes())?;
    tar.file(docker_archive::MANIFEST, Value::Array(entries).to_string().as_bytes())?;
    tar.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(tar.finish())
}

fn place(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

fn manifest(image: &Image, layers: &[(Digest, u64)]) -> Value {
    let layer = |(diff_id, size): &(Digest, u64)| json!({ "mediaType": LAYER, "digest": diff_id, "size": size });
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": { "mediaType": CONFIGURATION, "digest": image.id, "size": image.raw.len() },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// A descriptor for each name, or one without a name.
fn references(image: &Image, tags: &[ImageReference], manifest: &Digest, size: usize) -> Vec<Value> {
    let configuration = &image.configuration;
    let mut platform = json!({ "architecture": configuration.architecture, "os": configuration.os });
    if !configuration.variant.is_empty() {
        platform["variant"] = json!(configuration.variant);
    }
    let bare = json!({ "mediaType": MANIFESTS[0], "digest": manifest, "size": size, "platform": platform });
    let named = |tag: &ImageReference| {
        let mut descriptor = bare.clone();
        descriptor["annotations"] = json!({
            "io.containerd.image.name": tag.to_string(),
            "org.opencontainers.image.ref.name": tag.tag().unwrap_or_default(),
        });
        descriptor
    };
    if tags.is_empty() { vec![bare] } else { tags.iter().map(named).collect() }
}

/// A tar put together of texts and layers.
#[derive(Default)]
struct Tar {
    pieces: Vec<Piece>,
    text: BytesMut,
}

impl Tar {
    fn folder(&mut self, name: &str) -> Result<(), ImageError> {
        self.header(name, EntryType::Directory, 0o755, 0)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        self.header(name, EntryType::Regular, 0o644, bytes.len() as u64)?;
        self.text.extend_from_slice(bytes);
        self.pad(bytes.len() as u64);
        Ok(())
    }

    fn layer(&mut self, diff_id: Digest, size: u64) -> Result<(), ImageError> {
        self.header(&place(&diff_id), EntryType::Regular, 0o644, size)?;
        self.flush();
        self.pieces.push(Piece::Layer(diff_id, size));
        self.pad(size);
        Ok(())
    }

    /// Ids and times are 0.
    fn header(&mut self, name: &str, kind: EntryType, mode: u32, size: u64) -> Result<(), ImageError> {
        let mut entry = EntryBuilder::new_ustar();
        entry.path(name).entry_type(kind);
        let set = entry.mode(mode).and_then(|entry| entry.size(size)).and_then(|entry| entry.uid(0));
        let set = set.and_then(|entry| entry.gid(0)).and_then(|entry| entry.mtime(0));
        set.map_err(|error| ImageError::Archive { reason: format!("{name} cannot be written: {error}") })?;
        self.text.extend_from_slice(&entry.finish_bytes());
        Ok(())
    }

    fn pad(&mut self, size: u64) {
        let padded = self.text.len() + (size.next_multiple_of(BLOCK) - size) as usize;
        self.text.resize(padded, 0);
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(self.text.split().freeze()));
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.text.resize(self.text.len() + END * BLOCK as usize, 0);
        self.flush();
        self.pieces
    }
}
