//! The log of one container: what it wrote, as it was read, under `containers/<id>/log/`.
//!
//! The monitor writes ([`Writer`]); anybody who may read the folder reads ([`Reader`]), at the same time, with no word
//! between them: a reader goes up to the committed length in `head`. The writer does no work per line; lines, times,
//! tail and since are the reader's. docs/formats/log.md describes the files.

mod format;
mod lines;
mod read;
mod readers;
mod recover;
mod since;
mod tail;
#[cfg(test)]
mod tests;
mod write;

pub use format::{Frame, HEAD_FILE, LOG_FOLDER, MOST_DATA, Stream};
pub use lines::{Line, Lines};
pub use read::{Piece, Position, Reader, Step};
pub use readers::Reading;
pub use tail::Streams;
pub use write::{Writer, drop_read};
