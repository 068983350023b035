//! Chain ids: one digest for a layer and all below it.

use crate::digest::Digest;

/// The chain id of layers, bottom to top; that of one layer is its diff id. Spec: OCI image-spec, config.md, "Layer
/// ChainID". None for no layers.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    diff_ids.iter().copied().reduce(|below, diff_id| Digest::of(format!("{below} {diff_id}").as_bytes()))
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
    }
}
