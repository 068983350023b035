//! Why something was not done in the registry.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Tag;
use crate::content::{ContentError, kind_of_io};
use crate::digest::Digest;
use crate::kind::Kind;
use crate::layers::LayerError;
use crate::upstream::UpstreamError;

/// Why something was not done in the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not a name of a repository.
    #[error("invalid repository name {name:?}: {reason}")]
    BadName {
        /// As asked for, cut.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a tag.
    #[error(
        "invalid tag {tag:?}: it must be 1 to 128 letters, digits, dots, dashes and underscores, and begin with none of dot and dash"
    )]
    BadTag {
        /// As asked for, cut.
        tag: String,
    },
    /// The repository is gone.
    #[error("there is no repository {name}")]
    RepositoryUnknown {
        /// Its name behind the team's.
        name: String,
    },
    /// The repository has no such blob.
    #[error("there is no blob {digest} in this repository")]
    BlobUnknown {
        /// Which.
        digest: Digest,
    },
    /// The repository has no such manifest.
    #[error("there is no manifest {reference} in this repository")]
    ManifestUnknown {
        /// Tag or digest.
        reference: String,
    },
    /// The repository has no such upload: it is complete, was cancelled, or is too old.
    #[error("there is no upload {id} in this repository")]
    UploadUnknown {
        /// Which.
        id: String,
    },
    /// Another request writes to it.
    #[error("another request still writes to the upload {id}")]
    UploadBusy {
        /// Which.
        id: String,
    },
    /// The repository has too many uploads under way.
    #[error("this repository has {count} uploads under way: finish or cancel some first")]
    TooManyUploads {
        /// How many.
        count: i64,
    },
    /// The client ended before its bytes did, or sent none for too long; what came is kept.
    #[error("the upload broke off after {offset} bytes: {reason}")]
    BrokenOff {
        /// Bytes that are kept.
        offset: u64,
        /// Why.
        reason: String,
    },
    /// A chunk that does not follow the last one.
    #[error("the chunk begins at byte {start}, but the upload has {offset} bytes")]
    OutOfOrder {
        /// Where it begins.
        start: u64,
        /// Where it should.
        offset: u64,
    },
    /// A chunk that is shorter or longer than it says.
    #[error("the chunk should have {expected} bytes and has {found}")]
    WrongLength {
        /// As its range says.
        expected: u64,
        /// As counted.
        found: u64,
    },
    /// The bytes hash to something else.
    #[error("the content should have digest {expected} and has {found}")]
    WrongDigest {
        /// As the client says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// The manifest is wrong.
    #[error("invalid manifest: {reason}")]
    ManifestInvalid {
        /// What is wrong.
        reason: String,
    },
    /// The manifest has a descriptor whose digest is none or none of ours.
    #[error("invalid manifest: {reason}")]
    DescriptorDigest {
        /// What is wrong.
        reason: String,
    },
    /// The manifest is too large.
    #[error("a manifest may have {limit} bytes")]
    ManifestTooLarge {
        /// The most.
        limit: usize,
    },
    /// The manifest needs what the repository does not have.
    #[error("the manifest needs {} things that are not in this repository", .digests.len())]
    ReferencesUnknown {
        /// Digests of blobs or manifests.
        digests: Vec<Digest>,
    },
    /// The tag names another manifest and may not be moved.
    #[error(
        "the tag {tag} is there already, and tags of this repository are immutable: push under another tag, or delete this one first"
    )]
    TagImmutable {
        /// The tag.
        tag: Tag,
    },
    /// An index still needs it.
    #[error("the manifest {digest} is part of the index {parent}: delete that one first")]
    ManifestInUse {
        /// Which.
        digest: Digest,
        /// The index.
        parent: String,
    },
    /// A row that does not read as it was written.
    #[error("the record of {what} is damaged: {reason}")]
    Damaged {
        /// Which thing.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {act} {}", .path.display())]
    Io {
        /// `write`, `read`, …
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The registry that a repository of the cache is filled from.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What several wait for together did not come.
    #[error(transparent)]
    Filling(Arc<Self>),
    /// The blob store.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The layer store.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The database could not be read or written.
    #[error("the database failed")]
    Store(#[from] sqlx::Error),
}

impl RegistryError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::BadName { .. }
            | Self::BadTag { .. }
            | Self::BrokenOff { .. }
            | Self::OutOfOrder { .. }
            | Self::WrongLength { .. }
            | Self::WrongDigest { .. }
            | Self::ManifestInvalid { .. }
            | Self::DescriptorDigest { .. }
            | Self::ManifestTooLarge { .. } => Kind::Invalid,
            Self::RepositoryUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::ManifestUnknown { .. }
            | Self::UploadUnknown { .. }
            | Self::ReferencesUnknown { .. } => Kind::NotFound,
            Self::UploadBusy { .. } | Self::ManifestInUse { .. } => Kind::Conflict,
            Self::TagImmutable { .. } => Kind::Forbidden,
            Self::TooManyUploads { .. } => Kind::Exhausted,
            Self::Damaged { .. } | Self::Store(_) => Kind::Internal,
            Self::Io { source, .. } => kind_of_io(source),
            Self::Upstream(error) => error.kind(),
            Self::Filling(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Layer(error) => error.kind(),
        }
    }

    /// An error about a file.
    pub(super) fn io(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { act, path, source }
    }
}

/// A task on the blocking pool that panicked.
pub(super) fn joining(error: tokio::task::JoinError) -> RegistryError {
    RegistryError::Io { act: "work in", path: PathBuf::from("content"), source: io::Error::other(error) }
}
