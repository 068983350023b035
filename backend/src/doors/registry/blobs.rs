//! Blobs: given out, deleted. Spec: distribution-spec, end-2 and end-10.

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sampan_engine::digest::Digest;
use sampan_engine::registry::{Filled, RegistryError, RepositoryName};

use super::body::{Length, Part};
use super::range::{Asked, asked};
use super::visitor::Visitor;
use super::{Answer, Refusal};
use crate::app::App;
use crate::policy::action::{Pull, Remove};
use crate::service::registry;

/// A digest never names other bytes.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// The digest of what is given out.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

/// `GET`: the blob, or a part of it.
pub async fn get(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (name, digest) = parts(&path)?;
    let target = visitor.may::<Pull>(&name).await?;
    let headers = request.headers();
    if is_known(headers, &digest) {
        registry::blob_size(&app, &target, &digest).await?;
        return Ok(head_of(StatusCode::NOT_MODIFIED, &digest).finish());
    }
    let blob = match registry::blob(&app, &target, &digest).await? {
        Filled::There(blob) => blob,
        Filled::Coming(coming) if headers.contains_key(RANGE) => coming.whole().await?,
        Filled::Coming(mut coming) => {
            coming.begun().await?;
            let (size, mut answer) = (coming.size(), head_of(StatusCode::OK, &digest));
            let pieces = futures_util::stream::try_unfold(coming, |mut coming| async move {
                Ok::<_, RegistryError>(coming.next().await?.map(|piece| (piece, coming)))
            });
            return Ok(answer.content_type("application/octet-stream").body(SizedStream::new(size, Box::pin(pieces))));
        }
    };
    let part = match asked(range(headers, &digest), blob.size) {
        Asked::Whole => None,
        Asked::Part(first, end) => Some((first, end)),
        Asked::Beyond => return Err(Refusal::range(blob.size)),
    };
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut answer = head_of(status, &digest);
    answer.content_type("application/octet-stream");
    let (first, end) = part.unwrap_or((0, blob.size));
    if part.is_some() {
        answer.insert_header((CONTENT_RANGE, format!("bytes {first}-{}/{}", end - 1, blob.size)));
    }
    Ok(answer.body(Part::new(blob.file, first, end)))
}

/// `HEAD`: whether it is there, and how long it is.
pub async fn head(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (name, digest) = parts(&path)?;
    let target = visitor.may::<Pull>(&name).await?;
    let size = registry::blob_size(&app, &target, &digest).await?;
    if is_known(request.headers(), &digest) {
        return Ok(head_of(StatusCode::NOT_MODIFIED, &digest).finish());
    }
    Ok(head_of(StatusCode::OK, &digest).content_type("application/octet-stream").body(Length(size)))
}

/// `DELETE`.
pub async fn delete(app: Data<App>, visitor: Visitor, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let (name, digest) = parts(&path)?;
    let target = visitor.may::<Remove>(&name).await?;
    registry::delete_blob(&app, &target, &digest).await?;
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}

fn parts(path: &(String, String)) -> Answer<(RepositoryName, Digest)> {
    Ok((path.0.parse()?, path.1.parse().map_err(|error| Refusal::digest(&error))?))
}

/// Headers that every answer about a digest has.
pub(super) fn head_of(status: StatusCode, digest: &Digest) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .insert_header((ETAG, format!("\"{digest}\"")))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, FOR_EVER));
    answer
}

/// Whether the client says that it has the content already. Spec: RFC 9110, section 13.1.2.
pub(super) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let tag = format!("\"{digest}\"");
    let values = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(','));
    tags.any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag)
}

/// The range, unless it is for other content. Spec: RFC 9110, section 13.1.5.
fn range<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let text = |name| headers.get(name).and_then(|value: &actix_web::http::header::HeaderValue| value.to_str().ok());
    let same = text(IF_RANGE).is_none_or(|tag| tag.trim() == format!("\"{digest}\""));
    text(RANGE).filter(|_| same)
}
