//! `POST /images/pull`: begins one, and shows how far it is.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use sampan_engine::images::ImageError;
use sampan_engine::reference::ImageReference;
use serde::Deserialize;

use super::super::error::PageError;
use super::super::reader::Reader;
use crate::app::App;
use crate::policy::Images;
use crate::policy::action::Pull;
use crate::service::images::PullOrder;
use crate::service::{self, ServiceError};

/// What to pull.
#[derive(Debug, Deserialize)]
pub struct Form {
    csrf: String,
    reference: String,
    #[serde(default)]
    platform: String,
    #[serde(default)]
    all: bool,
}

/// Begins a pull; it goes on when nobody looks.
pub async fn pull(app: web::Data<App>, reader: Reader, form: web::Form<Form>) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().team::<Pull, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let reference: ImageReference = match form.reference.trim().parse() {
        Ok(reference) => reference,
        Err(error) => return Ok(reader.back_with("/images", &ServiceError::from(ImageError::from(error)))),
    };
    let platform = Some(form.platform.trim().to_owned()).filter(|platform| !platform.is_empty());
    let order = PullOrder { reference, platform, given: None, all: form.all };
    match service::operations::pull(&app.into_inner(), target, order) {
        Ok(operation) => {
            let place = format!("/operations/{}", operation.id);
            Ok(HttpResponse::SeeOther().insert_header((LOCATION, place)).finish())
        }
        Err(error) => Ok(reader.back_with("/images", &error)),
    }
}
