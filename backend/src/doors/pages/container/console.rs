//! `GET /containers/{id}/console`: a terminal, opened by the script over a websocket.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::{HttpResponse, web};
use askama::Template;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::reader::Reader;
use super::Head;
use crate::app::App;
use crate::doors::http::CONTENT_POLICY;
use crate::policy::action::View;
use crate::service;

#[derive(Template)]
#[template(path = "container_console.html")]
struct Page {
    frame: Frame,
    head: Head,
    console_user: String,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(&app, &target).map_err(|e| reader.refuse(e))?;
    let user = &container.resolved.user;
    let mut answer = reader.page(&Page {
        head: Head::of(&container, reader.t, "console"),
        console_user: if user.is_empty() { "root".to_owned() } else { user.clone() },
        frame: reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?,
    })?;
    // The terminal writes style elements and attributes of its own; scripts stay as strict as everywhere.
    let policy = CONTENT_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'");
    let policy = HeaderValue::from_str(&policy).map_err(|error| reader.failed(&error.to_string()))?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(answer)
}
