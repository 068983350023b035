//! What the buttons do: start, stop, restart, pause, resume, remove; on one container or on several.

use actix_web::{HttpResponse, web};
use sampan_engine::Kind;
use serde::Deserialize;

use super::error::PageError;
use super::reader::Reader;
use crate::app::App;
use crate::policy::action::{Pause, Remove, Restart, Start, Stop, Unpause};
use crate::service::{self, ServiceError};

/// A form with buttons.
#[derive(Debug, Deserialize)]
pub struct One {
    csrf: String,
    action: String,
}

/// `POST /containers/{id}/act`.
pub async fn one(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    form: web::Form<One>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let place = format!("/containers/{id}");
    match act(&app, &reader, &id, &form.action).await {
        Ok(()) => Ok(reader.back(&place, "ok", &done(&reader, &form.action, &id))),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Forbidden) => Err(reader.refuse(error)),
        Err(error) => Ok(reader.back_with(&place, &error)),
    }
}

/// `POST /containers/act`: the same on each `id` of the form; the result names every item and why one failed.
pub async fn several(
    app: web::Data<App>,
    reader: Reader,
    form: web::Form<Vec<(String, String)>>,
) -> Result<HttpResponse, PageError> {
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    reader.check(value("csrf").unwrap_or_default())?;
    let action = value("action").unwrap_or_default();
    let (mut said, mut failed) = (Vec::new(), false);
    for (_, id) in form.iter().filter(|(key, _)| key == "id") {
        let name = name(&app, &reader, id);
        match act(&app, &reader, id, action).await {
            Ok(()) => said.push(format!("{name} ✓")),
            Err(error) => {
                failed = true;
                said.push(reader.t.with2("act-failed", reader.words(&error), name));
            }
        }
    }
    let tone = if failed { "bad" } else { "ok" };
    Ok(reader.back("/containers", tone, &said.join(" · ")))
}

fn name(app: &App, reader: &Reader, id: &str) -> String {
    let target = app.policy().container::<crate::policy::action::View>(&reader.caller, id);
    target.map_or_else(|_| id.chars().take(12).collect(), |target| target.noun().name().clone())
}

fn done(reader: &Reader, action: &str, id: &str) -> String {
    let key = match action {
        "start" => "start",
        "stop" => "stop",
        "restart" => "restart",
        "pause" => "pause",
        _ => "unpause",
    };
    reader.t.with2("act-done", "✓", format!("{} {}", reader.t.get(key), id.chars().take(12).collect::<String>()))
}

async fn act(app: &App, reader: &Reader, id: &str, action: &str) -> Result<(), ServiceError> {
    let (policy, caller) = (app.policy(), &reader.caller);
    let already = |result: Result<(), ServiceError>| match result {
        Err(error) if error.kind() == Kind::NotModified => Ok(()),
        other => other,
    };
    match action {
        "start" => already(service::containers::start(app, policy.container::<Start>(caller, id)?).await),
        "stop" => service::containers::stop(app, policy.container::<Stop>(caller, id)?, None, None).await.map(|_| ()),
        "restart" => service::containers::restart(app, policy.container::<Restart>(caller, id)?, None, None).await,
        "pause" => service::containers::pause(app, policy.container::<Pause>(caller, id)?).await,
        "unpause" => service::containers::unpause(app, policy.container::<Unpause>(caller, id)?).await,
        "remove" => service::containers::remove(app, policy.container::<Remove>(caller, id)?, false, false).await,
        // A name that is no button: as if the page were not there.
        _ => Err(crate::policy::Denied::NotFound {
            noun: crate::policy::NounKind::Container,
            reference: action.to_owned(),
        }
        .into()),
    }
}
