//! What a container writes, line by line.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::{StreamExt, stream};
use sampan_engine::containers::LogQuery;
use serde::Deserialize;
use utoipa::IntoParams;

use super::lines::Lines;
use super::socket::{self, Frame};
use crate::app::App;
use crate::doors::api::{Known, Problem, Problems};
use crate::service::containers;

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Standard output; true when it is not given
    stdout: Option<bool>,
    /// Standard error; true when it is not given
    stderr: Option<bool>,
    /// From here on, nanoseconds since 1970
    since_ns: Option<i64>,
    /// The last so many lines first; all when it is not given
    tail: Option<u64>,
    /// Goes on until the container ends; true when it is not given
    follow: Option<bool>,
    /// From `POST /live/tickets`
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// Websocket: what it writes, a text frame `{"at_ns": "…", "stream": "stdout|stderr", "text": "…"}` for each line
#[utoipa::path(tag = "live", params(("id" = String, Path, description = "Name, id or beginning of an id"), LogsQuery),
    responses((status = 101, description = "The websocket is open"), Problems))]
#[get("/containers/{id}/logs")]
pub async fn logs(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    query: Query<LogsQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wanted = LogQuery {
        stdout: query.stdout.unwrap_or(true),
        stderr: query.stderr.unwrap_or(true),
        since_ns: query.since_ns,
        until_ns: None,
        tail: query.tail,
        follow: query.follow.unwrap_or(true),
    };
    let target = app.policy().container(&known.0, &id)?;
    let output = containers::logs(&app, target, wanted).await?;
    let (response, socket) = socket::open(&app, &known, &request, payload)?;
    let pieces = output.map(Some).chain(stream::once(async { None }));
    let frames = pieces.scan(Lines::default(), |lines, piece| {
        let frames: Vec<Result<Frame, String>> = match piece {
            Some(Ok(output)) => lines.take(&output).into_iter().map(Ok).collect(),
            Some(Err(error)) => vec![Err(error.to_string())],
            None => lines.finish().into_iter().map(Ok).collect(),
        };
        async { Some(stream::iter(frames)) }
    });
    socket.follow(frames.flatten());
    Ok(response)
}
