//! What differs from the image, as a layer. Spec: OCI image-spec, layer.md, "Whiteouts".

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::Stat;

use super::delta::{Delta, Sink, Views};
use super::pack::Pack;
use super::read::joined;
use super::shown;
use crate::failure::Doing;
use crate::wire::Refusal;
use crate::wire::socket::Connection;

/// Hides what a folder has in the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Sends the layer's tar.
///
/// # Errors
/// What could not be read or sent.
pub fn layer<'p>(
    views: Views,
    places: impl Iterator<Item = &'p Path>,
    out: File,
    client: &Connection,
) -> Result<(), Refusal> {
    let mut layer = Layer { pack: Pack::new(out, client) };
    Delta::new(&mut layer, client, places).walk(views)?;
    layer.pack.finish().doing(|| "send the layer".to_owned())
}

struct Layer<'a> {
    pack: Pack<'a>,
}

fn doing(path: &[u8]) -> String {
    format!("send {:?}", shown(path))
}

impl Sink for Layer<'_> {
    fn entry(&mut self, path: &[u8], folder: BorrowedFd<'_>, name: &CStr, _existed: bool) -> Result<(), Refusal> {
        self.pack.entry(path, folder, name).map(drop).doing(|| doing(path))
    }

    fn within(&mut self, path: &[u8], folder: BorrowedFd<'_>, _existed: bool) -> Result<(), Refusal> {
        let path = if path.is_empty() { &b"./"[..] } else { path };
        self.pack.folder(path, folder).doing(|| doing(path))
    }

    fn gone(&mut self, path: &[u8], about: &Stat) -> Result<(), Refusal> {
        let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let marked = [&path[..name], b".wh.", &path[name..]].concat();
        self.pack.mark(&marked, about.st_mtime).doing(|| doing(path))
    }

    fn hidden(&mut self, path: &[u8], _names: &[CString], about: &Stat) -> Result<(), Refusal> {
        self.pack.mark(&joined(path, OPAQUE), about.st_mtime).doing(|| doing(path))
    }

    fn looks_beneath_hidden(&self) -> bool {
        false
    }
}
