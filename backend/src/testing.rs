//! An instance for tests of doors and policy: real accounts and engine, and in the place of the helpers a listener that
//! greets and refuses all else. What runs containers is tested through a real server.

use std::collections::BTreeMap;
use std::path::Path;

use actix_web::web::Data;
use sampan_engine::digest::Digest;
use sampan_engine::{Engine, Settings};
use sampan_runtime::wire::VERSION;
use sampan_runtime::wire::socket::Listener;
use sampan_runtime::wire::spawner::Features;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::accounts::{Accounts, IdRange, NewToken, NewUser};
use crate::app::App;
use crate::auth::{Door, Passwords, Role, Scopes, token};
use crate::config::{Config, Raw};

/// The team that the things belong to.
pub const TEAM: &str = "blue";
/// Another one.
pub const OTHER_TEAM: &str = "red";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse";
/// A container of [`TEAM`].
pub const CONTAINER: &str = "1111111111111111111111111111111111111111111111111111111111111111";
/// An image of [`TEAM`].
pub const IMAGE: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
/// A volume of [`TEAM`].
pub const VOLUME: &str = "data";

/// A repository of [`TEAM`].
pub const REPOSITORY: &str = "blue/app";
/// Its one blob: `{}`.
pub const BLOB: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// Its one manifest, tagged `latest`.
pub const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/x","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
/// The manifest's media type.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An upload to [`REPOSITORY`], of which nothing came yet.
pub const UPLOAD: &str = "01938a00-0000-7000-8000-000000000001";

const DATABASE: &str = "sampan.db";
static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

/// The database that all instances begin with: made once, since hashing and migrating take a while.
struct Template {
    database: Vec<u8>,
    tokens: BTreeMap<&'static str, String>,
}

impl Template {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(folder.path()).await.unwrap();
        accounts.record_id_ranges(&[IdRange { first: 1_879_048_192, teams: 8 }]).await.unwrap();
        accounts.default_team().await.unwrap();
        let tokens = people(&accounts).await;
        things(folder.path(), accounts.team_named(TEAM).await.unwrap().id).await;
        // The last connection that closes takes the write-ahead log in.
        accounts.close().await;
        Self { database: std::fs::read(folder.path().join(DATABASE)).unwrap(), tokens }
    }
}

/// An instance with two teams, five users, and one thing of each kind in [`TEAM`].
pub struct Instance {
    /// What the doors hold.
    pub app: Data<App>,
    tokens: &'static BTreeMap<&'static str, String>,
    // After the app: its files must be there while it closes.
    _folder: tempfile::TempDir,
}

impl Instance {
    /// Makes one.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let template = TEMPLATE.get_or_init(Template::make).await;
        let folder = tempfile::tempdir().unwrap();
        for name in ["spawner", "keeper", "net"] {
            refuse_all(&folder.path().join(format!("{name}.sock")));
        }
        std::fs::write(folder.path().join(DATABASE), &template.database).unwrap();
        // Without a writable layer it would be taken for one that was not made whole.
        std::fs::create_dir_all(folder.path().join("containers").join(CONTAINER).join("upper")).unwrap();
        let content = folder.path().join("content");
        std::fs::create_dir_all(content.join("uploads")).unwrap();
        for (digest, bytes) in [(Digest::of(b"{}"), "{}"), (Digest::of(MANIFEST.as_bytes()), MANIFEST)] {
            std::fs::write(content.join(digest.hex()), bytes).unwrap();
        }
        std::fs::write(content.join("uploads").join(UPLOAD), "").unwrap();
        let accounts = Accounts::open(folder.path()).await.unwrap();
        let mut config = Config::resolve(&Raw::default()).unwrap();
        config.data_root = folder.path().to_owned();
        config.state_root = folder.path().to_owned();
        change(&mut config);
        let engine = Engine::open(settings(folder.path()), pool(folder.path()).await).await.unwrap();
        let (app, _writer) = App::open(config, engine, accounts).await.unwrap();
        Self { app: Data::new(app), tokens: &template.tokens, _folder: folder }
    }

    /// The API token of a user, for the team that they are in.
    pub fn token(&self, user: &str) -> &str {
        &self.tokens[user]
    }

    /// The user as a door sees them.
    pub async fn caller(&self, user: &str, door: Door) -> crate::auth::Caller {
        token::caller(&self.app, self.token(user), door).await.unwrap().unwrap()
    }
}

fn settings(root: &Path) -> Settings {
    Settings {
        data_root: root.to_owned(),
        state_root: root.to_owned(),
        instance: "test".to_owned(),
        storage: None,
        cradles: 0,
        proxies: Default::default(),
    }
}

async fn pool(root: &Path) -> sqlx::SqlitePool {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(root.join(DATABASE)).foreign_keys(true);
    sqlx::sqlite::SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
}

/// Viewer, developer and owner of [`TEAM`], a stranger who owns [`OTHER_TEAM`], and an administrator who is in no team.
async fn people(accounts: &Accounts) -> BTreeMap<&'static str, String> {
    let password_hash = &Passwords::new().unwrap().hash(PASSWORD).await.unwrap();
    let team = accounts.create_team(TEAM).await.unwrap().id;
    let other = accounts.create_team(OTHER_TEAM).await.unwrap().id;
    let mut tokens = BTreeMap::new();
    for (name, team_id, role) in [
        ("viewer", team, Some(Role::Viewer)),
        ("developer", team, Some(Role::Developer)),
        ("owner", team, Some(Role::Owner)),
        ("stranger", other, Some(Role::Owner)),
        ("administrator", team, None),
    ] {
        let user = NewUser { name, password_hash, is_administrator: role.is_none() };
        let user_id = accounts.create_user(user).await.unwrap();
        if let Some(role) = role {
            accounts.set_member(team_id, user_id, role).await.unwrap();
        }
        let token = NewToken { user_id, team_id, name: "test", scopes: Scopes::ALL, expires_at: None };
        tokens.insert(name, accounts.create_token(token).await.unwrap().token.expose().to_owned());
    }
    // The last owner of a team cannot go: a second one lets the table try.
    let user = NewUser { name: "second", password_hash, is_administrator: false };
    let second = accounts.create_user(user).await.unwrap();
    accounts.set_member(team, second, Role::Owner).await.unwrap();
    tokens
}

/// Rows as the engine writes them.
async fn things(root: &Path, team: i64) {
    let pool = pool(root).await;
    let configuration = r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    sqlx::query("INSERT INTO images (team_id, id, config, diff_ids, size, created_at) VALUES (?, ?, ?, '[]', 0, 1)")
        .bind(team)
        .bind(IMAGE)
        .bind(configuration)
        .execute(&pool)
        .await
        .unwrap();
    let config = r#"{"image":"busybox","environment":["SECRET=value"]}"#;
    let resolved = r#"{"environment":["SECRET=value"]}"#;
    sqlx::query(
        "INSERT INTO containers (id, team_id, name, image_id, config, resolved, state, created_at)
        VALUES (?, ?, 'web', ?, ?, ?, 'created', 1)",
    )
    .bind(CONTAINER)
    .bind(team)
    .bind(IMAGE)
    .bind(config)
    .bind(resolved)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO volumes (id, team_id, name, created_at) VALUES (?, ?, ?, 1)")
        .bind("3".repeat(64))
        .bind(team)
        .bind(VOLUME)
        .execute(&pool)
        .await
        .unwrap();
    repository(&pool, team).await;
    sqlx::query("INSERT INTO host_folders (team_id, path, read_only, created_at) VALUES (?, '/srv/shared', 0, 1)")
        .bind(team)
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}

async fn repository(pool: &sqlx::SqlitePool, team: i64) {
    let digest = Digest::of(MANIFEST.as_bytes()).to_string();
    for (statement, words) in [
        ("INSERT INTO repositories (id, team_id, name, created_at) VALUES (1, ?, 'app', 1)", vec![team.to_string()]),
        ("INSERT INTO repository_blobs VALUES (1, ?, 2, 1)", vec![BLOB.to_owned()]),
        (
            "INSERT INTO manifests VALUES (1, ?, ?, ?, 'application/x', NULL, '{}', 'amber', 1, 1, NULL)",
            vec![digest.clone(), MANIFEST_TYPE.to_owned(), MANIFEST.len().to_string()],
        ),
        ("INSERT INTO manifest_links VALUES (1, ?, ?, 'blob')", vec![digest.clone(), BLOB.to_owned()]),
        ("INSERT INTO repository_tags VALUES (1, 'latest', ?, 'amber', 1, NULL)", vec![digest]),
        ("INSERT INTO uploads VALUES (?, 1, 1)", vec![UPLOAD.to_owned()]),
        (
            "INSERT INTO robots (id, team_id, name, prefix, hash, created_at) VALUES (1, ?, 'ci', 'spr_', x'00', 1)",
            vec![team.to_string()],
        ),
    ] {
        let mut query = sqlx::query(statement);
        for word in words {
            query = query.bind(word);
        }
        query.execute(pool).await.unwrap();
    }
}

/// Listens as a helper does, greets, and refuses every request.
fn refuse_all(path: &Path) {
    let listener = Listener::bind(path).unwrap();
    std::thread::spawn(move || {
        while let Ok(connection) = listener.accept() {
            std::thread::spawn(move || {
                while let Ok(Some((request, _))) = connection.receive::<Value>() {
                    let answer = if request["request"] == "hello" {
                        json!({ "answer": "welcome", "version": VERSION, "features": Features::default() })
                    } else {
                        json!({ "answer": "refused", "kind": "unsupported", "message": "no helper in this test" })
                    };
                    if connection.send(&answer, &[]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}
