//! What is done to the store, each from the same beginning.

use std::time::{Duration, Instant};

use sampan_tests::upstream::Registry;

use super::house::{House, accepted};
use super::small;

/// One thing that can be done.
#[derive(Clone, Copy)]
pub struct Verb {
    pub name: &'static str,
    /// A storage backend of its own.
    pub storage: Option<&'static str>,
    /// Makes the beginning, from whatever is there.
    pub prepare: fn(&mut House),
    /// Does it. What is gone already cannot be removed again: that is no error.
    pub act: fn(&House) -> Result<(), String>,
    /// That it was done, and is right.
    pub check: fn(&House),
    /// Points that this verb is not to be judged by: what others left for later is done meanwhile, too.
    pub beside: &'static [&'static str],
    /// After a kill there is all of it or nothing; blobs that were pushed wait for their manifest.
    pub whole: bool,
}

/// The test itself prunes and sweeps.
const SWEEPS: &[&str] = &["sweep.", "orphans.", "prune.", "images."];
const TIDIES: &[&str] = &["orphans.", "prune.", "images."];

/// All of them. A point that several reach belongs to the first.
pub const ALL: &[Verb] = &[
    Verb { name: "load", prepare: without_small, act: load, check: small_runs, ..ROW },
    Verb { name: "rmi", prepare: House::load_small_for, act: rmi, check: no_small, beside: TIDIES, ..ROW },
    Verb { name: "pull", prepare: to_pull, act: pull, check: pulled_runs, ..ROW },
    Verb { name: "push", prepare: to_push, act: push, check: pushed_comes_back, ..ROW },
    Verb { name: "upload", prepare: no_repository, act: upload, check: uploaded_runs, whole: false, ..ROW },
    Verb { name: "publish", prepare: to_publish, act: publish, check: uploaded_runs, whole: false, ..ROW },
    Verb { name: "delete manifest", prepare: with_repository, act: delete_manifest, check: no_manifest, ..ROW },
    Verb { name: "delete tag", prepare: with_repository, act: delete_tag, check: no_manifest, ..ROW },
    Verb {
        name: "delete repository",
        prepare: with_repository,
        act: delete_repository,
        check: no_manifest,
        beside: &["sweep.", "prune.", "images."],
        ..ROW
    },
    Verb { name: "delete blob", prepare: with_blob, act: delete_blob, check: no_blob, ..ROW },
    Verb { name: "mount", prepare: to_mount, act: mount, check: mounted, ..ROW },
    Verb { name: "cancel", prepare: with_repository, act: cancel, check: no_upload, ..ROW },
    Verb { name: "commit", prepare: to_commit, act: commit, check: committed_runs, ..ROW },
    Verb { name: "import", prepare: without_small, act: import, check: imported, ..ROW },
    Verb { name: "prune", prepare: House::load_small_for, act: prune, check: no_small, beside: &["orphans."], ..ROW },
    Verb { name: "tag", prepare: House::load_small_for, act: tag, check: tagged, ..ROW },
    Verb {
        name: "load into folders",
        storage: Some("folders"),
        prepare: without_small,
        act: load,
        check: small_runs,
        ..ROW
    },
];

const ROW: Verb = Verb {
    name: "",
    storage: Some("erofs"),
    prepare: without_small,
    act: load,
    check: small_runs,
    beside: SWEEPS,
    whole: true,
};

const SMALL: &str = "small:1";
const BLOB: &[u8] = b"a blob that no manifest names";

impl House {
    fn load_small_for(&mut self) {
        let _ = self.docker(&["rmi", "named:1"]);
        self.load_small();
    }

    fn upstream_name(&self) -> String {
        format!("{}/some/small:1", self.upstream.host())
    }

    fn own_name(&self) -> String {
        format!("{}/default/up:1", self.host())
    }
}

fn done(said: Result<String, String>) -> Result<(), String> {
    said.map(drop)
}

/// One that is gone is as good as removed.
fn gone(said: Result<String, String>) -> Result<(), String> {
    match said {
        Err(said) if said.contains("No such image") => Ok(()),
        said => done(said),
    }
}

fn without_small(house: &mut House) {
    for name in [SMALL, "made:1"] {
        gone(house.docker(&["rmi", name])).unwrap();
    }
}

fn load(house: &House) -> Result<(), String> {
    done(house.docker(&["load", "-qi", small::archive().to_str().unwrap()]))
}

fn small_runs(house: &House) {
    house.runs(SMALL);
}

fn rmi(house: &House) -> Result<(), String> {
    gone(house.docker(&["rmi", SMALL]))
}

fn prune(house: &House) -> Result<(), String> {
    done(house.docker(&["image", "prune", "-af"]))
}

fn no_small(house: &House) {
    assert_eq!(house.ok(&["images", "-q", "small"]), "");
}

fn tag(house: &House) -> Result<(), String> {
    done(house.docker(&["tag", SMALL, "named:1"]))
}

fn tagged(house: &House) {
    assert_ne!(house.ok(&["images", "-q", "named"]), "");
}

fn to_pull(house: &mut House) {
    let name = house.upstream_name();
    if !house.is_stocked {
        house.load_small();
        house.ok(&["tag", SMALL, &name]);
        house.ok(&["push", "-q", &name]);
        house.ok(&["rmi", SMALL]);
        house.is_stocked = true;
    }
    gone(house.docker(&["rmi", &name])).unwrap();
}

fn pull(house: &House) -> Result<(), String> {
    done(house.docker(&["pull", "-q", &house.upstream_name()]))
}

fn pulled_runs(house: &House) {
    house.runs(&house.upstream_name());
}

fn to_push(house: &mut House) {
    gone(house.docker(&["rmi", &house.upstream_name()])).unwrap();
    // One that has nothing yet.
    house.upstream = Registry::start();
    house.load_small();
    house.ok(&["tag", SMALL, &house.upstream_name()]);
}

fn push(house: &House) -> Result<(), String> {
    done(house.docker(&["push", "-q", &house.upstream_name()]))
}

fn pushed_comes_back(house: &House) {
    let name = house.upstream_name();
    // As it is there, and not as it is here.
    house.ok(&["rmi", SMALL, &name]);
    pull(house).unwrap();
    house.runs(&name);
    house.ok(&["tag", &name, SMALL]);
}

fn no_repository(house: &mut House) {
    house.remove_repository("up").unwrap();
    gone(house.docker(&["rmi", &house.own_name()])).unwrap();
    without_small(house);
}

fn with_repository(house: &mut House) {
    if house.manifest("up").unwrap().is_none() {
        house.skopeo("up").unwrap();
    }
}

fn upload(house: &House) -> Result<(), String> {
    done(house.skopeo("up"))
}

fn uploaded_runs(house: &House) {
    house.is_published("up");
}

fn to_publish(house: &mut House) {
    no_repository(house);
    house.load_small();
    house.ok(&["tag", SMALL, &house.own_name()]);
}

fn publish(house: &House) -> Result<(), String> {
    let name = house.own_name();
    house.docker(&["tag", SMALL, &name])?;
    done(house.docker(&["push", "-q", &name]))
}

fn delete_manifest(house: &House) -> Result<(), String> {
    match house.manifest("up")? {
        Some(digest) => accepted(house.amber.try_send("DELETE", &format!("/v2/default/up/manifests/{digest}")), &[202]),
        None => Ok(()),
    }
}

fn delete_tag(house: &House) -> Result<(), String> {
    accepted(house.amber.try_send("DELETE", "/v2/default/up/manifests/1"), &[202, 404])
}

fn delete_repository(house: &House) -> Result<(), String> {
    let tidied = || house.passed("orphans.deleted");
    let (there, before) = (house.manifest("up")?.is_some(), tidied());
    house.remove_repository("up")?;
    // Behind the answer, with what else goes within two seconds.
    let begun = Instant::now();
    while there && tidied() == before {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is tidied");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn no_manifest(house: &House) {
    assert_eq!(house.manifest("up").unwrap(), None);
}

fn blob_path() -> String {
    format!("/v2/default/up/blobs/{}", sampan_tests::registry::digest(BLOB))
}

fn with_blob(house: &mut House) {
    with_repository(house);
    house.amber.push_blob("default/up", BLOB);
}

fn delete_blob(house: &House) -> Result<(), String> {
    accepted(house.amber.try_send("DELETE", &blob_path()), &[202, 404])
}

fn no_blob(house: &House) {
    assert_eq!(house.amber.send("HEAD", &blob_path(), &[], b"").status, 404);
}

fn to_mount(house: &mut House) {
    with_blob(house);
    house.remove_repository("other").unwrap();
}

fn mount(house: &House) -> Result<(), String> {
    let blob = sampan_tests::registry::digest(BLOB);
    let path = format!("/v2/default/other/blobs/uploads/?mount={blob}&from=default/up");
    accepted(house.amber.try_send("POST", &path), &[201])
}

fn mounted(house: &House) {
    let path = blob_path().replace("default/up", "default/other");
    assert_eq!(house.amber.get(&path).body, BLOB);
}

fn cancel(house: &House) -> Result<(), String> {
    let begun = house.amber.try_send("POST", "/v2/default/up/blobs/uploads/").map_err(|error| error.to_string())?;
    let place = begun.header("location").ok_or_else(|| format!("{} {:?}", begun.status, begun.body))?;
    accepted(house.amber.try_send("DELETE", place), &[204])
}

fn no_upload(house: &House) {
    assert_eq!(house.uploads(), Vec::<String>::new());
}

fn to_commit(house: &mut House) {
    without_small(house);
    if house.docker(&["inspect", "box"]).is_err() {
        let words = format!("echo {} > /n; sleep 10000", small::SAYS);
        house.ok(&["run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", &words]);
        while house.docker(&["exec", "box", "test", "-s", "/n"]).is_err() {}
    }
}

fn commit(house: &House) -> Result<(), String> {
    done(house.docker(&["commit", "box", "made:1"]))
}

fn committed_runs(house: &House) {
    house.runs("made:1");
    // It stood still for a moment.
    assert_eq!(house.ok(&["inspect", "-f", "{{.State.Status}}", "box"]), "running");
    assert_eq!(house.ok(&["exec", "box", "cat", "/n"]), small::SAYS);
}

fn import(house: &House) -> Result<(), String> {
    done(house.docker(&["import", small::layer().to_str().unwrap(), "made:1"]))
}

fn imported(house: &House) {
    assert_ne!(house.ok(&["images", "-q", "made"]), "");
}
