//! A handler without a grant does not compile.
//!
//! Each file in `grants/` is compiled against the library as it was built for this test, and must fail with the error
//! that its first line names; `allowed.rs` must compile, which shows that the others fail for that reason alone.
//! (trybuild does the same, but checks all dependencies anew in a target folder of its own, which takes minutes.)

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where cargo put the library and what it depends on.
fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sampan")).parent().unwrap().to_owned()
}

/// The library that was built last: for this test. `cargo test` does not put one without a hash into the target folder.
fn newest_library(folder: &Path) -> PathBuf {
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("libsampan-") && name.ends_with(".rlib")
        })
        .map(|entry| (entry.metadata().unwrap().modified().unwrap(), entry.path()))
        .collect();
    found.sort();
    found.pop().expect("the library was built").1
}

fn compile(file: &Path, out: &Path) -> Output {
    let target = target();
    let mut dependencies = std::ffi::OsString::from("dependency=");
    dependencies.push(target.join("deps"));
    let mut library = std::ffi::OsString::from("sampan=");
    library.push(newest_library(&target.join("deps")));
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--out-dir"])
        .arg(out)
        .arg("-L")
        .arg(dependencies)
        .arg("--extern")
        .arg(library)
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn a_handler_cannot_make_a_grant_nor_call_a_service_without_one() {
    let out = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/grants")).unwrap() {
        let file = entry.unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        let said = compile(&file, out.path());
        let errors = String::from_utf8_lossy(&said.stderr);
        match text.lines().next().unwrap().strip_prefix("// fails: ") {
            Some(code) => {
                assert!(!said.status.success(), "{} compiles", file.display());
                assert!(errors.contains(&format!("error[{code}]")), "{}: {errors}", file.display());
                assert_eq!(errors.matches("error[").count(), 1, "{}: {errors}", file.display());
                refused += 1;
            }
            None => assert!(said.status.success(), "{}: {errors}", file.display()),
        }
    }
    assert_eq!(refused, 6);
}
