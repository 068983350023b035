//! The archive that carries images: read once, in whatever order its entries come. Layers go to the layer store's
//! temporary folder as they pass, small JSON files stay in memory, names are never used as paths.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tar_core::parse::ParsedEntry;
use tar_core::{EntryType, SparseEntry};

use super::{CONFIG_BYTES, ImageError};
use crate::digest::Digest;
use crate::layers::{Entries, Framer, LayerError, LayerIngest, LayerStore, NewLayer, PendingLayer, clean};

/// Most entries of an archive.
const ENTRIES_MAX: usize = 100_000;
/// Most bytes of all JSON files of an archive.
const TEXTS_BYTES: usize = 64 << 20;
/// Bytes by which a layer is told from a text: a tar's header.
const SNIFF: usize = 512;
/// Layers that may still be hashed, indexed and synced while the next one comes.
const UNFINISHED: usize = 6;
/// Symbolic links followed from one entry of an archive to another, as old versions of Docker wrote them.
const LINKS_MAX: usize = 8;

/// A small file of the archive.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub bytes: Vec<u8>,
    pub digest: Digest,
}

/// What an entry turned out to be.
#[derive(Debug)]
enum Item {
    Text(Text),
    /// Place in `layers`.
    Layer(usize),
    Link(Vec<u8>),
    /// Too large for a text and no layer.
    Other,
}

/// A whole archive.
#[derive(Debug, Default)]
pub(super) struct Archive {
    items: HashMap<Vec<u8>, Item>,
    layers: Vec<Option<Result<NewLayer, LayerError>>>,
}

/// An archive on its way in.
#[derive(Debug)]
pub(super) struct ArchiveReader {
    framer: Framer,
    taking: Taking,
}

#[derive(Debug)]
struct Taking {
    store: LayerStore,
    archive: Archive,
    current: Option<(Vec<u8>, Content)>,
    unfinished: VecDeque<(usize, PendingLayer)>,
    texts_bytes: usize,
}

#[derive(Debug)]
enum Content {
    /// Too few bytes to tell.
    Start(Vec<u8>, u64),
    Text(Vec<u8>),
    Layer(Box<LayerIngest>),
    Passed,
}

impl ArchiveReader {
    pub fn new(store: LayerStore) -> Self {
        let archive = Archive::default();
        let taking = Taking { store, archive, current: None, unfinished: VecDeque::new(), texts_bytes: 0 };
        Self { framer: Framer::default(), taking }
    }

    /// The next bytes of the archive.
    pub fn feed(&mut self, bytes: Bytes) -> Result<(), ImageError> {
        self.framer.feed(bytes, &mut self.taking).map_err(refused)
    }

    /// The archive is over; waits for its layers.
    pub fn finish(mut self) -> Result<Archive, ImageError> {
        self.framer.finish().map_err(refused)?;
        self.taking.settle(0);
        Ok(self.taking.archive)
    }
}

/// The archive's own frame is wrong, not a layer in it.
fn refused(error: LayerError) -> ImageError {
    match error {
        LayerError::Io { .. } => ImageError::Root { source: error },
        other => ImageError::Archive { reason: other.to_string() },
    }
}

impl Entries for Taking {
    fn entry(
        &mut self,
        entry: &ParsedEntry<'_>,
        _data: u64,
        sparse: Option<(Vec<SparseEntry>, u64)>,
    ) -> Result<u64, LayerError> {
        if self.archive.items.len() >= ENTRIES_MAX {
            return Err(LayerError::TooLarge { what: "entries of the archive".to_owned(), limit: ENTRIES_MAX as u64 });
        }
        let regular = matches!(entry.entry_type, EntryType::Regular | EntryType::Continuous | EntryType::GnuSparse);
        let size = if regular { entry.size } else { 0 };
        // A name that leads out of the archive is a name like any other that no manifest can ask for.
        let name = clean(&entry.path).ok().filter(|name| !name.is_empty());
        match (entry.entry_type, name) {
            (EntryType::Symlink | EntryType::Link, Some(name)) => {
                let folder = name.iter().rposition(|byte| *byte == b'/').map_or(&b""[..], |slash| &name[..slash]);
                let target = entry.link_target.as_deref().unwrap_or_default();
                let from = if entry.entry_type == EntryType::Link || target.starts_with(b"/") { b"" } else { folder };
                if let Ok(target) = clean(&[from, target].join(&b'/')) {
                    self.archive.items.insert(name, Item::Link(target));
                }
            }
            (_, Some(name)) if regular && sparse.is_none() => {
                self.current = Some((name, Content::Start(Vec::new(), size)))
            }
            _ => self.current = None,
        }
        Ok(size)
    }

    fn content(&mut self, bytes: Bytes) -> Result<(), LayerError> {
        let Some((name, mut content)) = self.current.take() else { return Ok(()) };
        match &mut content {
            Content::Start(start, size) => {
                start.extend_from_slice(&bytes);
                if start.len() >= SNIFF {
                    content = self.begin(std::mem::take(start), *size)?;
                }
            }
            Content::Text(text) => text.extend_from_slice(&bytes),
            Content::Layer(layer) => layer.write(bytes)?,
            Content::Passed => {}
        }
        self.current = Some((name, content));
        Ok(())
    }

    fn close(&mut self) -> Result<(), LayerError> {
        let Some((name, mut content)) = self.current.take() else { return Ok(()) };
        if let Content::Start(start, size) = content {
            content = self.begin(start, size)?;
        }
        let item = match content {
            Content::Text(bytes) => Item::Text(Text { digest: Digest::of(&bytes), bytes }),
            Content::Layer(layer) => {
                let place = self.archive.layers.len();
                self.archive.layers.push(None);
                self.unfinished.push_back((place, layer.finish()?));
                self.settle(UNFINISHED);
                Item::Layer(place)
            }
            Content::Start(..) | Content::Passed => Item::Other,
        };
        self.archive.items.insert(name, item);
        Ok(())
    }
}

impl Taking {
    /// Decides by its first bytes what an entry is.
    fn begin(&mut self, start: Vec<u8>, size: u64) -> Result<Content, LayerError> {
        if is_layer(&start) {
            let mut layer = Box::new(self.store.begin()?);
            layer.write(start.into())?;
            return Ok(Content::Layer(layer));
        }
        let text = matches!(start.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['));
        if !text || size > CONFIG_BYTES as u64 {
            return Ok(Content::Passed);
        }
        self.texts_bytes += size as usize;
        if self.texts_bytes > TEXTS_BYTES {
            return Err(LayerError::TooLarge {
                what: "JSON files of the archive".to_owned(),
                limit: TEXTS_BYTES as u64,
            });
        }
        Ok(Content::Text(start))
    }

    /// Waits until at most so many layers are unfinished.
    fn settle(&mut self, most: usize) {
        while self.unfinished.len() > most {
            if let Some((place, layer)) = self.unfinished.pop_front() {
                self.archive.layers[place] = Some(layer.wait());
            }
        }
    }
}

/// Compressed, or a tar by its checksum or its emptiness.
fn is_layer(start: &[u8]) -> bool {
    let packed: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ\0", b"BZh"];
    if packed.iter().any(|magic| start.starts_with(magic)) {
        return true;
    }
    let Some(header) = start.get(..SNIFF) else { return false };
    let field = std::str::from_utf8(&header[148..156]).unwrap_or_default();
    let written = u64::from_str_radix(field.trim_matches(['\0', ' ']), 8).ok();
    let sum =
        header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    written == Some(sum) || header.iter().all(|byte| *byte == 0)
}

impl Archive {
    /// Whether there is an entry of that name.
    pub fn has(&self, name: &str) -> bool {
        self.items.contains_key(name.as_bytes())
    }

    /// A small file, by its name in the archive.
    pub fn text(&self, name: &str) -> Result<&Text, ImageError> {
        match self.item(name) {
            Some(Item::Text(text)) => Ok(text),
            Some(_) => Err(ImageError::Archive {
                reason: format!("{} is no JSON file of at most {CONFIG_BYTES} bytes", cut(name)),
            }),
            None => Err(ImageError::Archive { reason: format!("{} is missing", cut(name)) }),
        }
    }

    /// A layer, by its name in the archive. What was wrong with it is said once.
    pub fn layer(&mut self, name: &str) -> Result<&NewLayer, ImageError> {
        let place = match self.item(name) {
            Some(Item::Layer(place)) => *place,
            Some(_) => return Err(ImageError::Archive { reason: format!("{} is no layer", cut(name)) }),
            None => return Err(ImageError::Archive { reason: format!("layer {} is missing", cut(name)) }),
        };
        let slot = &mut self.layers[place];
        if let Some(Err(source)) = slot.take_if(|layer| layer.is_err()) {
            return Err(ImageError::Layer { name: cut(name), source });
        }
        slot.as_ref()
            .and_then(|layer| layer.as_ref().ok())
            .ok_or_else(|| ImageError::Archive { reason: format!("layer {} is not usable", cut(name)) })
    }

    /// The good layers of the archive, each diff id once.
    pub fn into_layers(self) -> Vec<NewLayer> {
        let mut layers: HashMap<Digest, NewLayer> = HashMap::new();
        for layer in self.layers.into_iter().flatten().flatten() {
            layers.entry(layer.diff_id).or_insert(layer);
        }
        layers.into_values().collect()
    }

    fn item(&self, name: &str) -> Option<&Item> {
        let mut name = name.as_bytes();
        for _ in 0..LINKS_MAX {
            match self.items.get(name)? {
                Item::Link(target) => name = target,
                item => return Some(item),
            }
        }
        None
    }
}

/// A name of a manifest for an error text.
pub(super) fn cut(name: &str) -> String {
    format!("{:?}", name.chars().take(200).collect::<String>())
}
