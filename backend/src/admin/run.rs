//! Does what was typed.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::{Command, place};
use crate::accounts::{Accounts, Done, FolderPath, NewToken, NewUser};
use crate::auth::secret::Secret;
use crate::auth::{Caller, Passwords, Scopes};
use crate::clock::now_ns;
use crate::policy::{Act, NounKind, Verb};

/// Longest password that is read, with its line end.
const PASSWORD_BYTES: u64 = 4096;
const DAY_NS: i64 = 86_400_000_000_000;

/// Does `command` on the instance whose data lies in `data_root`. Call it before any thread is started: it becomes
/// the owner of the data root first.
///
/// # Errors
/// Says what is wrong and what to do.
pub fn run(data_root: &Path, command: &Command) -> anyhow::Result<()> {
    let password = if command.wants_password() { Some(read_password()?) } else { None };
    if let Command::GrantFolder { path, .. } = command {
        look_for_folder(Path::new(path))?;
    }
    let on_host = std::fs::canonicalize(data_root).unwrap_or_else(|_| data_root.to_owned());
    let data_root = place::enter(data_root)?;
    if matches!(command, Command::Ca) {
        print!("{}", crate::serve::authority(&data_root)?);
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let accounts = Accounts::open(&data_root).await?;
        let password = password.as_ref().map_or("", |password| password);
        let done = execute(&accounts, command, password, &on_host).await;
        accounts.close().await;
        done
    })
}

/// `data_root` is its path on the host.
async fn execute(accounts: &Accounts, command: &Command, password: &str, data_root: &Path) -> anyhow::Result<()> {
    match command {
        Command::CreateUser { name, admin, .. } => {
            let password_hash = &Passwords::new()?.hash(password).await?;
            accounts.create_user(NewUser { name, password_hash, is_administrator: *admin }).await?;
            record(accounts, Act(Verb::Create, NounKind::User), name, None).await?;
            println!("user {name} was made");
        }
        Command::CreateTeam { name } => {
            let team = accounts.create_team(name).await?;
            record(accounts, Act(Verb::Create, NounKind::Team), name, Some(team.id)).await?;
            println!("team {name} was made");
        }
        Command::AddMember { team, user, role } => {
            let (team, user) = (accounts.team_named(team).await?, accounts.user_named(user).await?);
            accounts.set_member(team.id, user.id, *role).await?;
            record(accounts, Act(Verb::Create, NounKind::Member), &user.name, Some(team.id)).await?;
            println!("{} is {} of team {}", user.name, role.as_str(), team.name);
        }
        Command::CreateToken { user, team, name, scopes, expires_days } => {
            let (team, user) = (accounts.team_named(team).await?, accounts.user_named(user).await?);
            let name = name.clone().unwrap_or_else(made_up_name);
            let expires_at = expires_days.map(|days| now_ns() + i64::from(days) * DAY_NS);
            let scopes = Scopes::from_words(scopes)?;
            let new = NewToken { user_id: user.id, team_id: team.id, name: &name, scopes, expires_at };
            let issued = accounts.create_token(new).await?;
            record(accounts, Act(Verb::Create, NounKind::Token), &name, Some(team.id)).await?;
            println!("token {name} of {} for team {}; it is not shown again:", user.name, team.name);
            println!("{}", issued.token.expose());
        }
        Command::GrantFolder { team, path, read_only } => {
            let (team, path) = (accounts.team_named(team).await?, FolderPath::new(path, data_root)?);
            accounts.grant_folder(&team, &path, *read_only).await?;
            let act = Act(Verb::Create, NounKind::Folder);
            let details = serde_json::json!({ "read_only": read_only });
            record_with(accounts, act, path.as_str(), Some(team.id), details).await?;
            let how = if *read_only { "read" } else { "read and write" };
            println!("containers of team {} may {how} {} as host ids from {}", team.name, path.as_str(), team.base_id);
        }
        Command::RevokeFolder { team, path } => {
            let team = accounts.team_named(team).await?;
            accounts.revoke_folder(&team, path).await?;
            record(accounts, Act(Verb::Remove, NounKind::Folder), path, Some(team.id)).await?;
            println!("no further start of a container of team {} gets {path}", team.name);
        }
        Command::ResetPassword { name, .. } => {
            let user = accounts.user_named(name).await?;
            accounts.set_password(user.id, &Passwords::new()?.hash(password).await?).await?;
            record(accounts, Act(Verb::Update, NounKind::User), &user.name, None).await?;
            println!("{} has a new password, and all their sessions ended", user.name);
        }
        Command::Ca => {}
        Command::ResetTotp { name } => {
            let user = accounts.user_named(name).await?;
            accounts.set_totp(user.id, None, 0, "[]").await?;
            record(accounts, Act(Verb::Update, NounKind::User), &user.name, None).await?;
            println!("{} has no second factor any more", user.name);
        }
    }
    Ok(())
}

async fn record(accounts: &Accounts, act: Act, target: &str, team_id: Option<i64>) -> anyhow::Result<()> {
    record_with(accounts, act, target, team_id, serde_json::Value::Null).await
}

async fn record_with(
    accounts: &Accounts,
    act: Act,
    target: &str,
    team_id: Option<i64>,
    details: serde_json::Value,
) -> anyhow::Result<()> {
    let caller = Caller::command_line();
    let done = Done { caller: &caller, act, target, team_id, details };
    Ok(accounts.record(done).await?)
}

/// Says at once what a start would say: that there is no such folder, or that a link stands in its place.
fn look_for_folder(path: &Path) -> anyhow::Result<()> {
    match std::fs::canonicalize(path) {
        Ok(found) if found != path.components().collect::<std::path::PathBuf>() => {
            bail!("{} leads to {}: grant that", path.display(), found.display())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no {} on this host: make it first", path.display())
        }
        // Who is not root may not see it from here.
        _ => Ok(()),
    }
}

fn made_up_name() -> String {
    let random: String = Secret::new("").expose().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("cli-{}", random.to_lowercase())
}

/// The whole of standard input without its last line end.
fn read_password() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .take(PASSWORD_BYTES)
        .read_to_string(&mut text)
        .context("the password on standard input is not UTF-8")?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        bail!("standard input has no password: printf %s 'the password' | sampan admin … --password-stdin");
    }
    Ok(Zeroizing::new(password.to_owned()))
}
