//! A server with fault points, and what lies in its store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use sampan_tests::client::{docker, token};
use sampan_tests::images;
use sampan_tests::registry::Client;
use sampan_tests::server::{Server, program};
use sampan_tests::upstream::Registry;

use super::small;

/// Seconds that a command of the client may take.
const SECONDS: u32 = 30;
/// How long what follows an answer may take.
const SOON: Duration = Duration::from_secs(20);
/// Older than any grace that young things have.
const LONG_AGO: Duration = Duration::from_secs(200_000);

/// A server with `busybox`, whose fault points can be set; an owner of the team `default`.
pub struct House {
    pub server: Server,
    /// Where images come from and go to.
    pub upstream: Registry,
    /// At the registry inside.
    pub amber: Client,
    /// At the REST interface.
    pub rest: Client,
    /// `amber:TOKEN`.
    pub login: String,
    /// The other registry has the small image.
    pub is_stocked: bool,
}

impl House {
    pub fn new(storage: Option<&'static str>) -> Self {
        let server = Server::start_to_fail(storage);
        let secret = token(&server, "amber", "default", "owner");
        let house = Self {
            amber: Client::basic(&server, "amber", &secret),
            rest: Client::bearer(&server, &secret),
            login: format!("amber:{secret}"),
            upstream: Registry::start(),
            is_stocked: false,
            server,
        };
        house.ok(&["load", "-qi", images::busybox().to_str().unwrap()]);
        // A container keeps it from every prune.
        house.ok(&["create", "--name", "keeps", "busybox", "true"]);
        house
    }

    /// `HOST:PORT` of the registry inside.
    pub fn host(&self) -> String {
        self.server.http().to_string()
    }

    /// What the docker CLI says, or why not.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        outcome(docker(&self.server, SECONDS, arguments))
    }

    /// The same where nothing may fail.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.docker(arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    pub fn load_small(&self) {
        self.ok(&["load", "-qi", small::archive().to_str().unwrap()]);
    }

    /// That an image runs and has its own file.
    pub fn runs(&self, image: &str) {
        assert_eq!(self.ok(&["run", "--rm", "--network", "none", image, "cat", "/n"]), small::SAYS);
    }

    /// Puts the small image into a repository of the registry inside by skopeo.
    pub fn skopeo(&self, repository: &str) -> Result<String, String> {
        let (from, to) = (format!("docker-archive:{}", small::archive().display()), self.place(repository));
        let words = ["-k", "1", "60", "skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", &self.login];
        outcome(Command::new("timeout").args(words).args([&from, &to]).output().unwrap())
    }

    fn place(&self, repository: &str) -> String {
        format!("docker://{}/default/{repository}:1", self.host())
    }

    /// Digest of the manifest under the tag `1`; none when it is not there.
    pub fn manifest(&self, repository: &str) -> Result<Option<String>, String> {
        let answer = self.amber.try_send("HEAD", &format!("/v2/default/{repository}/manifests/1"));
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(answer.header("docker-content-digest").map(str::to_owned))
    }

    /// That the small image is whole in a repository of the registry inside: it becomes one of the team, and runs.
    pub fn is_published(&self, repository: &str) {
        let name = format!("{}/default/{repository}:1", self.host());
        self.ok(&["pull", "-q", &name]);
        self.runs(&name);
        self.ok(&["rmi", &name]);
    }

    /// Removes a repository with all that is in it; one that is not there is no error.
    pub fn remove_repository(&self, repository: &str) -> Result<(), String> {
        accepted(self.rest.try_send("DELETE", &format!("/api/v1/repositories/{repository}")), &[200, 204, 404])
    }

    fn faults(&self, name: &str) -> PathBuf {
        self.server.data_root().join("faults").join(name)
    }

    /// All points there are: `step NAME`, `write NAME`.
    pub fn points(&self) -> Vec<String> {
        lines(&self.faults("points"))
    }

    /// Names of the points that were passed since it was forgotten.
    pub fn reached(&self) -> Vec<String> {
        lines(&self.faults("reached"))
    }

    pub fn forget_reached(&self) {
        let _ = fs::remove_file(self.faults("reached"));
    }

    pub fn set(&self, point: &str, what: &str) {
        let (beside, set) = (self.faults("next"), self.faults("set"));
        fs::write(&beside, format!("{point} {what}")).unwrap();
        fs::rename(beside, set).unwrap();
    }

    pub fn clear(&self) {
        let _ = fs::remove_file(self.faults("set"));
    }

    /// What lies in the store but for uploads, each name once; blobs are counted only, since some name a time.
    pub fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["content", "content/tmp", "layers", "layers/tmp", "layers/merged", "layers/folders"] {
            for name in names(&self.server.data_root().join(folder)) {
                let shown = if folder == "content" && name.len() == 64 { "blob" } else { &name };
                found.push(format!("{folder}/{shown}"));
            }
        }
        found.sort();
        found
    }

    pub fn uploads(&self) -> Vec<String> {
        names(&self.server.data_root().join("content/uploads"))
    }

    /// Makes all files of a folder so old that no grace protects them.
    pub fn age(&self, folder: &str) {
        let folder = self.server.data_root().join(folder);
        for name in names(&folder) {
            // A sweep may have been here first.
            if let Ok(file) = File::open(folder.join(name))
                && file.metadata().unwrap().is_file()
            {
                file.set_modified(SystemTime::now() - LONG_AGO).unwrap();
            }
        }
    }

    /// Ages and sweeps, until the store has one of these listings.
    pub fn swept_to(&self, wanted: &[&[String]], when: &str) {
        let begun = Instant::now();
        loop {
            self.age("content");
            self.ok(&["image", "prune", "-f"]);
            let seen = self.until_quiet(wanted);
            if wanted.iter().any(|one| *one == seen) {
                return;
            }
            assert!(begun.elapsed() < SOON, "{when}: the store has {seen:#?}\nand should have one of {wanted:#?}");
        }
    }

    /// The listing, as soon as it is a wanted one or a sweep had its time.
    fn until_quiet(&self, wanted: &[&[String]]) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let seen = self.listing();
            if wanted.iter().any(|one| *one == seen) || begun.elapsed() > Duration::from_secs(1) {
                return seen;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The listing when everything unused was swept and no sweep runs.
    pub fn settled(&self) -> Vec<String> {
        for _ in 0..2 {
            let before = self.passed("sweep.done");
            self.age("content");
            self.ok(&["image", "prune", "-f"]);
            let begun = Instant::now();
            while self.passed("sweep.done") == before {
                assert!(begun.elapsed() < SOON, "no sweep ends");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.quiet();
        self.listing()
    }

    /// Waits until no sweep runs, or for a second: one that was refused is never done.
    pub fn quiet(&self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(20));
            if self.passed("sweep.done") >= self.passed("sweep.marked") {
                return;
            }
        }
    }

    /// How often a point was passed since that was forgotten.
    pub fn passed(&self, point: &str) -> usize {
        self.reached().iter().filter(|name| *name == point).count()
    }

    /// That `sampan doctor` finds nothing.
    pub fn is_sound(&self, when: &str) {
        let ran = Command::new(program()).arg("doctor").arg("--data-root").arg(self.server.data_root()).output();
        let said = outcome(ran.unwrap());
        assert!(said.as_ref().is_ok_and(|said| said.contains("nothing is damaged")), "{when}: {said:?}");
    }
}

/// What a program says, or why not.
fn outcome(ran: Output) -> Result<String, String> {
    let said = String::from_utf8_lossy(&ran.stdout).trim_end().to_owned();
    match ran.status.success() {
        true => Ok(said),
        false => Err(format!("{said} {}", String::from_utf8_lossy(&ran.stderr))),
    }
}

/// Whether an answer has one of these statuses.
pub fn accepted(answer: std::io::Result<sampan_tests::registry::Answer>, statuses: &[u16]) -> Result<(), String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match statuses.contains(&answer.status) {
        true => Ok(()),
        false => Err(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
