//! Images made of tars written here, compared without a database; parsers with whatever bytes.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::layers::LayerStore;
use crate::layers::testing::{Entry, tar};

struct Store {
    layers: LayerStore,
    _root: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { layers: LayerStore::open(root.path()).unwrap(), _root: root }
    }

    fn layer(&self, entries: &[Entry]) -> Digest {
        let mut ingest = self.layers.begin().unwrap();
        ingest.write(tar(entries).into()).unwrap();
        let layer = ingest.finish().unwrap().wait().unwrap();
        let diff_id = layer.diff_id;
        self.layers.adopt(layer).unwrap();
        diff_id
    }

    fn compare(&self, before: &[Digest], after: &[Digest], most: usize) -> Difference {
        let side = |diff_ids: &[Digest]| Side { configuration: Default::default(), diff_ids: diff_ids.to_vec() };
        compare(&self.layers, &side(before), &side(after), most, &AtomicBool::new(false)).unwrap()
    }
}

fn shown(files: &Files) -> Vec<String> {
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    let one = |one: &FileDifference| {
        let (before, after) = (bytes(one.before_bytes), bytes(one.after_bytes));
        format!("{:?} {} {before} {after}{}", one.change, one.path, if one.content { "" } else { " meta" })
    };
    let mut all: Vec<String> = files.listed.iter().map(one).collect();
    all.sort();
    all
}

#[test]
fn files_are_told_by_what_became_of_them() {
    let store = Store::new();
    let base = store.layer(&[
        Entry::folder("etc", 0o755),
        Entry::file("etc/same", b"same"),
        Entry::file("etc/copied", b"copied"),
        Entry::file("etc/grown", b"x"),
        Entry::file("etc/turned", b"abcd"),
        Entry::file("etc/mode", b"m"),
        Entry::symlink("way", "etc/same"),
        Entry::folder("old", 0o755),
        Entry::file("old/deep", &[1; 700]),
        Entry::file("kind", b"was a file"),
    ]);
    let above = store.layer(&[
        Entry { mtime: 1, ..Entry::file("etc/copied", b"copied") },
        Entry::file("etc/grown", b"xyz"),
        Entry::file("etc/turned", b"abce"),
        Entry { mode: 0o600, ..Entry::file("etc/mode", b"m") },
        Entry::symlink("way", "etc/other"),
        Entry::file(".wh.old", b""),
        Entry::folder("kind", 0o755),
        Entry::file("kind/inside", b"12345"),
        Entry::file("new", &[2; 900]),
    ]);
    let found = store.compare(&[base], &[base, above], 100).files;
    assert_eq!(
        shown(&found),
        [
            "Added /kind/inside - 5",
            "Added /new - 900",
            "Changed /etc/grown 1 3",
            "Changed /etc/mode 1 1 meta",
            "Changed /etc/turned 4 4",
            "Changed /kind 10 0",
            "Changed /way 0 0",
            "Removed /old 0 -",
            "Removed /old/deep 700 -",
        ]
    );
    assert_eq!(found.added, Total { count: 2, before_bytes: 0, after_bytes: 905 });
    assert_eq!(found.removed, Total { count: 2, before_bytes: 700, after_bytes: 0 });
    assert_eq!((found.changed.count, found.more(), found.not_compared), (5, 0, 0));
    // The other way round, the same names.
    let back = store.compare(&[base, above], &[base], 100).files;
    assert_eq!((back.added.count, back.changed.count, back.removed.count), (2, 5, 2));
    assert_eq!(store.compare(&[base, above], &[base, above], 100).files, Files::default());
    // Nothing at all beside something.
    assert_eq!(store.compare(&[], &[base], 0).files.added.count, 10);
}

#[test]
fn only_the_largest_are_listed_and_the_rest_is_counted() {
    let store = Store::new();
    let entries: Vec<Entry> = (1..=50).map(|size| Entry::file(&format!("f{size:02}"), &vec![0; size])).collect();
    let (none, all) = (store.layer(&[Entry::folder("a", 0o755)]), store.layer(&entries));
    let found = store.compare(&[none], &[none, all], 3).files;
    let names: Vec<&str> = found.listed.iter().map(|one| one.path.as_str()).collect();
    assert_eq!((names, found.more(), found.added.count), (vec!["/f50", "/f49", "/f48"], 47, 50));
    assert_eq!(found.added.after_bytes, (1..=50).sum::<u64>());
}

#[test]
fn an_image_without_its_merged_index_is_compared_all_the_same() {
    let store = Store::new();
    let (a, b) = (store.layer(&[Entry::file("a", b"a")]), store.layer(&[Entry::file("b", b"b")]));
    let before = store.compare(&[a], &[a, b], 10);
    store.layers.adopt_root(&store.layers.merge(&[a, b], &[]).unwrap().unwrap()).unwrap();
    assert_eq!(store.compare(&[a], &[a, b], 10), before);
    let gone = Digest::of(b"gone");
    let side = |diff_ids: Vec<Digest>| Side { configuration: Default::default(), diff_ids };
    let missing = compare(&store.layers, &side(vec![gone]), &side(vec![a]), 1, &AtomicBool::new(false));
    assert!(matches!(missing, Err(LayerError::Missing { diff_id }) if diff_id == gone));
}

const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-1\n\
    Description: C\n library\n  Version: no\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
    Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.41-1";
const INSTALLED: &str = "C:Q1x\nP:musl\nV:1.2.5-r1\nA:x86_64\nF:lib\nR:ld-musl\n\nP:busybox\nV:1.37\nA:x86_64\n\n";

#[test]
fn packages_are_read_from_what_their_managers_keep() {
    let store = Store::new();
    let old = store.layer(&[
        Entry::file("var/lib/dpkg/status", STATUS.as_bytes()),
        Entry::file("var/lib/dpkg/status.d/tzdata", b"Package: tzdata\nVersion: 2025a\nArchitecture: all\n"),
        Entry::file("var/lib/dpkg/status.d/tzdata.md5sums", b"Package: no\n"),
        Entry::file("lib/apk/db/installed", INSTALLED.as_bytes()),
    ]);
    let new = store.layer(&[
        Entry::file("var/lib/dpkg/status", STATUS.replace("2.41-1\nDesc", "2.41-2\nDesc").as_bytes()),
        Entry::file("lib/apk/db/.wh.installed", b""),
        Entry::file("var/lib/rpm/rpmdb.sqlite", b"SQLite"),
    ]);
    let found = store.compare(&[old], &[old, new], 100).packages;
    let shown: Vec<String> = found
        .listed
        .iter()
        .map(|one| format!("{} {} {} {:?} {:?}", one.manager, one.name, one.architecture, one.before, one.after))
        .collect();
    assert_eq!(
        shown,
        [
            r#"apk busybox x86_64 Some("1.37") None"#,
            r#"dpkg libc6 amd64 Some("2.41-1") Some("2.41-2")"#,
            r#"apk musl x86_64 Some("1.2.5-r1") None"#,
        ]
    );
    assert_eq!((found.before, found.after, found.more), (5, 3, 0));
    assert_eq!((found.not_read, found.incomplete), (vec!["rpm"], false));
    let cut = store.compare(&[old], &[old, new], 1).packages;
    assert_eq!((cut.listed.len(), cut.more), (1, 2));
}

#[test]
fn settings_are_told_one_by_one() {
    let of = |config| serde_json::from_value::<ImageConfiguration>(json!({ "os": "linux", "config": config })).unwrap();
    let before = of(json!({ "Env": ["A=1", "B=2"], "Cmd": ["sh"], "User": "1000", "Labels": { "x": "1" } }));
    let after = of(json!({ "Env": ["A=1", "B=3", "C="], "Cmd": ["sh", "-c"], "ExposedPorts": { "80/tcp": {} },
                           "Labels": { "x": "1" }, "WorkingDir": "/app" }));
    let found = configuration::compare(&before, &after);
    let shown: Vec<String> =
        found.iter().map(|one| format!("{:?} {} {:?} {:?}", one.kind, one.name, one.before, one.after)).collect();
    assert_eq!(
        shown,
        [
            r#"Command  Some("[\"sh\"]") Some("[\"sh\",\"-c\"]")"#,
            r#"User  Some("1000") None"#,
            r#"WorkingDirectory  None Some("/app")"#,
            r#"Environment B Some("2") Some("3")"#,
            r#"Environment C None Some("")"#,
            r#"ExposedPort 80/tcp None Some("")"#,
        ]
    );
    assert_eq!(configuration::compare(&before, &before), []);
}

/// A layer's names and bytes, and what the same is on top of another one.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let file = ("[ab]{1,2}(/[ab]{1,2}){0,2}", prop::collection::vec(any::<u8>(), 0..40), 0..4_u8);
    let entry = file.prop_map(|(name, data, kind)| match kind {
        0 => Entry::folder(&name, 0o755),
        1 => Entry::symlink(&name, "a"),
        2 => match name.rsplit_once('/') {
            Some((folder, last)) => Entry::file(&format!("{folder}/.wh.{last}"), b""),
            None => Entry::file(&format!(".wh.{name}"), b""),
        },
        _ => Entry::file(&name, &data),
    });
    prop::collection::vec(entry, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever two images hold: totals and lists are the same the other way round, and an image is itself.
    #[test]
    fn a_difference_is_its_reverse_turned_round(one in entries(), other in entries(), most in 0..20_usize) {
        let store = Store::new();
        let (one, other) = (store.layer(&one), store.layer(&other));
        let (before, after) = (vec![one], vec![one, other]);
        let (there, back) = (store.compare(&before, &after, most), store.compare(&after, &before, most));
        prop_assert_eq!(there.files.added.count, back.files.removed.count);
        prop_assert_eq!(there.files.added.after_bytes, back.files.removed.before_bytes);
        prop_assert_eq!(there.files.changed.count, back.files.changed.count);
        prop_assert_eq!(there.files.more(), back.files.more());
        prop_assert!(there.files.listed.len() <= most);
        prop_assert_eq!(store.compare(&after, &after, most).files, Files::default());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_packages_without_panic_and_within_bounds(bytes: Vec<u8>) {
        read_all(&bytes);
    }

    #[test]
    fn nearly_right_databases_are_read_without_panic(
        lines in prop::collection::vec("(Package|package|P|V|A|Version|Status| ):? ?[ -~\u{e9}]{0,12}\r?", 0..60),
    ) {
        read_all(lines.join("\n").as_bytes());
    }
}

fn read_all(bytes: &[u8]) {
    let mut installed = packages::Installed::default();
    packages::dpkg(bytes, &mut installed).unwrap();
    packages::apk(bytes, &mut installed).unwrap();
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(installed.shown().len() <= lines);
}

#[test]
fn a_line_without_an_end_is_cut() {
    let long = [b"P:".as_slice(), &vec![b'x'; 1 << 20], b"\nV:1\n\n"].concat();
    let mut installed = packages::Installed::default();
    packages::apk(long.as_slice(), &mut installed).unwrap();
    assert!(installed.shown()[0].len() < 5_000);
}
