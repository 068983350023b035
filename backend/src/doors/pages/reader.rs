//! Who reads a page: the signed-in caller with language, theme and what the last act left to say.

use std::future::Future;
use std::pin::Pin;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::error::{PageError, words};
use super::frame::{Door, Frame, Notice};
use crate::accounts::AccountsError;
use crate::app::App;
use crate::auth::Caller;
use crate::auth::session::{self, Session};
use crate::policy::action::List;
use crate::policy::{Containers, Images, Repositories, Volumes};
use crate::service::{self, ServiceError};
use crate::texts::{Language, Texts};

/// Name of the cookie with the sentence about the last act.
const NOTICE: &str = "sampan_notice";

/// Somebody who is signed in.
#[derive(Debug)]
pub struct Reader {
    /// What the policy is asked with.
    pub caller: Caller,
    /// Texts in their language.
    pub t: Texts,
    /// `light`, `dark` or `None`.
    pub theme: Option<String>,
    /// The session itself.
    pub session: Session,
    /// Value of its cookie.
    pub cookie: String,
    host_name: String,
    teams: Vec<String>,
    notice: Option<Notice>,
}

/// `?part=live`: only the live part of a page is wanted.
#[derive(Debug, Deserialize)]
pub struct Part {
    #[serde(default)]
    part: String,
}

impl Part {
    /// Whether only the part is wanted.
    pub fn wanted(&self) -> bool {
        self.part == "live"
    }
}

impl FromRequest for Reader {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

impl Reader {
    async fn of(request: &HttpRequest) -> Result<Self, PageError> {
        let app = request.app_data::<web::Data<App>>().cloned().ok_or_else(|| PageError::sign_in(request))?;
        let cookie = request.cookie(session::COOKIE).ok_or_else(|| PageError::sign_in(request))?;
        let failed = |error: AccountsError| PageError::service(request, &error.into());
        let session = session::find(&app, cookie.value(), crate::auth::Door::Pages).await.map_err(failed)?;
        let session = session.ok_or_else(|| PageError::sign_in(request))?;
        let memberships = app.accounts.memberships(session.user_id()).await.map_err(failed)?;
        Ok(Self {
            caller: session.caller.clone(),
            t: Texts::of(Language::from_tag(&session.language).unwrap_or_default()),
            theme: Some(session.theme.clone()).filter(|theme| theme != "system"),
            host_name: host_name(request),
            teams: memberships.into_iter().map(|member| member.team_name).collect(),
            notice: notice(request),
            cookie: cookie.value().to_owned(),
            session,
        })
    }

    /// The frame around a page at `place`.
    ///
    /// # Errors
    /// When the team's things cannot be counted.
    pub async fn frame(&self, app: &App, place: &'static str) -> Result<Frame, ServiceError> {
        let team = self.caller.team();
        let (mut container_count, mut image_count, mut volume_count, mut repository_count) = (0, 0, 0, 0);
        if team.is_some() {
            let containers = app.policy().team::<List, _>(&self.caller, Containers)?;
            container_count = service::containers::list(app, &containers, true).len();
            let images = app.policy().team::<List, _>(&self.caller, Images)?;
            image_count = service::images::list(app, &images).await?.len();
            let volumes = app.policy().team::<List, _>(&self.caller, Volumes)?;
            volume_count = service::volumes::list(app, &volumes).await?.len();
            let repositories = app.policy().team::<List, _>(&self.caller, Repositories)?;
            repository_count = service::registry::count(app, &repositories).await?;
        }
        let system = rustix::system::uname();
        Ok(Frame {
            t: self.t,
            theme: self.theme.clone(),
            place,
            csrf: self.session.csrf().to_owned(),
            team: team.map(|team| team.name.clone()).unwrap_or_default(),
            teams: self.teams.clone(),
            user: self.caller.actor(),
            may_write: team.is_some_and(|team| team.role >= crate::auth::Role::Developer),
            host: system.nodename().to_string_lossy().into_owned(),
            kernel: system.release().to_string_lossy().into_owned(),
            host_name: self.host_name.clone(),
            container_count,
            image_count,
            volume_count,
            repository_count,
            notice: self.notice.clone(),
        })
    }

    /// A whole page; the notice has been read then.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn page(&self, template: &impl Template) -> Result<HttpResponse, PageError> {
        let text = template.render().map_err(|error| self.failed(&error.to_string()))?;
        let mut answer = HttpResponse::Ok();
        answer.content_type("text/html; charset=utf-8").insert_header((CACHE_CONTROL, "no-store"));
        if self.notice.is_some() {
            let mut gone = Cookie::build(NOTICE, "").path("/").finish();
            gone.make_removal();
            answer.cookie(gone);
        }
        Ok(answer.body(text))
    }

    /// Back to `place` with a sentence to show there.
    pub fn back(&self, place: &str, tone: &'static str, text: &str) -> HttpResponse {
        let value = URL_SAFE_NO_PAD.encode(format!("{tone}|{text}"));
        HttpResponse::SeeOther()
            .insert_header((LOCATION, place))
            .cookie(Cookie::build(NOTICE, value).path("/").http_only(true).same_site(SameSite::Strict).finish())
            .finish()
    }

    /// Back to `place` with why something was not done.
    pub fn back_with(&self, place: &str, error: &ServiceError) -> HttpResponse {
        self.back(place, "bad", &self.words(error))
    }

    /// Why something was not done, as a page says it.
    pub fn words(&self, error: &ServiceError) -> String {
        words(self.t, error)
    }

    /// Refuses a form that does not carry this session's token.
    ///
    /// # Errors
    /// A refusal page when it does not.
    pub fn check(&self, csrf: &str) -> Result<(), PageError> {
        if self.session.csrf_is(csrf) { Ok(()) } else { Err(PageError::csrf(self.door())) }
    }

    /// A service's error as a page.
    pub fn refuse(&self, error: impl Into<ServiceError>) -> PageError {
        PageError::of(self.door(), &error.into())
    }

    /// Something of ours that failed, as a page.
    pub fn failed(&self, what: &str) -> PageError {
        PageError::failed(self.door(), what)
    }

    fn door(&self) -> Door {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Door::new(self.t.language(), self.theme.clone(), host)
    }
}

fn notice(request: &HttpRequest) -> Option<Notice> {
    let cookie = request.cookie(NOTICE)?;
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cookie.value()).ok()?).ok()?;
    let (tone, text) = text.split_once('|')?;
    let tone = match tone {
        "ok" => "ok",
        "warn" => "warn",
        _ => "bad",
    };
    Some(Notice { tone, text: text.to_owned() })
}

/// The host as the reader's browser names it, without a port.
fn host_name(request: &HttpRequest) -> String {
    let info = request.connection_info();
    let host = info.host();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    if name.chars().all(plain) { name.to_owned() } else { "localhost".to_owned() }
}
