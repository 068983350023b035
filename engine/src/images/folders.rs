//! Plain folders, one for each layer, for kernels that cannot mount an index.
//!
//! The spawner's helper unpacks a layer's tar over the folders of the layers below, so a folder belongs to its layer and
//! all below it: its name is the chain id. It gets that name when it is whole and on disk.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use sampan_runtime::sandbox::Root;

use super::Images;
use crate::digest::Digest;
use crate::fault::{self, Step};
use crate::kind::Kind;
use crate::layers::{LayerError, chain_ids};
use crate::processes::ProcessError;

impl Images {
    /// The root of an image, for containers on plain folders; unpacks what is not there.
    ///
    /// # Errors
    /// [`LayerError::Missing`] when a layer is not there, [`LayerError::Unpack`] when it cannot be unpacked.
    pub(super) async fn unpacked(&self, diff_ids: &[Digest]) -> Result<Root, LayerError> {
        let layers = &self.shared.layers;
        let mut lowers: Vec<PathBuf> = chain_ids(diff_ids).map(|chain_id| layers.unpacked(&chain_id)).collect();
        if lowers.is_empty() {
            lowers.push(layers.unpacked_nothing());
        }
        lowers.reverse();
        if !lowers.iter().all(|folder| layers.is_unpacked(folder)) {
            let _one = self.shared.unpacking.lock().await;
            for number in (0..lowers.len()).rev().filter(|number| !layers.is_unpacked(&lowers[*number])) {
                let diff_id = diff_ids.get(lowers.len() - 1 - number);
                self.unpack(diff_id, &lowers[number], &lowers[number + 1..]).await?;
                fault::step(Step::FolderUnpacked);
            }
        }
        Ok(Root::Folders { lowers })
    }

    async fn unpack(&self, diff_id: Option<&Digest>, target: &Path, below: &[PathBuf]) -> Result<(), LayerError> {
        let layers = &self.shared.layers;
        let (tar, layer) = match diff_id {
            Some(diff_id) => (layers.tar(diff_id)?, format!("layer {diff_id}")),
            None => (layers.empty_tar()?, "an image without layers".to_owned()),
        };
        match self.shared.spawner.unpack(OwnedFd::from(tar), target, below).await {
            // A server before this one asked for it, and it was finished meanwhile.
            Err(ProcessError::Refused { kind: Kind::Conflict, .. }) if layers.is_unpacked(target) => Ok(()),
            answer => {
                answer.map_err(|error| LayerError::Unpack { layer, kind: error.kind(), reason: error.to_string() })
            }
        }
    }

    /// Bytes on disk of a layer's plain folder; 0 when there is none.
    pub(super) async fn folder_bytes(&self, chain_id: &Digest) -> Result<u64, ProcessError> {
        let known = || self.shared.folder_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.shared.layers.unpacked(chain_id);
        if !self.shared.layers.is_unpacked(&folder) {
            known().remove(chain_id);
            return Ok(0);
        }
        if let Some(bytes) = known().get(chain_id) {
            return Ok(*bytes);
        }
        match self.shared.spawner.usage(&folder).await {
            Ok(usage) => {
                known().insert(*chain_id, usage.bytes);
                Ok(usage.bytes)
            }
            // Swept since.
            Err(ProcessError::Refused { kind: Kind::NotFound, .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }
}
