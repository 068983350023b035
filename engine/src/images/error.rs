//! Why something about images was not done.

use std::io;
use std::path::PathBuf;

use crate::content::ContentError;
use crate::digest::Digest;
use crate::kind::Kind;
use crate::layers::LayerError;
use crate::processes::ProcessError;
use crate::reference::ReferenceError;
use crate::upstream::UpstreamError;

/// Why something about images was not done; nothing is half made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No image of the team has that name or id.
    #[error("No such image: {name}")]
    NotFound {
        /// As typed; a reference in its short form with its tag.
        name: String,
    },
    /// A short id that fits several images.
    #[error("{prefix:?} is the beginning of several image ids; give more digits")]
    Ambiguous {
        /// As typed.
        prefix: String,
    },
    /// The name cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A tag cannot carry a digest.
    #[error("{reference} names a digest and cannot be given to an image as a tag")]
    TagWithDigest {
        /// As typed.
        reference: String,
    },
    /// The archive is not what `docker save` or an OCI layout writes.
    #[error("invalid archive: {reason}")]
    Archive {
        /// What is wrong, and where.
        reason: String,
    },
    /// The archive ended early or could not be read.
    #[error("cannot read the archive")]
    Read {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image's configuration is wrong.
    #[error("invalid image configuration: {reason}")]
    Configuration {
        /// What is wrong.
        reason: String,
    },
    /// An instruction that changes an image's configuration is wrong.
    #[error("{reason}")]
    Instruction {
        /// Which, and what is wrong with it.
        reason: String,
    },
    /// Bytes that do not hash to the digest they are named by.
    #[error("{what} should have digest {expected} and has {found}")]
    WrongDigest {
        /// Blob, layer, configuration: which one.
        what: String,
        /// As the archive says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// No image for this host's processor.
    #[error("no image for {wanted}; the archive has {offered}")]
    Platform {
        /// This host's.
        wanted: String,
        /// A list.
        offered: String,
    },
    /// Another registry did not do its part.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// No image for the platform that was asked for.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoMatchingManifest {
        /// The one that was asked for.
        platform: String,
    },
    /// An image for other machines.
    #[error(
        "image with reference {reference} was found but does not match the specified platform: wanted {wanted}, \
         actual: {actual}"
    )]
    OtherPlatform {
        /// As Docker shows it.
        reference: String,
        /// The one that was asked for, or this host's.
        wanted: String,
        /// What it is for.
        actual: String,
    },
    /// A platform that does not read.
    #[error("{text:?} is no platform: it is os[/architecture[/variant]], such as linux/amd64")]
    WrongPlatform {
        /// As given.
        text: String,
    },
    /// Something else than an image of containers.
    #[error("{reference} is not an image: unsupported media type {media_type}")]
    NotAnImage {
        /// As Docker shows it.
        reference: String,
        /// What it is.
        media_type: String,
    },
    /// A manifest of the first schema.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the \
         author of {reference} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More \
         information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    SchemaOne {
        /// As Docker shows it.
        reference: String,
    },
    /// A manifest or an index that is not taken.
    #[error("the manifest of {reference} is not taken: {reason}")]
    Manifest {
        /// As Docker shows it.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No image of the team has that name, to be pushed.
    #[error("An image does not exist locally with the tag: {name}")]
    NothingToPush {
        /// As Docker shows it.
        name: String,
    },
    /// The image has no such tag.
    #[error("tag does not exist: {name}")]
    NoTag {
        /// As Docker shows it.
        name: String,
    },
    /// A layer could not be taken in.
    #[error("layer {name}")]
    Layer {
        /// Its name in the archive, or its digest.
        name: String,
        /// Why.
        #[source]
        source: LayerError,
    },
    /// The layers could not be put together.
    #[error("cannot put the image's layers together")]
    Root {
        /// Why.
        #[source]
        source: LayerError,
    },
    /// A blob could not be stored or read.
    #[error("cannot store the image's blobs")]
    Content(#[from] ContentError),
    /// A layer that only its packed bytes are here of.
    #[error("layer {layer} of {reference} was never unpacked here: pull it once, then it can be compared")]
    NotUnpacked {
        /// As people call it.
        reference: String,
        /// Of its packed bytes.
        layer: Digest,
    },
    /// Containers use it.
    #[error("conflict: unable to {act} ({remedy}) - {reason}")]
    InUse {
        /// `remove repository reference "x"` or `delete 0123…`.
        act: String,
        /// `must be forced`, `cannot be forced`.
        remedy: &'static str,
        /// Who uses it.
        reason: String,
    },
    /// The database refused.
    #[error("cannot reach the images' records")]
    Store {
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A row that does not read as it was written.
    #[error("the record of image {id} is damaged: {reason}")]
    Damaged {
        /// Which.
        id: String,
        /// What does not read.
        reason: String,
    },
    /// What a plain folder takes cannot be told.
    #[error("cannot look at the unpacked layers")]
    Unpacked {
        /// Why.
        #[from]
        source: ProcessError,
    },
    /// A file of the store could not be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. }
            | Self::NoMatchingManifest { .. }
            | Self::OtherPlatform { .. }
            | Self::NothingToPush { .. }
            | Self::NoTag { .. } => Kind::NotFound,
            Self::Upstream(error) => error.kind(),
            Self::Ambiguous { .. }
            | Self::Reference(_)
            | Self::TagWithDigest { .. }
            | Self::Archive { .. }
            | Self::Read { .. }
            | Self::Configuration { .. }
            | Self::Instruction { .. }
            | Self::WrongPlatform { .. }
            | Self::NotAnImage { .. }
            | Self::SchemaOne { .. }
            | Self::Manifest { .. }
            | Self::WrongDigest { .. } => Kind::Invalid,
            Self::Platform { .. } => Kind::Unsupported,
            Self::Layer { source, .. } | Self::Root { source } => source.kind(),
            Self::Content(source) => source.kind(),
            Self::InUse { .. } | Self::NotUnpacked { .. } => Kind::Conflict,
            Self::Unpacked { source } => source.kind(),
            Self::Write { source, .. } => crate::content::kind_of_io(source),
            Self::Store { .. } | Self::Damaged { .. } => Kind::Internal,
        }
    }
}

impl From<sqlx::Error> for ImageError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store { source }
    }
}
