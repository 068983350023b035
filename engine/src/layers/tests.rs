//! Tars in every dialect, read piece by piece, and the index written from them.

use std::io::Read;

use proptest::prelude::*;

use super::LayerError;
use super::sparse;
use super::tar_in::{TarIndex, TarReader};
use super::testing::{Entry, header, seal, tar};
use crate::erofs::tree::{Body, Data, Tree};
use crate::erofs::{self, Marks};

fn read(bytes: &[u8], piece: usize) -> Result<TarIndex, LayerError> {
    let mut reader = TarReader::default();
    for part in bytes.chunks(piece) {
        reader.feed(part.to_vec().into())?;
    }
    reader.finish()
}

fn sample() -> Vec<Entry> {
    let long = "long/".to_owned() + &"n/".repeat(60) + "end";
    vec![
        Entry::folder("./", 0o755),
        Entry::folder("bin", 0o700),
        Entry::file("bin/a", &[7; 3000]),
        Entry::link("bin/b", "bin/a"),
        Entry::symlink("way", "bin/a"),
        Entry { device: (1, 3), ..Entry::new("null", b'3', 0o666) },
        Entry { device: (7, 300), ..Entry::new("disk", b'4', 0o660) },
        Entry::new("pipe", b'6', 0o600),
        Entry::file("cut", b"x").pax("path", long.as_bytes()).pax("mtime", b"-86400.5"),
        Entry::file("attributes", b"")
            .pax("SCHILY.xattr.user.note", b"a\n\0b")
            .pax("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        Entry::file("bin/.wh.gone", b""),
        Entry::file("opaque/.wh..wh..opq", b""),
        Entry::link("below", "of/lower"),
        Entry { uid: 70_000, ..Entry::file("high", b"") },
    ]
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    let bytes = tar(&sample());
    let whole = read(&bytes, bytes.len()).unwrap();
    for piece in [1, 7, 511, 512, 513, 4096] {
        assert_eq!(read(&bytes, piece).unwrap().tree, whole.tree, "{piece}");
    }
    let at = |path: &str| whole.tree.node(whole.tree.find(path.as_bytes()).unwrap());
    let far = at(&("long/".to_owned() + &"n/".repeat(60) + "end"));
    assert_eq!((far.meta.seconds, far.meta.nanoseconds), (-86_401, 500_000_000));
    let attributes = &at("attributes").meta.attributes;
    assert_eq!(attributes[..], [(b"user.note"[..].into(), b"a\n\0b"[..].into())]);
    assert_eq!(whole.tree.find(b"bin/a"), whole.tree.find(b"bin/b"));
    assert_eq!((whole.high_ids[0].id, whole.high_ids[0].path.as_str()), (70_000, "high"));
    assert_eq!(at("bin/a").body, Body::File { size: 3000, data: Data::Run { device: 1, block: 3 } });
}

#[test]
fn a_tar_that_is_cut_anywhere_within_an_entry_is_refused() {
    let bytes = tar(&[Entry::file("a", &[1; 1000])]);
    for length in [100, 511, 513, 1000, 1500, 1535] {
        assert!(matches!(read(&bytes[..length], 400), Err(LayerError::Truncated { .. })), "{length}");
    }
    // Without its end marks, as some tools leave it.
    assert!(read(&bytes[..1536], 400).is_ok());
}

#[test]
fn damaged_and_oversized_headers_are_refused() {
    let mut checksum = tar(&[Entry::file("a", b"")]);
    checksum[0] = b'b';
    assert!(matches!(read(&checksum, 512), Err(LayerError::Tar { .. })));
    let mut negative = header(&Entry::file("a", b""), 0);
    negative[124..136].copy_from_slice(&[&[0xff; 10][..], &[0xfe, 0]].concat());
    seal(&mut negative);
    assert!(matches!(read(&negative, 512), Err(LayerError::TooLarge { .. })));
    let record = Entry::file("a", b"").pax("comment", &vec![b'x'; 2 << 20]);
    assert!(matches!(read(&tar(&[record]), 4096), Err(LayerError::TooLarge { .. })));
    for key in ["size", "uid", "gid", "mtime"] {
        let wrong = Entry::file("a", b"").pax(key, b"no number");
        assert!(matches!(read(&tar(&[wrong]), 4096), Err(LayerError::Tar { .. })), "{key}");
    }
    let kind = Entry::new("a", b'D', 0o644);
    assert!(matches!(read(&tar(&[kind]), 512), Err(LayerError::Unsupported { .. })));
}

#[test]
fn hostile_links_are_refused() {
    for entry in [Entry::link("a", "a"), Entry::link("a", "../a"), Entry::link("a", "/"), Entry::symlink("a", "")] {
        assert!(matches!(read(&tar(std::slice::from_ref(&entry)), 512), Err(LayerError::Hostile { .. })), "{entry:?}");
    }
    let folder = [Entry::folder("d", 0o755), Entry::link("a", "d")];
    assert!(matches!(read(&tar(&folder), 512), Err(LayerError::Hostile { .. })));
}

#[test]
fn sparse_files_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    // Two pieces that begin at no block, packed without a gap.
    let (first, second) = (vec![1; 700], vec![2; 300]);
    let entry = Entry::file("s", &[&first[..], &second].concat())
        .pax("GNU.sparse.map", b"100,700,9000,300")
        .pax("GNU.sparse.size", b"20000")
        .pax("GNU.sparse.name", b"real");
    let bytes = tar(&[entry]);
    let mut found = read(&bytes, 512).unwrap();
    let path = folder.path().join("tar");
    std::fs::write(&path, &bytes).unwrap();
    let tar = std::fs::File::open(&path).unwrap();
    let side = folder.path().join("side");
    let size = sparse::lay_out(&mut found.tree, &found.sparse, &tar, &side).unwrap();
    let mut data = Vec::new();
    std::fs::File::open(&side).unwrap().read_to_end(&mut data).unwrap();
    assert_eq!(data.len() as u64, size);

    let mut wanted = vec![0; 20_000];
    wanted[100..800].copy_from_slice(&first);
    wanted[9000..9300].copy_from_slice(&second);
    let Body::File { size: 20_000, data: Data::Chunks { bits, device: 2, blocks } } =
        &found.tree.node(found.tree.find(b"real").unwrap()).body
    else {
        panic!("{:?}", found.tree)
    };
    let mut shown = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let chunk = 512 << bits;
        let start = *block as usize * 512;
        let part = if *block == u32::MAX { &[][..] } else { &data[start..data.len().min(start + chunk)] };
        shown.extend_from_slice(part);
        shown.resize((number + 1) * chunk, 0);
    }
    assert_eq!(shown[..20_000], wanted);
}

#[test]
fn maps_of_sparse_files_that_overlap_or_reach_too_far_are_refused() {
    for map in ["0,10,5,10", "10,10,0,5", "0,30000", "0,18446744073709551615,1,1", "0,20000"] {
        let entry =
            Entry::file("s", b"0123456789").pax("GNU.sparse.map", map.as_bytes()).pax("GNU.sparse.size", b"20000");
        assert!(matches!(read(&tar(&[entry]), 512), Err(LayerError::Tar { .. })), "{map}");
    }
    let huge = Entry::file("s", b"0").pax("GNU.sparse.map", b"0,1").pax("GNU.sparse.size", b"4503599627370496");
    assert!(matches!(read(&tar(&[huge]), 512), Err(LayerError::TooLarge { .. })));
}

/// Trees are equal when each path shows the same; arenas may be numbered differently.
fn shown(tree: &Tree) -> Vec<(Vec<u8>, String)> {
    let plain = |id| match &tree.node(id).body {
        Body::Folder(folder) => format!("{:?} {} {}", folder.children.keys(), folder.opaque, folder.implied),
        body => format!("{body:?}"),
    };
    tree.walk().into_iter().map(|(id, path)| (path, format!("{:?} {}", tree.node(id).meta, plain(id)))).collect()
}

#[test]
fn an_index_reads_back_as_it_was_written_with_its_marks() {
    let tree = read(&tar(&sample()), 512).unwrap().tree;
    let bytes = erofs::write(&tree, &[], Marks::Keep).unwrap();
    let (back, devices) = erofs::read(&bytes).unwrap();
    assert!(shown(&back) == shown(&tree));
    assert_eq!(devices, vec![]);
    assert_eq!(back.find(b"bin/a"), back.find(b"bin/b"));
    assert!(erofs::write(&tree, &[], Marks::Refuse).is_err());
}

proptest! {
    #[test]
    fn trees_of_any_names_survive_the_index(
        names in prop::collection::btree_set(prop::collection::vec("[!-.0-9A-z]{1,255}", 1..4), 0..60),
        size in 0..1u64 << 40,
    ) {
        let entries: Vec<Entry> = names
            .iter()
            .filter(|parts| parts.iter().all(|part| !matches!(part.as_str(), "." | "..") && !part.starts_with(".wh.")))
            .map(|parts| Entry::file("x", b"").pax("path", parts.join("/").as_bytes()))
            .collect();
        let mut tree = read(&tar(&entries), 4096).unwrap().tree;
        for id in 1..tree.len() {
            if let Body::File { size: into, data } = &mut tree.node_mut(id as u32).body {
                (*into, *data) = (size, Data::Run { device: 1, block: if size > 0 { id as u32 } else { 0 } });
            }
        }
        let (back, _) = erofs::read(&erofs::write(&tree, &[], Marks::Keep).unwrap()).unwrap();
        prop_assert!(shown(&back) == shown(&tree));
    }

    #[test]
    fn damage_never_panics(at: prop::sample::Index, byte: u8, mut bytes in Just(erofs::write(&read(&tar(&sample()), 512).unwrap().tree, &[], Marks::Keep).unwrap())) {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = erofs::read(&bytes);
    }

    #[test]
    fn a_damaged_tar_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), piece in 1..2000usize) {
        let mut bytes = tar(&sample());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes, piece);
    }
}
