//! Who calls at the registry: by name and secret (Basic), by a registry token (Bearer), or nobody.
//!
//! A registry token is given for a name and secret, lives for minutes and carries the verbs that it was given for. It is
//! sealed, not stored: it says which token, robot or user it stands for, and they are looked up again whenever it is
//! shown, so that it is worth nothing once they are gone and never worth more than they are at that moment.
//! Source: distribution.github.io, "Token Authentication Specification".

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::caller::{Caller, Door, RegistryScope, Role, Scopes, Shown, TeamView, Who};
use super::login::LoginError;
use super::secret::{hash, hash_hex};
use super::token;
use crate::accounts::{AccountsError, ROBOT_MARK, TeamRow};
use crate::app::App;
use crate::clock::now_ns;

/// How long a registry token lives.
pub const LIFE: Duration = Duration::from_secs(300);
/// What its seal is bound to.
const SEALED_FOR: &str = "registry token";
/// Longest text of a registry token that is looked at.
const LONGEST: usize = 16 << 10;
/// What an API token begins with.
const TOKEN_MARK: &str = "spn_";

/// Whom a secret or a registry token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// An API token, by its SHA-256 in hexadecimal digits.
    Token(String),
    /// A user who typed a password, and the SHA-256 of what is stored of it: with another password this is nobody.
    User(String, String),
    /// A robot, by the SHA-256 of its secret.
    Robot(String),
    /// Nobody: for what is public.
    Nobody,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    identity: Identity,
    scopes: Vec<RegistryScope>,
    expires_at: i64,
}

/// Whom a name and a secret stand for; `None`: nobody that is known. A password counts as a try; with a second factor it
/// is none here, since no client of a registry can send a code.
///
/// # Errors
/// [`LoginError`].
pub async fn identify(app: &App, name: &str, secret: &str, address: IpAddr) -> Result<Option<Identity>, LoginError> {
    if secret.starts_with(TOKEN_MARK) {
        let owner = app.accounts.owner_of_token(&hash(secret)).await?;
        let right = owner.is_some_and(|owner| owner.user_name.eq_ignore_ascii_case(name));
        return Ok(right.then(|| Identity::Token(hash_hex(secret))));
    }
    if secret.starts_with(ROBOT_MARK) {
        let owner = app.accounts.owner_of_robot(&hash(secret)).await?;
        let right = owner.is_some_and(|owner| format!("{}+{}", owner.team.name, owner.name).eq_ignore_ascii_case(name));
        return Ok(right.then(|| Identity::Robot(hash_hex(secret))));
    }
    app.throttle.check(address, name)?;
    let user = app.accounts.secrets_of(name).await?;
    let right = app.passwords.verify(secret, user.as_ref().map(|user| user.password_hash.as_str())).await?;
    let Some(user) = user.filter(|user| right && user.totp_secret.is_none()) else {
        tracing::info!(user.name = name, %address, "somebody could not log in to the registry");
        return Ok(None);
    };
    Ok(Some(Identity::User(user.name, hash_hex(&user.password_hash))))
}

/// Makes a registry token.
///
/// # Errors
/// [`AccountsError`].
pub fn issue(app: &App, identity: Identity, scopes: Vec<RegistryScope>) -> Result<String, AccountsError> {
    let life = i64::try_from(LIFE.as_nanos()).unwrap_or(i64::MAX);
    let content = Content { identity, scopes, expires_at: now_ns().saturating_add(life) };
    let sealed = app.sealing.seal(SEALED_FOR, serde_json::json!(content).to_string().as_bytes())?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// What a registry token says; `None`: it is none, or too old.
pub fn open(app: &App, text: &str) -> Option<(Identity, Vec<RegistryScope>)> {
    if text.len() > LONGEST {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let bytes = app.sealing.open_sealed(SEALED_FOR, &sealed).ok()?;
    let content: Content = serde_json::from_slice(&bytes).ok()?;
    (content.expires_at > now_ns()).then_some((content.identity, content.scopes))
}

/// The caller that an identity is now, with `team` in view if they are in it; `None`: nobody any more. `scopes`: what
/// the registry token that was shown allows.
///
/// # Errors
/// [`AccountsError`].
pub async fn caller(
    app: &App,
    identity: &Identity,
    scopes: Option<Vec<RegistryScope>>,
    team: Option<&TeamRow>,
) -> Result<Option<Caller>, AccountsError> {
    let found = match identity {
        Identity::Token(hex) => match hash_of(hex) {
            Some(hash) => token::of_hash(app, hash, Door::Registry).await?,
            None => None,
        },
        Identity::User(name, stamp) => user(app, name, stamp, team).await?,
        Identity::Robot(hex) => robot(app, hex).await?,
        Identity::Nobody => Some(blank(Who::Nobody, None, Scopes { read: true, write: false, admin: false })),
    };
    Ok(found.map(|caller| Caller { registry: scopes, shown: Shown::Registry, ..caller }))
}

async fn user(app: &App, name: &str, stamp: &str, team: Option<&TeamRow>) -> Result<Option<Caller>, AccountsError> {
    let Some(secrets) = app.accounts.secrets_of(name).await? else { return Ok(None) };
    if hash_hex(&secrets.password_hash) != stamp || secrets.totp_secret.is_some() {
        return Ok(None);
    }
    let user = app.accounts.user(secrets.id).await?;
    let mut view = None;
    if let Some(team) = team {
        let memberships = app.accounts.memberships(user.id).await?;
        let member = memberships.iter().find(|member| member.team_id == team.id).map(|member| member.role);
        let role = if user.is_administrator { Some(Role::Owner) } else { member };
        if let Some(role) = role {
            view = Some(TeamView { owner: team.owner()?, name: team.name.clone(), role });
        }
    }
    let caller = blank(Who::User { id: user.id, name: user.name }, view, Scopes::ALL);
    Ok(Some(Caller { administrator: user.is_administrator, ..caller }))
}

async fn robot(app: &App, hex: &str) -> Result<Option<Caller>, AccountsError> {
    let Some(hash) = hash_of(hex) else { return Ok(None) };
    let found = app.accounts.owner_of_robot(&hash).await?;
    Ok(found.map(|robot| {
        let scopes = Scopes { read: true, write: robot.team.role >= Role::Developer, admin: false };
        blank(Who::Robot { name: robot.name, repositories: robot.repositories }, Some(robot.team), scopes)
    }))
}

fn blank(who: Who, team: Option<TeamView>, scopes: Scopes) -> Caller {
    Caller { who, team, administrator: false, scopes, door: Door::Registry, shown: Shown::Registry, registry: None }
}

fn hash_of(hex: &str) -> Option<[u8; 32]> {
    hex::decode(hex).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Instance, PASSWORD, TEAM};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[actix_web::test]
    async fn a_token_stands_for_its_user_by_their_own_name_only() {
        let instance = Instance::new().await;
        let secret = instance.token("developer").to_owned();
        assert!(identify(&instance.app, "Developer", &secret, HERE).await.unwrap().is_some());
        assert!(identify(&instance.app, "viewer", &secret, HERE).await.unwrap().is_none());
        assert!(identify(&instance.app, "developer", "spn_wrong", HERE).await.unwrap().is_none());
    }

    #[actix_web::test]
    async fn a_registry_token_is_worth_what_its_owner_is_worth_now() {
        let instance = Instance::new().await;
        let app = &instance.app;
        let identity = identify(app, "developer", PASSWORD, HERE).await.unwrap().unwrap();
        let text = issue(app, identity, Vec::new()).unwrap();
        let (identity, scopes) = open(app, &text).unwrap();
        assert!(scopes.is_empty());
        let team = app.accounts.team_named(TEAM).await.unwrap();
        let seen = caller(app, &identity, Some(scopes), Some(&team)).await.unwrap().unwrap();
        assert_eq!(seen.team().unwrap().role, Role::Developer);
        assert!(!seen.registry_allows("blue/app", "pull"));
        let user = app.accounts.user_named("developer").await.unwrap();
        app.accounts.set_password(user.id, &app.passwords.hash("another one").await.unwrap()).await.unwrap();
        assert_eq!(caller(app, &identity, None, Some(&team)).await.unwrap(), None);
    }

    #[actix_web::test]
    async fn a_registry_token_that_was_changed_or_is_of_another_instance_is_none() {
        let (one, other) = (Instance::new().await, Instance::new().await);
        let text = issue(&one.app, Identity::Nobody, Vec::new()).unwrap();
        assert!(open(&one.app, &text).is_some());
        assert!(open(&other.app, &text).is_none());
        let mut changed = text.clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        assert!(open(&one.app, std::str::from_utf8(&changed).unwrap()).is_none());
        assert!(open(&one.app, "").is_none());
    }

    #[actix_web::test]
    async fn passwords_are_throttled_as_a_login_is() {
        let instance = Instance::new().await;
        let mut wrong = 0;
        loop {
            match identify(&instance.app, "viewer", "wrong password", HERE).await {
                Ok(None) => wrong += 1,
                Err(LoginError::TooMany(_)) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!((20..30).contains(&wrong), "{wrong}");
    }
}
