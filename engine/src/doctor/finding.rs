//! What an examination can find.

use std::fmt;

use crate::content::ContentError;
use crate::layers::LayerError;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub part: Part,
    /// Which.
    pub name: String,
    /// What is wrong with it.
    pub damage: String,
    /// Names of the images and of the registry's tags that need it; empty: nobody does.
    pub users: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The database itself.
    Database,
    /// An image's record.
    Image,
    /// A blob in `content/`.
    Blob,
    /// The record of a manifest of the registry.
    Manifest,
    /// A tag of the registry.
    Tag,
    /// An upload.
    Upload,
    /// A layer.
    Layer,
    /// The merged index of an image.
    Index,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is right again.
    Repaired,
    /// It is right again; its bytes came from there.
    Fetched(String),
    /// It can be repaired by the same command with `--repair`.
    Repairable,
    /// The same command with `--repair` asks there for its bytes.
    Fetchable(String),
    /// Damaged bytes are out of the store; the sentence says how right ones come back.
    SetAside(String),
    /// Nothing was done; the sentence says what a person can do.
    Left(&'static str),
}

impl Outcome {
    /// Whether nothing is wrong any more.
    pub fn is_right(&self) -> bool {
        matches!(self, Self::Repaired | Self::Fetched(_))
    }
}

/// Why an examination could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The database does not answer.
    #[error("cannot read the database")]
    Store(#[from] sqlx::Error),
    /// A layer could not be read or compared.
    #[error("cannot examine the layers")]
    Layer(#[from] LayerError),
    /// A blob could not be read or written.
    #[error("cannot examine the blobs")]
    Content(#[from] ContentError),
    /// A file of the uploads could not be looked at or removed.
    #[error("cannot examine the uploads")]
    Upload(#[source] std::io::Error),
    /// The work broke off.
    #[error("the examination broke off")]
    Broken(#[from] tokio::task::JoinError),
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Database => "database",
            Self::Image => "image",
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Tag => "tag",
            Self::Upload => "upload",
            Self::Layer => "layer",
            Self::Index => "index",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.part, self.name, self.damage)?;
        if !self.users.is_empty() {
            write!(out, "; needed by {}", self.users.join(", "))?;
        }
        match &self.outcome {
            Outcome::Repaired => write!(out, "; repaired"),
            Outcome::Fetched(from) => write!(out, "; fetched again from {from}"),
            Outcome::Repairable => write!(out, "; `sampan doctor --repair` puts it right"),
            Outcome::Fetchable(from) => write!(out, "; `sampan doctor --repair` fetches it again from {from}"),
            Outcome::SetAside(what) => write!(out, "; taken out of the store: {what}"),
            Outcome::Left(what) => write!(out, "; {what}"),
        }
    }
}
