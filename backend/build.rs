//! Makes sure that the folder of bundled web files exists, so that a build without `make web` compiles (and serves
//! pages without styles); tells cargo to build again when it changes.
use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist");
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo:warning=cannot make {}: {error}", dist.display());
    }
    // The profile's `strip` does not reach a package that has an opt-level of its own; C libraries' tables would be 150 MB.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--strip-debug");
    }
    println!("cargo:rerun-if-changed=../web/dist/manifest.json");
    println!("cargo:rerun-if-changed=../web/templates");
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-changed=build.rs");
}
