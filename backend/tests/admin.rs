//! `sampan admin` as it is typed, on a data root that only its owner can enter, in a folder that only root can.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sampan::accounts::{Accounts, IdRange};
use sampan::auth::secret::hash;
use sampan::auth::{Passwords, Role};

/// A uid that nobody has.
const OWNER: u32 = 61_234;

struct DataRoot {
    folder: tempfile::TempDir,
}

impl DataRoot {
    /// As `serve` leaves it: the schema, a range for three teams, the team `default`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let root = Self { folder };
        std::fs::create_dir(root.path()).unwrap();
        root.accounts(async |accounts| {
            accounts.record_id_ranges(&[IdRange { first: 1_879_048_192, teams: 3 }]).await.unwrap();
            accounts.default_team().await.unwrap();
        });
        for entry in std::fs::read_dir(root.path()).unwrap() {
            chown(entry.unwrap().path(), Some(OWNER), Some(OWNER)).unwrap();
        }
        chown(root.path(), Some(OWNER), Some(OWNER)).unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        root
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn accounts<T>(&self, work: impl AsyncFnOnce(&Accounts) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let accounts = Accounts::open(&self.path()).await.unwrap();
            let result = work(&accounts).await;
            accounts.close().await;
            result
        })
    }

    fn admin(&self, arguments: &[&str], input: &str) -> Output {
        sampan(&self.path(), arguments, input)
    }
}

fn sampan(data_root: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sampan"))
        .arg("admin")
        .args(arguments)
        .arg("--data-root")
        .arg(data_root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends without reading closes the pipe: that is for the test to see in its status.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_user_gets_into_a_team_and_a_token_that_an_open_instance_knows_at_once() {
    let root = DataRoot::new();
    root.accounts(async |instance| {
        text(&root.admin(&["create-user", "amber", "--password-stdin"], "correct horse\n"));
        text(&root.admin(&["create-team", "blue"], ""));
        text(&root.admin(&["add-member", "blue", "amber", "developer"], ""));
        let said = text(&root.admin(&["create-token", "amber", "--team", "blue"], ""));
        let token = said.lines().last().unwrap().to_owned();
        assert!(token.len() >= 24, "{token}");
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{token}");

        let owner = instance.owner_of_token(&hash(&token)).await.unwrap().unwrap();
        assert_eq!((owner.user_name.as_str(), owner.team.name.as_str()), ("amber", "blue"));
        assert_eq!(owner.team.role, Role::Developer);
        assert_eq!(owner.team.owner.base_id, 1_879_048_192 + 65_536);
        assert!(!owner.is_administrator);
        let secrets = instance.secrets_of("amber").await.unwrap().unwrap();
        assert!(Passwords::new().unwrap().verify("correct horse", Some(&secrets.password_hash)).await.unwrap());
    });
    for entry in std::fs::read_dir(root.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), OWNER, "{:?}", entry.path());
    }
}

#[test]
fn the_data_root_may_be_named_before_the_verb() {
    let root = DataRoot::new();
    let output = Command::new(env!("CARGO_BIN_EXE_sampan"))
        .arg("--data-root")
        .arg(root.path())
        .args(["admin", "create-team", "red"])
        .output()
        .unwrap();
    assert_eq!(text(&output), "team red was made\n");
}

#[test]
fn a_password_is_replaced_and_the_sessions_end() {
    let root = DataRoot::new();
    text(&root.admin(&["create-user", "amber", "--admin", "--password-stdin"], "correct horse"));
    root.accounts(async |instance| {
        let user = instance.user_named("AMBER").await.unwrap();
        assert!(user.is_administrator);
        let session = instance.begin_session(user.id, "192.0.2.1", "test").await.unwrap();
        let idle = std::time::Duration::from_secs(60);
        assert!(instance.session(&hash(session.cookie.expose()), idle).await.unwrap().is_some());

        text(&root.admin(&["reset-password", "amber", "--password-stdin"], "battery staple"));
        text(&root.admin(&["reset-totp", "amber"], ""));

        assert!(instance.session(&hash(session.cookie.expose()), idle).await.unwrap().is_none());
        let secrets = instance.secrets_of("amber").await.unwrap().unwrap();
        let passwords = Passwords::new().unwrap();
        assert!(passwords.verify("battery staple", Some(&secrets.password_hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", Some(&secrets.password_hash)).await.unwrap());
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    let root = DataRoot::new();
    text(&root.admin(&["create-user", "amber", "--password-stdin"], "correct horse"));
    let admin = |arguments: &[&str], input: &str| refusal(&root.admin(arguments, input));

    assert!(
        admin(&["create-user", "amber", "--password-stdin"], "correct horse").contains("the user amber exists already")
    );
    assert!(admin(&["create-user", "b", "--password-stdin"], "short").contains("8 to 1024 bytes, this one has 5"));
    assert!(admin(&["create-user", "b", "--password-stdin"], "").contains("standard input has no password"));
    assert!(admin(&["create-user", "b"], "").contains("--password-stdin"));
    assert!(admin(&["create-user", "a b", "--password-stdin"], "correct horse").contains("the user name \"a b\" must"));
    assert!(admin(&["create-token", "amber", "--team", "default"], "").contains("amber is not in the team default"));
    assert!(admin(&["create-token", "amber", "--team", "none"], "").contains("no such team: none"));
    assert!(admin(&["add-member", "default", "amber", "king"], "").contains("there is no role `king`"));
    text(&root.admin(&["create-team", "two"], ""));
    text(&root.admin(&["create-team", "three"], ""));
    assert!(admin(&["create-team", "four"], "").contains("all 3 ranges of host ids"));
    assert!(
        refusal(&sampan(Path::new("/nowhere"), &["create-team", "a"], "")).contains("there is no data root /nowhere")
    );
}
