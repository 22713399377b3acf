//! The file tree of an image: layers put on each other as an overlay does, without any content.
//!
//! Paths are literal while layers are put on; links are followed only when asked ([`Tree::resolve`]), inside the image
//! and for at most 40 steps, as the kernel does.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::hash::Sums;
use crate::layer::{LayerScan, NodeKind};
use crate::path;

/// Most links that are followed on the way to a file (path_resolution(7)).
const LINKS_MAX: u32 = 40;

/// What is at a path in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// The layer that put it there.
    pub layer: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// What it is.
    pub kind: LeafKind<'a>,
}

/// What a leaf is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafKind<'a> {
    /// A file with its checksums, if they are known.
    File(Option<&'a Sums>),
    /// A symbolic link.
    Symlink(&'a str),
    /// A folder.
    Directory,
    /// A device, pipe or socket.
    Special,
}

/// All paths of an image.
#[derive(Debug, Default)]
pub struct Tree<'a> {
    leaves: BTreeMap<&'a str, Leaf<'a>>,
}

impl<'a> Tree<'a> {
    /// Puts a layer on top. Returns hard links whose target is nowhere.
    pub fn put(&mut self, number: u32, layer: &'a LayerScan) -> Vec<&'a str> {
        for folder in &layer.opaque {
            self.clear(folder);
        }
        for deleted in &layer.whiteouts {
            self.remove(deleted);
        }
        let mut dangling = Vec::new();
        for node in &layer.nodes {
            let path = node.path.as_str();
            if let NodeKind::Hardlink(target) = &node.kind
                && let Some(leaf) = self.leaves.get_mut(target.as_str())
            {
                // Both are one file, and engines set the mode that the link's header says.
                leaf.mode |= node.mode & 0o6000;
            }
            let kind = match &node.kind {
                NodeKind::File { sums, .. } => LeafKind::File(sums.as_deref()),
                NodeKind::Symlink(target) => LeafKind::Symlink(target),
                NodeKind::Directory => LeafKind::Directory,
                NodeKind::Special => LeafKind::Special,
                NodeKind::Hardlink(target) => match self.leaves.get(target.as_str()) {
                    Some(leaf) => leaf.kind.clone(),
                    None => {
                        dangling.push(path);
                        continue;
                    }
                },
            };
            self.make_way(path);
            // A folder of a layer keeps what is in it below; anything else hides it.
            if kind == LeafKind::Directory {
                if self.leaves.get(path).is_some_and(|leaf| leaf.kind != LeafKind::Directory) {
                    self.leaves.remove(path);
                }
            } else {
                self.remove(path);
            }
            let leaf = Leaf { layer: number, mode: node.mode, uid: node.uid, gid: node.gid, kind };
            self.leaves.insert(path, leaf);
        }
        dangling
    }

    /// What lies above a path is a folder from now on, whatever it was.
    fn make_way(&mut self, path: &str) {
        let mut above = path::parent(path);
        while !above.is_empty() {
            match self.leaves.get(above) {
                Some(leaf) if leaf.kind == LeafKind::Directory => return,
                Some(_) => {
                    self.leaves.remove(above);
                }
                None => {}
            }
            above = path::parent(above);
        }
    }

    /// Removes a path and all below it.
    fn remove(&mut self, path: &str) {
        self.leaves.remove(path);
        self.clear(path);
    }

    /// Removes all below a folder.
    fn clear(&mut self, folder: &str) {
        if folder.is_empty() {
            self.leaves.clear();
            return;
        }
        // `/` sorts right before `0`, so all paths below `a` are between `a/` and `a0`.
        let (from, to) = (format!("{folder}/"), format!("{folder}0"));
        let range = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        let below: Vec<&'a str> =
            self.leaves.range::<str, _>(range).map(|(&path, _)| path).collect();
        for path in below {
            self.leaves.remove(path);
        }
    }

    /// What is at this very path, no link followed.
    pub fn get(&self, path: &str) -> Option<&Leaf<'a>> {
        self.leaves.get(path)
    }

    /// Everything, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Leaf<'a>)> {
        self.leaves.iter().map(|(&path, leaf)| (path, leaf))
    }

    /// Whether the layer's entry at this path is what is there in the end.
    pub fn shows(&self, path: &str, layer: u32) -> bool {
        self.leaves.get(path).is_some_and(|leaf| leaf.layer == layer)
    }

    /// The path of this very entry, all links on the way to it followed.
    pub fn resolve_parent(&self, path: &str) -> Option<String> {
        let Some((parent, name)) = path.rsplit_once('/') else { return Some(path.to_owned()) };
        // A folder need not have an entry of its own.
        let parent = self.resolve(parent).unwrap_or_else(|| parent.to_owned());
        Some(format!("{parent}/{name}"))
    }

    /// The path that is reached when all links are followed; `None` if there is nothing, or links go in circles.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut left: Vec<String> = path::split(path).rev().map(str::to_owned).collect();
        let (mut at, mut links) = (String::new(), 0);
        while let Some(part) = left.pop() {
            let next = if at.is_empty() { part } else { format!("{at}/{part}") };
            match self.leaves.get(next.as_str()).map(|leaf| &leaf.kind) {
                Some(LeafKind::Symlink(target)) => {
                    links += 1;
                    if links > LINKS_MAX || left.len() > path::PATH_MAX {
                        return None;
                    }
                    let target = path::follow(&next, target);
                    left.extend(path::split(&target).rev().map(str::to_owned));
                    at = String::new();
                }
                // Folders need no entry of their own in an archive.
                Some(_) => at = next,
                None if left.is_empty() => return None,
                None => at = next,
            }
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Node;

    fn layer(entries: &[(&str, NodeKind)]) -> LayerScan {
        let nodes = entries
            .iter()
            .map(|(path, kind)| Node {
                path: (*path).into(),
                kind: kind.clone(),
                mode: 0o644,
                uid: 0,
                gid: 0,
            })
            .collect();
        LayerScan { nodes, ..LayerScan::default() }
    }

    fn file() -> NodeKind {
        NodeKind::File { size: 1, sums: None }
    }

    fn paths(layers: &[LayerScan]) -> Vec<String> {
        let mut tree = Tree::default();
        for (number, layer) in (0..).zip(layers) {
            tree.put(number, layer);
        }
        tree.iter().map(|(path, leaf)| format!("{path}@{}", leaf.layer)).collect()
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let base = layer(&[("a/x", file()), ("a/y", file()), ("ab", file())]);
        let top = LayerScan { whiteouts: vec!["a".into()], ..layer(&[("a/z", file())]) };
        assert_eq!(paths(&[base, top]), ["a/z@1", "ab@0"]);
    }

    #[test]
    fn opaque_folders_hide_what_is_below_them() {
        let base = layer(&[("a", NodeKind::Directory), ("a/x", file()), ("a0", file())]);
        let top = LayerScan {
            opaque: vec!["a".into()],
            ..layer(&[("a", NodeKind::Directory), ("a/z", file())])
        };
        assert_eq!(paths(&[base, top]), ["a@1", "a/z@1", "a0@0"]);
    }

    #[test]
    fn added_and_deleted_and_added_again() {
        let one = layer(&[("f", file())]);
        let gone = LayerScan { whiteouts: vec!["f".into()], ..LayerScan::default() };
        assert_eq!(paths(&[one.clone(), gone.clone(), one.clone()]), ["f@2"]);
        assert!(paths(&[one, gone]).is_empty());
    }

    #[test]
    fn a_file_in_place_of_a_folder_and_the_other_way_round() {
        let folder = layer(&[("a/x", file())]);
        let plain = layer(&[("a", file())]);
        assert_eq!(paths(&[folder.clone(), plain.clone()]), ["a@1"]);
        assert_eq!(paths(&[plain, folder]), ["a/x@1"]);
    }

    #[test]
    fn links_are_followed_inside_and_not_for_ever() {
        let base = layer(&[
            ("bin", NodeKind::Symlink("usr/bin".into())),
            ("usr/bin/sh", NodeKind::Symlink("/usr/bin/dash".into())),
            ("usr/bin/dash", file()),
            ("loop", NodeKind::Symlink("loop".into())),
            ("out", NodeKind::Symlink("../../../usr/bin/dash".into())),
        ]);
        let mut tree = Tree::default();
        tree.put(0, &base);
        assert_eq!(tree.resolve("bin/sh").as_deref(), Some("usr/bin/dash"));
        assert_eq!(tree.resolve("out").as_deref(), Some("usr/bin/dash"));
        assert_eq!(tree.resolve("loop"), None);
        assert_eq!(tree.resolve("nothing"), None);
    }

    #[test]
    fn hard_links_show_what_they_link_to() {
        let base = layer(&[("a", file()), ("b", NodeKind::Hardlink("a".into()))]);
        let top = layer(&[("c", NodeKind::Hardlink("nothing".into()))]);
        let mut tree = Tree::default();
        assert!(tree.put(0, &base).is_empty());
        assert_eq!(tree.put(1, &top), ["c"]);
        assert!(tree.get("b").is_some_and(|leaf| leaf.kind == LeafKind::File(None)));
    }

    #[test]
    fn setuid_by_a_hard_link_is_setuid_of_the_file() {
        let mut base = layer(&[("a", file()), ("b", NodeKind::Hardlink("a".into()))]);
        base.nodes[1].mode = 0o4755;
        let gone = LayerScan { whiteouts: vec!["b".into()], ..LayerScan::default() };
        let mut tree = Tree::default();
        tree.put(0, &base);
        tree.put(1, &gone);
        assert_eq!(tree.get("a").map(|leaf| leaf.mode & 0o6000), Some(0o4000));
    }
}
