//! Manifests: given out, taken in, deleted. Spec: distribution-spec, end-3, end-7, end-9.

use actix_web::http::StatusCode;
use actix_web::http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt;
use sampan_engine::registry::{MANIFEST_BYTES, Manifest, RepositoryName, Tag};

use super::blobs::{CONTENT_DIGEST, head_of, is_known};
use super::body::Length;
use super::visitor::Visitor;
use super::{Answer, Refusal};
use crate::app::App;
use crate::clock::now_ns;
use crate::policy::action::{Pull, Push, Remove};
use crate::service::registry::{self, Named};

/// Tags that one push may give.
const TAGS_MAX: usize = 64;

/// `GET`: exactly the bytes that were pushed, with the type that they were pushed with.
pub async fn get(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (name, named) = parts(&path)?;
    let target = visitor.may::<Pull>(&name).await?;
    let (manifest, as_of) = registry::manifest(&app, &target, &named, true).await?;
    if is_known(request.headers(), &manifest.digest) {
        return Ok(head(StatusCode::NOT_MODIFIED, &manifest, &named, as_of).finish());
    }
    Ok(head(StatusCode::OK, &manifest, &named, as_of).content_type(manifest.media_type).body(manifest.bytes))
}

/// `HEAD`: the same without the bytes; no pull.
pub async fn head_only(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Answer<HttpResponse> {
    let (name, named) = parts(&path)?;
    let target = visitor.may::<Pull>(&name).await?;
    let (manifest, as_of) = registry::manifest(&app, &target, &named, false).await?;
    if is_known(request.headers(), &manifest.digest) {
        return Ok(head(StatusCode::NOT_MODIFIED, &manifest, &named, as_of).finish());
    }
    let length = Length(manifest.bytes.len() as u64);
    Ok(head(StatusCode::OK, &manifest, &named, as_of).content_type(manifest.media_type).body(length))
}

/// `PUT`: under a tag, or under its digest with tags in the query.
pub async fn put(
    app: Data<App>,
    visitor: Visitor,
    request: HttpRequest,
    path: Path<(String, String)>,
    query: Query<Vec<(String, String)>>,
    body: Payload,
) -> Answer<HttpResponse> {
    let (name, named) = parts(&path)?;
    let target = visitor.may::<Push>(&name).await?;
    let tags = query.iter().filter(|(key, _)| key == "tag").map(|(_, tag)| tag.parse());
    let tags = tags.collect::<Result<Vec<Tag>, _>>()?;
    if tags.len() > TAGS_MAX {
        return Err(Refusal::unsupported(format!("one push gives at most {TAGS_MAX} tags")));
    }
    let bytes = whole(body).await?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let stored = registry::put_manifest(&app, &target, &named, &tags, content_type, &bytes).await?;
    let mut answer = HttpResponse::Created();
    answer
        .insert_header((LOCATION, format!("/v2/{name}/manifests/{}", stored.digest)))
        .insert_header((CONTENT_DIGEST, stored.digest.to_string()));
    if let Some(subject) = stored.subject {
        answer.insert_header(("oci-subject", subject.to_string()));
    }
    for tag in &tags {
        answer.append_header(("oci-tag", tag.as_str()));
    }
    Ok(answer.finish())
}

/// `DELETE`: a tag, or a manifest with all its tags.
pub async fn delete(app: Data<App>, visitor: Visitor, path: Path<(String, String)>) -> Answer<HttpResponse> {
    let (name, named) = parts(&path)?;
    let target = visitor.may::<Remove>(&name).await?;
    registry::delete_manifest(&app, &target, &named).await?;
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}

fn parts(path: &(String, String)) -> Answer<(RepositoryName, Named)> {
    let named = match path.1.contains(':') {
        true => Named::Digest(path.1.parse().map_err(|error| Refusal::digest(&error))?),
        false => Named::Tag(path.1.parse()?),
    };
    Ok((path.0.parse()?, named))
}

/// What a tag names may change; what a digest names does not. `as_of`: when another registry last said what a tag of the
/// cache is, told as RFC 9111, section 5.1, has it.
fn head(status: StatusCode, manifest: &Manifest, named: &Named, as_of: Option<i64>) -> HttpResponseBuilder {
    let mut answer = head_of(status, &manifest.digest);
    if matches!(named, Named::Tag(_)) {
        answer.insert_header((CACHE_CONTROL, "private, no-cache"));
    }
    if let Some(at) = as_of {
        answer.insert_header((AGE, ((now_ns() - at) / 1_000_000_000).max(0)));
    }
    answer
}

/// The body, if it is no longer than a manifest may be.
async fn whole(mut body: Payload) -> Answer<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Refusal::broken(format!("the manifest broke off: {error}")))?;
        if bytes.len() + piece.len() > MANIFEST_BYTES {
            return Err(Refusal::manifest_too_large(MANIFEST_BYTES));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
