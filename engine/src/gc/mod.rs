//! Taking away layers, indexes and blobs that nobody needs any more.
//!
//! [`mark()`] is the pure decision, [`sweep()`] the act. What is in use is never taken: every image row of every team
//! counts (a container's image cannot lose its row), so does what any repository of the registry has, and every [`Lease`] of work in progress. Work that makes
//! rows holds the [`Leases`]' gate shared from its last look at the store until its rows are committed; the sweep
//! holds it alone.

mod lease;
mod mark;
mod sweep;
#[cfg(test)]
mod tests;

pub use lease::{Lease, Leases};
pub use mark::{Doomed, Present, mark};
pub use sweep::{Swept, sweep};

use crate::content::ContentError;
use crate::kind::Kind;
use crate::layers::LayerError;
use crate::processes::ProcessError;

/// Why a sweep stopped; what it had taken until then is gone, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The database refused.
    #[error("cannot read what is in use")]
    Store {
        /// Why.
        #[from]
        source: sqlx::Error,
    },
    /// A row that does not read as it was written: nothing is taken.
    #[error("the record of image {id} is damaged, so nothing is swept")]
    Damaged {
        /// Which.
        id: String,
    },
    /// A layer cannot be removed.
    #[error("cannot sweep layers")]
    Layers {
        /// Why.
        #[from]
        source: LayerError,
    },
    /// Plain folders cannot be removed; they have other names already, and the next sweep tries again.
    #[error("cannot remove unpacked layers")]
    Folders {
        /// Why.
        #[from]
        source: ProcessError,
    },
    /// A blob cannot be removed.
    #[error("cannot sweep blobs")]
    Blobs {
        /// Why.
        #[from]
        source: ContentError,
    },
}

impl SweepError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store { .. } | Self::Damaged { .. } => Kind::Internal,
            Self::Layers { source } => source.kind(),
            Self::Folders { source } => source.kind(),
            Self::Blobs { source } => source.kind(),
        }
    }
}
