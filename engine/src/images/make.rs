//! An image of one new layer: by commit from a container, by import from a tar.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use super::handle::joining;
use super::load::{QUEUE, receive};
use super::plan::{Plan, host_architecture};
use super::tag::taggable;
use super::{Image, ImageError, Images, LAYERS_MAX, Loaded, ProcessConfiguration};
use crate::digest::Digest;
use crate::gc::Lease;
use crate::layers::NewLayer;
use crate::owner::Owner;
use crate::reference::ImageReference;

/// Bytes of a tar without entries: its end alone.
const EMPTY: u64 = 1024;

/// What is said of an image to be, beside its files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Making {
    /// A name for it.
    pub name: Option<ImageReference>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// What a container of it runs.
    pub config: ProcessConfiguration,
    /// The command that made the layer, for the history.
    pub created_by: String,
    /// The container it was made from.
    pub container: Option<String>,
}

impl Making {
    /// The name of an image to be: none for an empty repository; `tag` alone names nothing.
    ///
    /// # Errors
    /// [`ImageError::Reference`], [`ImageError::TagWithDigest`].
    pub fn name(repository: &str, tag: &str) -> Result<Option<ImageReference>, ImageError> {
        match (repository, tag) {
            ("", _) => Ok(None),
            (repository, "") => taggable(repository).map(Some),
            (repository, tag) => taggable(&format!("{repository}:{tag}")).map(Some),
        }
    }
}

impl Images {
    /// A tar (plain, gzip or zstd) as an image of its own.
    ///
    /// # Errors
    /// [`ImageError`]: what is wrong with the tar; no space. Nothing is left then.
    pub async fn import(
        &self,
        owner: &Owner,
        tar: impl AsyncRead + Send + Unpin,
        making: Making,
    ) -> Result<Loaded, ImageError> {
        let layer = self.take_layer(tar).await?;
        let base = json!({ "architecture": host_architecture(), "os": "linux" });
        let base = base.as_object().cloned().unwrap_or_default();
        self.add(owner, base, Vec::new(), Some(layer), making).await
    }

    /// Keeps an image's layers for work that will need them.
    pub(crate) fn hold(&self, image: &Image) -> Lease {
        self.shared.leases.take(image.diff_ids.clone())
    }

    /// One layer more over those of an image; none where `tar` holds nothing.
    ///
    /// # Errors
    /// As [`Images::import`].
    pub(crate) async fn commit(
        &self,
        owner: &Owner,
        parent: &Image,
        tar: impl AsyncRead + Send + Unpin,
        making: Making,
    ) -> Result<Loaded, ImageError> {
        if parent.diff_ids.len() >= LAYERS_MAX {
            let reason = format!("its image has {LAYERS_MAX} layers already, and none can have more");
            return Err(ImageError::Configuration { reason });
        }
        let layer = Some(self.take_layer(tar).await?).filter(|layer| layer.facts.size > EMPTY);
        let mut base: Map<String, Value> = serde_json::from_str(&parent.raw)
            .map_err(|error| ImageError::Damaged { id: parent.id.to_string(), reason: error.to_string() })?;
        base.remove("container_config");
        self.add(owner, base, parent.diff_ids.clone(), layer, making).await
    }

    /// Takes a layer in, to its end.
    async fn take_layer(&self, tar: impl AsyncRead + Send + Unpin) -> Result<NewLayer, ImageError> {
        let (pieces, mut arrived) = mpsc::channel(QUEUE);
        let store = self.shared.layers.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut layer = store.begin()?;
            while let Some(piece) = arrived.blocking_recv() {
                layer.write(piece)?;
            }
            layer.finish()?.wait()
        });
        let received = receive(tar, pieces, &|_| ()).await;
        let layer = reading.await.map_err(joining)?;
        // Cut off, it may look whole.
        received.map_err(|source| ImageError::Read { source })?;
        layer.map_err(|source| ImageError::Layer { name: "of the image".to_owned(), source })
    }

    async fn add(
        &self,
        owner: &Owner,
        mut base: Map<String, Value>,
        mut diff_ids: Vec<Digest>,
        layer: Option<NewLayer>,
        making: Making,
    ) -> Result<Loaded, ImageError> {
        let created = Timestamp::now().to_string();
        diff_ids.extend(layer.iter().map(|layer| layer.diff_id));
        let mut step = json!({ "created": created, "created_by": making.created_by, "comment": making.comment });
        if layer.is_none() {
            step["empty_layer"] = json!(true);
        }
        if !making.author.is_empty() {
            step["author"] = json!(making.author);
        }
        let history = base.entry("history").or_insert_with(|| json!([]));
        match history.as_array_mut() {
            Some(steps) => steps.push(step),
            None => *history = json!([step]),
        }
        base.insert("created".to_owned(), json!(created));
        base.insert("author".to_owned(), json!(making.author));
        base.insert("comment".to_owned(), json!(making.comment));
        base.insert("container".to_owned(), json!(making.container));
        base.insert("config".to_owned(), written(&making.config)?);
        base.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
        base.retain(|_, value| !value.is_null() && *value != json!(""));
        let raw = Value::Object(base).to_string();
        let id = Digest::of(raw.as_bytes());
        let plan = Plan { tags: making.name.into_iter().collect(), raw, id, diff_ids };
        let made = self.store(owner, vec![plan], layer.into_iter().collect()).await?;
        made.into_iter()
            .next()
            .ok_or_else(|| ImageError::Damaged { id: id.to_string(), reason: "it was not made".into() })
    }
}

/// Without what is not said.
fn written(config: &ProcessConfiguration) -> Result<Value, ImageError> {
    let mut value = serde_json::to_value(config)
        .map_err(|error| ImageError::Configuration { reason: format!("it cannot be written: {error}") })?;
    let empty = [Value::Null, json!(""), json!([]), json!({})];
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !empty.contains(field));
        if let Some(probe) = fields.get_mut("Healthcheck").and_then(Value::as_object_mut) {
            probe.retain(|_, field| *field != json!(0) && !empty.contains(field));
        }
    }
    Ok(value)
}
