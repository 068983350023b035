use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fluent_bundle::FluentResource;

use super::catalogue::{CHINESE, ENGLISH};
use super::{Language, Texts};

/// Keys of a catalogue with the names of the values that each asks for.
fn keys(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    FluentResource::try_new(source.to_owned()).unwrap_or_else(|(_, errors)| panic!("syntax: {errors:?}"));
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '}'])) {
            current = key.to_owned();
            assert!(keys.insert(current.clone(), BTreeSet::new()).is_none(), "{current} stands there twice");
        }
        for part in line.split("{ $").skip(1) {
            let name: String = part.chars().take_while(char::is_ascii_alphanumeric).collect();
            keys.entry(current.clone()).or_default().insert(name);
        }
    }
    keys
}

#[test]
fn both_catalogues_have_the_same_keys_and_values() {
    assert_eq!(keys(ENGLISH), keys(CHINESE));
}

#[test]
fn no_chinese_text_is_still_english() {
    let same = |key: &&String| {
        Texts::of(Language::English).get(key) == Texts::of(Language::Chinese).get(key)
            && Texts::of(Language::English).get(key).chars().filter(char::is_ascii_lowercase).count() > 24
    };
    let untranslated: Vec<String> = keys(ENGLISH).keys().filter(same).cloned().collect();
    assert_eq!(untranslated, Vec::<String>::new());
}

/// Keys that templates and page code name as literals.
fn used_keys(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            used_keys(&entry, found);
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap_or_default();
        for call in
            ["t.get(\"", "t.with(\"", "t.with2(\"", "t.args(\"", "texts.get(\"", "texts.with(\"", "texts.args(\""]
        {
            for part in text.split(call).skip(1) {
                found.extend(part.split('"').next().map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_key_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut used = BTreeSet::new();
    used_keys(&root.join("../web/templates"), &mut used);
    used_keys(&root.join("src/doors/pages"), &mut used);
    let known = keys(ENGLISH);
    let missing: Vec<&String> = used.iter().filter(|key| !known.contains_key(*key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    assert!(!used.is_empty(), "the search found no key at all");
}

#[test]
fn the_browsers_first_known_language_wins() {
    assert_eq!(Language::negotiate("fr, zh-TW;q=0.9, en;q=0.8"), Language::Chinese);
    assert_eq!(Language::negotiate("en-GB,en;q=0.9,zh;q=0.1"), Language::English);
    assert_eq!(Language::negotiate(""), Language::English);
}
