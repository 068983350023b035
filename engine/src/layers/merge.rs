//! Putting layers on top of each other, as overlay would show them.

use super::LayerError;
use super::error::shown;
use crate::erofs::tree::{Body, Data, Folder, Meta, Node, NodeId, ROOT, Tree};

/// Most inodes of a whole image.
const NODES_MAX: usize = 2_000_000;

/// An image's files so far, bottom to top.
#[derive(Debug, Default)]
pub struct Merge {
    tree: Tree,
}

impl Merge {
    /// An empty root, mode 0755 and root's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts one layer on top. `devices` gives the image's device for each of the layer's own, from 1.
    ///
    /// # Errors
    /// [`LayerError::DanglingLink`] for a hard link to what the layers below do not have.
    pub fn apply(&mut self, layer: &Tree, devices: &[u16]) -> Result<(), LayerError> {
        let mut taken = self.resolve(layer)?;
        let mut open = vec![(ROOT, ROOT)];
        while let Some((from, into)) = open.pop() {
            let node = layer.node(from);
            let Some(folder) = node.folder() else { continue };
            self.describe(into, &node.meta, folder);
            for (name, child) in &folder.children {
                match &layer.node(*child).body {
                    Body::Whiteout => {
                        if let Some(below) = self.tree.node_mut(into).folder_mut() {
                            below.children.remove(name);
                        }
                    }
                    Body::Folder(_) => {
                        let there = self.tree.child(into, name).filter(|id| self.tree.node(*id).folder().is_some());
                        let id = match there {
                            Some(id) => id,
                            None => {
                                self.add(Node { meta: Meta::plain_folder(), body: Body::Folder(Folder::default()) })?
                            }
                        };
                        self.tree.link(into, name, id);
                        open.push((*child, id));
                    }
                    _ => {
                        let id = match taken[*child as usize] {
                            Some(id) => id,
                            None => self.add(renumbered(layer.node(*child), devices)?)?,
                        };
                        taken[*child as usize] = Some(id);
                        self.tree.link(into, name, id);
                    }
                }
            }
        }
        Ok(())
    }

    /// The image's files.
    pub fn finish(mut self) -> Tree {
        if let Some(root) = self.tree.node_mut(ROOT).folder_mut() {
            root.implied = false;
        }
        self.tree
    }

    /// What the layer's links to below stand for, found before anything changes there.
    fn resolve(&self, layer: &Tree) -> Result<Vec<Option<NodeId>>, LayerError> {
        let mut found = vec![None; layer.len()];
        let has_links = (0..layer.len()).any(|id| matches!(layer.node(id as NodeId).body, Body::Link(_)));
        for (id, path) in if has_links { layer.walk() } else { Vec::new() } {
            let Body::Link(target) = &layer.node(id).body else { continue };
            let below = self.tree.find(target).filter(|id| self.tree.node(*id).folder().is_none());
            let dangling = || LayerError::DanglingLink { path: shown(&path), target: shown(target) };
            found[id as usize] = Some(below.ok_or_else(dangling)?);
        }
        Ok(found)
    }

    fn describe(&mut self, id: NodeId, meta: &Meta, layer: &Folder) {
        let node = self.tree.node_mut(id);
        if !layer.implied {
            node.meta = meta.clone();
        }
        if let (true, Some(folder)) = (layer.opaque, node.folder_mut()) {
            folder.children.clear();
        }
    }

    fn add(&mut self, node: Node) -> Result<NodeId, LayerError> {
        if self.tree.len() >= NODES_MAX {
            return Err(LayerError::TooLarge {
                what: "files and folders of one image".to_owned(),
                limit: NODES_MAX as u64,
            });
        }
        Ok(self.tree.add(node))
    }
}

fn renumbered(node: &Node, devices: &[u16]) -> Result<Node, LayerError> {
    let mut node = node.clone();
    if let Body::File { size: 1.., data: Data::Run { device, .. } | Data::Chunks { device, .. } } = &mut node.body
        && *device > 0
    {
        let number = devices.get(usize::from(*device) - 1).copied();
        *device = number.ok_or_else(|| LayerError::Index {
            path: Default::default(),
            reason: "a device that its layer does not have",
        })?;
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::super::tar_in::TarReader;
    use super::super::testing::{Entry, tar};
    use super::*;

    fn layer(entries: &[Entry]) -> Tree {
        let mut reader = TarReader::default();
        reader.feed(tar(entries).into()).unwrap();
        reader.finish().unwrap().tree
    }

    fn merged(layers: &[&[Entry]]) -> Result<Vec<String>, LayerError> {
        let mut merge = Merge::new();
        for entries in layers {
            merge.apply(&layer(entries), &[1])?;
        }
        let tree = merge.finish();
        let mut paths: Vec<String> = Vec::new();
        for (id, path) in tree.walk() {
            let kind = match &tree.node(id).body {
                Body::Folder(_) => "/",
                Body::Symlink(_) => "@",
                _ => "",
            };
            paths.push(format!("{}{kind} {:o}", String::from_utf8(path).unwrap(), tree.node(id).meta.mode));
        }
        Ok(paths)
    }

    #[test]
    fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
        let below = [
            Entry::folder("a", 0o700),
            Entry::file("a/old", b""),
            Entry::file("b", b""),
            Entry::folder("c", 0o711),
            Entry::file("c/x", b""),
        ];
        let above = [
            Entry::file("a/.wh.old", b""),
            Entry::file(".wh.b", b""),
            Entry::file("c/.wh..wh..opq", b""),
            Entry::file("c/new", b""),
        ];
        assert_eq!(merged(&[&below, &above]).unwrap(), ["/ 755", "a/ 700", "c/ 711", "c/new 644"]);
    }

    #[test]
    fn a_folder_made_anew_in_the_layer_that_deletes_it_shows_only_its_own() {
        let below = [Entry::folder("a", 0o700), Entry::file("a/old", b"")];
        for above in [
            [Entry::file(".wh.a", b""), Entry::folder("a", 0o750), Entry::file("a/new", b"")],
            [Entry::folder("a", 0o750), Entry::file("a/new", b""), Entry::file(".wh.a", b"")],
        ] {
            assert_eq!(merged(&[&below, &above]).unwrap(), ["/ 755", "a/ 750", "a/new 644"]);
        }
    }

    #[test]
    fn a_folder_that_the_layer_only_implies_keeps_owner_and_mode_from_below() {
        let below = [Entry::folder("./", 0o711), Entry::folder("etc", 0o750)];
        assert_eq!(
            merged(&[&below, &[Entry::file("etc/x/y", b"")]]).unwrap(),
            ["/ 711", "etc/ 750", "etc/x/ 755", "etc/x/y 644"]
        );
    }

    #[test]
    fn kinds_change_and_a_name_through_a_symlink_makes_a_folder_in_its_place() {
        let below = [
            Entry::symlink("way", "/outside"),
            Entry::folder("dir", 0o755),
            Entry::file("dir/x", b""),
            Entry::file("file", b""),
        ];
        let above = [Entry::file("way/in", b""), Entry::file("dir", b""), Entry::folder("file", 0o700)];
        assert_eq!(merged(&[&below, &above]).unwrap(), ["/ 755", "dir 644", "file/ 700", "way/ 755", "way/in 644"]);
    }

    #[test]
    fn a_hard_link_to_a_layer_below_is_the_same_file_and_one_to_nothing_is_refused() {
        let mut merge = Merge::new();
        merge.apply(&layer(&[Entry::file("a", b"x")]), &[1]).unwrap();
        merge.apply(&layer(&[Entry::link("b", "a"), Entry::file(".wh.a", b"")]), &[2]).unwrap();
        let tree = merge.finish();
        assert_eq!(tree.find(b"a"), None);
        assert_eq!(
            tree.node(tree.find(b"b").unwrap()).body,
            Body::File { size: 1, data: Data::Run { device: 1, block: 1 } }
        );

        let below = [Entry::symlink("way", "/outside"), Entry::folder("dir", 0o755)];
        for target in ["nothing", "way/secret", "dir", "/outside"] {
            let refused = merged(&[&below, &[Entry::link("b", target)]]);
            assert!(matches!(refused, Err(LayerError::DanglingLink { .. })), "{target}: {refused:?}");
        }
    }
}
