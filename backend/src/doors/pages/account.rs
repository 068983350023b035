//! `GET /account`: language, theme, password, second factor.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use fast_qr::convert::svg::SvgBuilder;
use serde::Deserialize;

use super::error::PageError;
use super::frame::Frame;
use super::reader::Reader;
use super::sign_in::{keep_language, too_many};
use crate::app::App;
use crate::auth::login::{LoginError, confirm_password};
use crate::auth::totp;
use crate::doors::address;
use crate::texts::Language;

/// Language and theme.
#[derive(Debug, Deserialize)]
pub struct Look {
    csrf: String,
    language: String,
    theme: String,
}

/// A password change.
#[derive(Deserialize)]
pub struct Password {
    csrf: String,
    current: String,
    new: String,
}

/// A wish for a second factor.
#[derive(Deserialize)]
pub struct Wish {
    csrf: String,
    current: String,
}

/// The first code of an authenticator.
#[derive(Deserialize)]
pub struct Confirm {
    csrf: String,
    secret: String,
    code: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Page {
    frame: Frame,
    theme: String,
    error: Option<String>,
    totp_on: bool,
    enrol: Option<Enrol>,
    recovery: Vec<String>,
}

struct Enrol {
    qr: String,
    secret: String,
    sealed: String,
}

#[derive(Default)]
struct Shown {
    error: Option<String>,
    enrol: Option<Enrol>,
    recovery: Vec<String>,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader) -> Result<HttpResponse, PageError> {
    page(&app, &reader, Shown::default()).await
}

async fn page(app: &App, reader: &Reader, shown: Shown) -> Result<HttpResponse, PageError> {
    let frame = reader.frame(app, "account").await.map_err(|e| reader.refuse(e))?;
    reader.page(&Page {
        frame,
        theme: reader.session.theme.clone(),
        error: shown.error,
        totp_on: reader.session.has_totp || !shown.recovery.is_empty(),
        enrol: shown.enrol,
        recovery: shown.recovery,
    })
}

/// `POST /account/look`.
pub async fn look(app: web::Data<App>, reader: Reader, form: web::Form<Look>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let id = reader.session.user_id();
    app.accounts.set_preferences(id, &form.language, &form.theme).await.map_err(|e| reader.refuse(e))?;
    let mut answer = reader.back("/account", "ok", &reader.t.get("saved"));
    keep_language(&mut answer, Language::from_tag(&form.language));
    Ok(answer)
}

/// `POST /account/password`: asks for the present one; ends every session, this one too.
pub async fn password(
    app: web::Data<App>,
    request: HttpRequest,
    reader: Reader,
    form: web::Form<Password>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    if let Some(wrong) = wrong_password(&app, &request, &reader, &form.current).await? {
        return page(&app, &reader, wrong).await;
    }
    let hash = match app.passwords.hash(&form.new).await {
        Ok(hash) => hash,
        Err(error) => return page(&app, &reader, Shown { error: Some(error.to_string()), ..Shown::default() }).await,
    };
    app.accounts.set_password(reader.session.user_id(), &hash).await.map_err(|e| reader.refuse(e))?;
    Ok(reader.back("/login", "ok", &reader.t.get("password-changed")))
}

/// What to show when `typed` is not the reader's password: a session that was left open is not enough for a change of
/// what one logs in with.
async fn wrong_password(
    app: &web::Data<App>,
    request: &HttpRequest,
    reader: &Reader,
    typed: &str,
) -> Result<Option<Shown>, PageError> {
    let error = match confirm_password(app, &reader.caller.actor(), typed, address::of(app, request)).await {
        Ok(true) => return Ok(None),
        Ok(false) => reader.t.get("sign-in-wrong"),
        Err(LoginError::TooMany(error)) => too_many(reader.t, &error),
        Err(LoginError::Accounts(error)) => return Err(reader.refuse(error)),
    };
    Ok(Some(Shown { error: Some(error), ..Shown::default() }))
}

/// `POST /account/totp`: asks for the password and offers a second factor; nothing is stored before its first code.
pub async fn offer(
    app: web::Data<App>,
    request: HttpRequest,
    reader: Reader,
    form: web::Form<Wish>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    if let Some(wrong) = wrong_password(&app, &request, &reader, &form.current).await? {
        return page(&app, &reader, wrong).await;
    }
    let enrol = enrol(&app, &reader)?;
    page(&app, &reader, Shown { enrol: Some(enrol), ..Shown::default() }).await
}

fn enrol(app: &App, reader: &Reader) -> Result<Enrol, PageError> {
    let offer = totp::offer(app, reader.session.user_id(), &reader.caller.actor()).map_err(|e| reader.refuse(e))?;
    let code =
        fast_qr::QRBuilder::new(offer.url.as_str()).build().map_err(|error| reader.failed(&error.to_string()))?;
    Ok(Enrol { qr: SvgBuilder::default().to_str(&code), secret: offer.secret, sealed: offer.sealed })
}

/// `POST /account/totp/confirm`: the first code sets it; the recovery codes are shown this once.
pub async fn confirm(app: web::Data<App>, reader: Reader, form: web::Form<Confirm>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let (id, name) = (reader.session.user_id(), reader.caller.actor());
    let codes = totp::confirm(&app, id, &name, &form.secret, &form.code).await.map_err(|e| reader.refuse(e))?;
    let shown = match codes {
        Some(recovery) => Shown { recovery, ..Shown::default() },
        None => Shown { error: Some(reader.t.get("totp-wrong")), ..Shown::default() },
    };
    page(&app, &reader, shown).await
}
