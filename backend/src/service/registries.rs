//! Other registries: how they are reached, with whose name, what served what.

use sampan_engine::owner::Owner;
use sampan_engine::upstream::{Credentials, Hit, Mirror, MirrorState, Proxies, Registry, Served};
use serde_json::json;

use super::{Result, ServiceError, own_registry, record};
use crate::accounts::{Accounts, AccountsError, RegistryCredential};
use crate::app::App;
use crate::auth::SealingKey;
use crate::policy::action::{Create, List, Pull, Remove};
use crate::policy::{Fetches, Granted, Images, Mirrors, Registries, RegistryCredentials};

/// Most bytes of a user name or a password.
const WORD_BYTES: usize = 64 << 10;

/// What is said about registries.
pub async fn list(app: &App, _target: &Granted<List, Registries>) -> Result<Vec<Registry>> {
    Ok(app.engine.images().registries().list().await?)
}

/// Says something about a registry.
pub async fn put(app: &App, target: Granted<Create, Registries>, registry: &Registry) -> Result<()> {
    app.engine.images().registries().put(registry).await?;
    let details = json!({
        "plain_http": registry.plain_http,
        "own_certificates": registry.ca_pem.is_some(),
        "teams_may": registry.teams_may,
    });
    record(app, &target, &registry.host, None, details).await
}

/// Says nothing about a registry any more.
pub async fn remove(app: &App, target: Granted<Remove, Registries>, host: &str) -> Result<()> {
    app.engine.images().registries().remove(host).await?;
    record(app, &target, host, None, json!({})).await
}

/// Through what other registries are reached, without names and passwords.
pub fn proxies(app: &App, _target: &Granted<List, Registries>) -> Proxies {
    app.config.proxies.shown()
}

/// The mirrors of all registries.
pub async fn mirrors(app: &App, _target: &Granted<List, Mirrors>) -> Result<Vec<MirrorState>> {
    Ok(app.engine.images().registries().mirrors().await?)
}

/// Adds a mirror, or changes the one of that registry and address.
pub async fn put_mirror(app: &App, target: Granted<Create, Mirrors>, mirror: &Mirror) -> Result<i64> {
    let id = app.engine.images().registries().put_mirror(mirror).await?;
    let details = json!({ "registry": mirror.upstream, "position": mirror.position, "enabled": mirror.enabled });
    record(app, &target, &mirror.url, None, details).await?;
    Ok(id)
}

/// Takes a mirror away.
pub async fn remove_mirror(app: &App, target: Granted<Remove, Mirrors>, id: i64) -> Result<()> {
    app.engine.images().registries().remove_mirror(id).await?;
    record(app, &target, &id.to_string(), None, json!({})).await
}

/// What served the team's pulls, newest first.
pub async fn served(app: &App, target: &Granted<List, Fetches>, before: Option<i64>, most: u32) -> Result<Vec<Served>> {
    Ok(app.engine.images().registries().served(target.owner(), before, most).await?)
}

/// Whether a registry takes these credentials. They are not kept.
pub async fn log_in(app: &App, target: &Granted<Pull, Images>, registry: &str, credentials: Credentials) -> Result<()> {
    if app.config.is_own_registry(registry) {
        return own_registry::log_in(app, registry, credentials).await;
    }
    let elevated = target.is_elevated();
    Ok(app.engine.images().registries().log_in(registry, credentials, elevated).await?)
}

/// Searches a registry by words.
pub async fn search(
    app: &App,
    target: &Granted<Pull, Images>,
    (registry, term): (&str, &str),
    limit: u32,
    given: Option<Credentials>,
) -> Result<Vec<Hit>> {
    if app.config.is_own_registry(registry) {
        return own_registry::search(app, target, term, limit, given).await;
    }
    let credentials = credentials(app, target.owner(), registry, given).await?;
    let elevated = target.is_elevated();
    Ok(app.engine.images().registries().search(registry, term, limit, &credentials, elevated).await?)
}

/// The team's names at registries.
pub async fn list_credentials(
    app: &App,
    target: &Granted<List, RegistryCredentials>,
) -> Result<Vec<RegistryCredential>> {
    Ok(app.accounts.registry_credentials(target.owner().team_id).await?)
}

/// Keeps a name and a password for the team's pulls and pushes.
pub async fn put_credential(
    app: &App,
    target: Granted<Create, RegistryCredentials>,
    registry: &str,
    username: &str,
    password: &str,
) -> Result<()> {
    if username.is_empty() || password.is_empty() || username.len() + password.len() > WORD_BYTES {
        let message = format!("user name and password are needed, and may have {WORD_BYTES} bytes together");
        return Err(ServiceError::Invalid { message });
    }
    let team_id = target.owner().team_id;
    let secret = app.sealing.seal(&sealed_for(team_id, registry), password.as_bytes())?;
    app.accounts.put_registry_credential(team_id, registry, username, secret).await?;
    record(app, &target, registry, Some(team_id), json!({ "username": username })).await
}

/// Forgets one.
pub async fn remove_credential(app: &App, target: Granted<Remove, RegistryCredentials>, registry: &str) -> Result<()> {
    let team_id = target.owner().team_id;
    app.accounts.remove_registry_credential(team_id, registry).await?;
    record(app, &target, registry, Some(team_id), json!({})).await
}

/// What a registry is shown: what the request brought, else what the team has there.
pub(super) async fn credentials(
    app: &App,
    owner: &Owner,
    registry: &str,
    given: Option<Credentials>,
) -> Result<Credentials> {
    if let Some(given) = given.filter(|given| !given.is_anonymous()) {
        return Ok(given);
    }
    Ok(kept_credentials(&app.accounts, &app.sealing, owner.team_id, registry).await?)
}

/// What a team has at a registry.
pub(crate) async fn kept_credentials(
    accounts: &Accounts,
    sealing: &SealingKey,
    team_id: i64,
    registry: &str,
) -> std::result::Result<Credentials, AccountsError> {
    let Some((username, sealed)) = accounts.registry_credential(team_id, registry).await? else {
        return Ok(Credentials::Anonymous);
    };
    let opened = sealing.open_sealed(&sealed_for(team_id, registry), &sealed)?;
    let password = String::from_utf8_lossy(&opened).into_owned();
    Ok(Credentials::Basic { username, password })
}

fn sealed_for(team_id: i64, registry: &str) -> String {
    format!("credential of team {team_id} at {registry}")
}
