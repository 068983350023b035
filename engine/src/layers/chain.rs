//! Chain ids: one digest for a layer and all below it.

use crate::digest::Digest;

/// The chain id of layers, bottom to top; that of one layer is its diff id. Spec: OCI image-spec, config.md, "Layer
/// ChainID". None for no layers.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    chain_ids(diff_ids).last()
}

/// The chain ids of each layer, bottom to top.
pub fn chain_ids(diff_ids: &[Digest]) -> impl Iterator<Item = Digest> {
    diff_ids.iter().scan(None, |below, diff_id| {
        let chain_id = match below {
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
            None => *diff_id,
        };
        *below = Some(chain_id);
        Some(chain_id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_id_is_that_of_the_specification() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_id(&[a]), Some(a));
        assert_eq!(chain_id(&[a, b]), Some(Digest::of(format!("{a} {b}").as_bytes())));
        assert_ne!(chain_id(&[a, b]), chain_id(&[b, a]));
        assert_eq!(chain_ids(&[a, b]).collect::<Vec<_>>(), [Some(a), chain_id(&[a, b])].map(Option::unwrap));
    }
}
