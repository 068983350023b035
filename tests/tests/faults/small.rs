//! A small image over busybox: `small:1`, whose second layer has `/n` and a sparse file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sampan_tests::images;
use sampan_tests::registry::digest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What `/n` says.
pub const SAYS: &str = "here";

/// Its archive, made once for all.
pub fn archive() -> &'static Path {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &MADE.get_or_init(make).1
}

fn make() -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("sampan-small-").tempdir().unwrap();
    let (out, files) = (folder.path().join("out"), folder.path().join("files"));
    for made in [&out, &files] {
        fs::create_dir(made).unwrap();
    }
    tar(&["-C", path(&out), "-xf", path(&images::busybox())]);
    fs::write(files.join("n"), format!("{SAYS}\n")).unwrap();
    let sparse = File::create(files.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 1 << 19).unwrap();
    let own = ["--sparse", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-C", path(&files)];
    let layer = out.join("own.tar");
    tar(&[&own[..], &["-cf", path(&layer), "n", "sparse"]].concat());

    let read = |name: &str| serde_json::from_slice::<Value>(&fs::read(out.join(name)).unwrap()).unwrap();
    let mut manifest = read("manifest.json");
    let mut config = read(manifest[0]["Config"].as_str().unwrap());
    let push = |list: &mut Value, item: Value| list.as_array_mut().unwrap().push(item);
    push(&mut config["rootfs"]["diff_ids"], json!(digest(&fs::read(&layer).unwrap())));
    push(&mut config["history"], json!({ "created_by": "own" }));
    let below = manifest[0]["Layers"][0].as_str().unwrap().to_owned();
    push(&mut manifest[0]["Layers"], json!("own.tar"));
    manifest[0]["Config"] = json!("config.json");
    manifest[0]["RepoTags"] = json!(["small:1"]);
    fs::write(out.join("config.json"), config.to_string()).unwrap();
    fs::write(out.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = folder.path().join("small.tar");
    tar(&["-C", path(&out), "-cf", path(&archive), "manifest.json", "config.json", &below, "own.tar"]);
    (folder, archive)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn tar(arguments: &[&str]) {
    assert!(Command::new("tar").args(arguments).status().unwrap().success(), "tar {arguments:?}");
}

/// Its own layer alone.
pub fn layer() -> PathBuf {
    archive().with_file_name("out").join("own.tar")
}
