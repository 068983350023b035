//! What may go: everything that no image, no repository and no lease needs.

use std::collections::{BTreeSet, HashSet};

use crate::digest::Digest;
use crate::layers::{chain_id, chain_ids};

/// What lies in the stores.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Layers, by diff id.
    pub layers: BTreeSet<Digest>,
    /// Merged indexes, by chain id.
    pub merged: BTreeSet<Digest>,
    /// Plain folders, by chain id of the layer and all below it.
    pub folders: BTreeSet<Digest>,
    /// Blobs that are old enough to be looked at.
    pub blobs: BTreeSet<Digest>,
}

/// What may go, in the same terms.
pub type Doomed = Present;

/// Decides what may go. `images` are the id and the diff ids of every image of every team, `kept` what any repository
/// has: a blob, or a layer whose tar is that blob. A blob whose bytes are a layer's tar, too, goes: one copy is enough.
pub fn mark(
    images: &[(Digest, Vec<Digest>)],
    kept: &HashSet<Digest>,
    held: &HashSet<Digest>,
    present: &Present,
) -> Doomed {
    let mut layers: HashSet<Digest> = held.union(kept).copied().collect();
    let mut blobs = layers.clone();
    let (mut merged, mut folders) = (HashSet::new(), HashSet::new());
    for (id, diff_ids) in images {
        blobs.insert(*id);
        layers.extend(diff_ids);
        merged.extend(chain_id(diff_ids));
        folders.extend(chain_ids(diff_ids));
    }
    blobs.retain(|digest| held.contains(digest) || !(layers.contains(digest) && present.layers.contains(digest)));
    let unused = |present: &BTreeSet<Digest>, used: &HashSet<Digest>| {
        present.iter().filter(|digest| !used.contains(digest)).copied().collect()
    };
    Doomed {
        layers: unused(&present.layers, &layers),
        merged: unused(&present.merged, &merged),
        folders: unused(&present.folders, &folders),
        blobs: unused(&present.blobs, &blobs),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    fn digests() -> impl Strategy<Value = BTreeSet<Digest>> {
        prop::collection::btree_set((0..20u8).prop_map(digest), 0..20)
    }

    fn images() -> impl Strategy<Value = Vec<(Digest, Vec<Digest>)>> {
        let layers = prop::collection::vec((0..20u8).prop_map(digest), 0..5);
        prop::collection::vec(((0..20u8).prop_map(digest), layers), 0..6)
    }

    proptest! {
        /// Small numbers, so that images share layers and chains are really present.
        #[test]
        fn nothing_that_is_used_goes_and_nothing_unused_stays(
            images in images(),
            (held, kept) in (digests(), digests()),
            (layers, blobs, strays) in (digests(), digests(), digests()),
            cut in 0..6usize,
        ) {
            let chains = images.iter().flat_map(|(_, ids)| (0..=ids.len().min(cut)).filter_map(|count| chain_id(&ids[..count])));
            let chains: BTreeSet<Digest> = chains.chain(strays).collect();
            let present = Present { layers, merged: chains.clone(), folders: chains, blobs };
            let held: HashSet<Digest> = held.into_iter().collect();
            let kept: HashSet<Digest> = kept.into_iter().collect();
            let doomed = mark(&images, &kept, &held, &present);

            let needed = |digest: &Digest| held.contains(digest) || kept.contains(digest);
            let used_layer = |digest: &Digest| needed(digest) || images.iter().any(|(_, ids)| ids.contains(digest));
            let in_tar = |digest: &Digest| present.layers.contains(digest) && used_layer(digest);
            let used_blob = |digest: &Digest| {
                let used = needed(digest) || images.iter().any(|(id, _)| id == digest);
                used && (held.contains(digest) || !in_tar(digest))
            };
            let used_merged = |digest: &Digest| images.iter().any(|(_, ids)| chain_id(ids) == Some(*digest));
            let used_folder = |digest: &Digest| {
                images.iter().any(|(_, ids)| (1..=ids.len()).any(|count| chain_id(&ids[..count]) == Some(*digest)))
            };
            for (present, doomed, used) in [
                (&present.layers, &doomed.layers, &used_layer as &dyn Fn(&Digest) -> bool),
                (&present.blobs, &doomed.blobs, &used_blob),
                (&present.merged, &doomed.merged, &used_merged),
                (&present.folders, &doomed.folders, &used_folder),
            ] {
                prop_assert!(doomed.is_subset(present));
                for digest in present {
                    prop_assert_eq!(doomed.contains(digest), !used(digest));
                }
            }
        }
    }
}
