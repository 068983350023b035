//! Images to and from the registry inside, by one of this instance's own addresses: one store, so no request is made and
//! no byte copied.

use std::net::{IpAddr, Ipv4Addr};

use sampan_engine::images::{Distribution, Image as Seen, ImageError, PullEvent, Pulled, PushEvent, PushStep, Pushed};
use sampan_engine::reference::ImageReference;
use sampan_engine::registry::{ObtainError, RepositoryName, Tag};
use sampan_engine::upstream::{Credentials, Hit, RegistriesError, UpstreamError};

use super::{Result, ServiceError, registry};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::login::LoginError;
use crate::auth::registry::{self as who, Identity};
use crate::policy::action::{Pull, Push};
use crate::policy::{Granted, Image, Images, Repository};

/// Where processes at the docker socket are, as far as tries at passwords are counted.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Tags that are asked for at once.
const PAGE: u32 = 1_000;

/// The repository that a reference names in the registry inside; `None`: it is at another registry.
pub(super) fn named(app: &App, reference: &ImageReference) -> Result<Option<RepositoryName>> {
    match app.config.is_own_registry(reference.registry()) {
        true => Ok(Some(reference.repository().parse::<RepositoryName>()?)),
        false => Ok(None),
    }
}

/// Whoever the given credentials are those of, with the team of that name in view, else who calls.
async fn asking(app: &App, caller: &Caller, given: Option<Credentials>, team: Option<&str>) -> Result<Caller> {
    let Some(Credentials::Basic { username, password }) = given else { return Ok(caller.clone()) };
    let wrong =
        || ServiceError::Invalid { message: "wrong name or secret for the registry of this instance".to_owned() };
    let identity = identity(app, &username, &password).await?.ok_or_else(wrong)?;
    let team = match team {
        Some(team) => match app.accounts.team_named(team).await {
            Ok(team) => Some(team),
            Err(error) if error.kind() == sampan_engine::Kind::NotFound => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    who::caller(app, &identity, None, team.as_ref()).await?.ok_or_else(wrong)
}

async fn identity(app: &App, username: &str, password: &str) -> Result<Option<Identity>> {
    who::identify(app, username, password, HERE).await.map_err(|error| match error {
        LoginError::TooMany(error) => ServiceError::Invalid { message: error.to_string() },
        LoginError::Accounts(error) => error.into(),
    })
}

/// Whether this instance's own registry takes a name and a secret.
pub(super) async fn log_in(app: &App, registry: &str, credentials: Credentials) -> Result<()> {
    let known = match &credentials {
        Credentials::Basic { username, password } => identity(app, username, password).await?.is_some(),
        _ => false,
    };
    let reason = "wrong name or secret; who has a second factor needs an API token".to_owned();
    let refused = UpstreamError::Unauthorized { url: format!("https://{registry}/v2/"), reason };
    if known { Ok(()) } else { Err(RegistriesError::Upstream(refused).into()) }
}

/// The repositories with `term` in their names that the caller may pull from.
pub(super) async fn search(
    app: &App,
    target: &Granted<Pull, Images>,
    term: &str,
    limit: u32,
    given: Option<Credentials>,
) -> Result<Vec<Hit>> {
    let caller = asking(app, target.caller(), given, None).await?;
    let (mut hits, mut after) = (Vec::new(), String::new());
    loop {
        let page = registry::catalog(app, &caller, &after, PAGE).await?;
        let Some(last) = page.last().cloned() else { break };
        hits.extend(page.into_iter().filter(|name| name.contains(term)).map(Hit::named));
        if hits.len() >= limit as usize {
            break;
        }
        after = last;
    }
    hits.truncate(limit as usize);
    Ok(hits)
}

/// What a name is in a repository.
pub(super) async fn distribution(
    app: &App,
    target: &Granted<Pull, Images>,
    name: &RepositoryName,
    reference: &ImageReference,
    given: Option<Credentials>,
) -> Result<Distribution> {
    let caller = asking(app, target.caller(), given, Some(name.team())).await?;
    let repository: Granted<Pull, Repository> = app.policy().repository(&caller, name).await?;
    registry::distribution(app, &repository, reference).await
}

/// Makes what a repository has an image of the team: one tag or digest, or all tags.
pub(super) async fn pull(
    app: &App,
    target: &Granted<Pull, Images>,
    name: &RepositoryName,
    (reference, all): (&ImageReference, bool),
    (platform, given): (Option<&str>, Option<Credentials>),
    tell: &(dyn Fn(PullEvent) + Send + Sync),
) -> Result<Vec<Pulled>> {
    let caller = asking(app, target.caller(), given, Some(name.team())).await?;
    let repository: Granted<Pull, Repository> = app.policy().repository(&caller, name).await?;
    let mut references = vec![reference.clone()];
    if all {
        references.clear();
        let mut after = String::new();
        loop {
            let page = registry::tag_names(app, &repository, &after, PAGE).await?;
            let Some(last) = page.last().cloned() else { break };
            for tag in &page {
                let text = format!("{}/{}:{tag}", reference.registry(), reference.repository());
                references.push(text.parse().map_err(ImageError::from)?);
            }
            after = last;
        }
    }
    let mut pulled = Vec::new();
    for reference in references {
        pulled.push(registry::obtain(app, &repository, target, &reference, platform, tell).await?);
    }
    Ok(pulled)
}

/// Gives images of the team to a repository: one tag, or all that the team has of it.
pub(super) async fn push(
    app: &App,
    target: &Granted<Push, Image>,
    name: &RepositoryName,
    (reference, all): (&ImageReference, bool),
    (platform, given): (Option<&str>, Option<Credentials>),
    tell: &(dyn Fn(PushEvent) + Send + Sync),
) -> Result<Vec<Pushed>> {
    let caller = asking(app, target.caller(), given, Some(name.team())).await?;
    let repository: Granted<Push, Repository> = app.policy().repository(&caller, name).await?;
    tell(PushEvent::To { repository: format!("{}/{name}", reference.registry()) });
    let mut pushed = Vec::new();
    for (tag, image) in tagged(app, target, reference, all).await? {
        image.must_be_for(platform, reference)?;
        let layers = |step: PushStep| {
            for diff_id in &image.diff_ids {
                tell(PushEvent::Layer { diff_id: *diff_id, step: step.clone() });
            }
        };
        layers(PushStep::Preparing);
        let stored = registry::publish(app, &repository, &image, &tag).await?;
        layers(PushStep::Exists);
        let name = format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse();
        let name: ImageReference = name.map_err(ImageError::from)?;
        app.engine.images().note_given(target.owner(), &image, &name, &stored.digest).await?;
        let one = Pushed { tag: tag.to_string(), digest: stored.digest, size: stored.size };
        tell(PushEvent::Pushed(one.clone()));
        pushed.push(one);
    }
    Ok(pushed)
}

/// The team's images under the repository's name, by tag.
async fn tagged(
    app: &App,
    target: &Granted<Push, Image>,
    reference: &ImageReference,
    all: bool,
) -> Result<Vec<(Tag, Seen)>> {
    let mut found = Vec::new();
    let mut any = false;
    for image in app.engine.images().list(target.owner()).await? {
        for tag in &image.tags {
            let same = (tag.registry(), tag.repository()) == (reference.registry(), reference.repository());
            any |= same;
            if let Some(tag) = tag.tag().filter(|tag| same && (all || reference.tag() == Some(tag))) {
                found.push((tag.parse::<Tag>()?, image.clone()));
            }
        }
    }
    match (found.is_empty(), any) {
        (true, true) => Err(ImageError::NoTag { name: reference.familiar() }.into()),
        (true, false) => Err(ImageError::NothingToPush { name: reference.familiar_name() }.into()),
        (false, _) => Ok(found),
    }
}

impl From<ObtainError> for ServiceError {
    fn from(error: ObtainError) -> Self {
        match error {
            ObtainError::Registry(error) => error.into(),
            ObtainError::Image(error) => error.into(),
        }
    }
}
