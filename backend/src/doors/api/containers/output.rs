//! What a container writes, uses and runs.

use std::collections::HashMap;

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpResponse, get};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use sampan_engine::containers::{LogQuery, Output, StandardStream};
use sampan_engine::stats::{Point, Sample};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::{Answer, Known, Problems, times};
use crate::app::App;
use crate::auth::lasting;
use crate::doors::Patience;
use crate::service::containers;

/// Which part of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Standard output; true when it is not given
    stdout: Option<bool>,
    /// Standard error; true when it is not given
    stderr: Option<bool>,
    /// From here on: RFC 3339, or seconds since 1970
    since: Option<String>,
    /// Up to here: RFC 3339, or seconds since 1970
    until: Option<String>,
    /// The last so many lines only
    tail: Option<u64>,
    /// Goes on until the container ends
    #[serde(default)]
    follow: bool,
    /// Begins each line with its time
    #[serde(default)]
    timestamps: bool,
}

impl LogsQuery {
    /// The engine's words for it.
    fn query(&self) -> Answer<LogQuery> {
        Ok(LogQuery {
            stdout: self.stdout.unwrap_or(true),
            stderr: self.stderr.unwrap_or(true),
            since_ns: times::parse("since", self.since.as_deref())?,
            until_ns: times::parse("until", self.until.as_deref())?,
            tail: self.tail,
            follow: self.follow,
        })
    }
}

/// What it wrote, as plain bytes
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), LogsQuery),
    responses((status = 200, description = "The log", content_type = "text/plain", body = String), Problems))]
#[get("/containers/{id}/logs")]
pub async fn logs(app: Data<App>, known: Known, id: Path<String>, query: Query<LogsQuery>) -> Answer<HttpResponse> {
    let target = app.policy().container(&known.0, &id)?;
    let output = containers::logs(&app, target, query.query()?).await?;
    let revoked = lasting::ended(app.clone().into_inner(), known.0.clone(), Patience::default().allowed);
    let mut stamper = query.timestamps.then(Stamper::default);
    let bytes = output.map(move |output| match (&mut stamper, output) {
        (Some(stamper), Ok(output)) => Ok(stamper.stamp(&output)),
        (None, Ok(output)) => Ok(output.bytes),
        (_, Err(error)) => {
            tracing::warn!(%error, "a log ended early");
            Err(std::io::Error::other(error))
        }
    });
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(bytes.take_until(revoked)))
}

/// Puts the time at the beginning of each line; pieces of output are not cut at lines.
#[derive(Debug, Default)]
struct Stamper {
    within_line: HashMap<StandardStream, bool>,
}

impl Stamper {
    fn stamp(&mut self, output: &Output) -> Bytes {
        let within_line = self.within_line.entry(output.stream).or_default();
        let time = times::text(output.at_ns);
        let mut stamped = BytesMut::with_capacity(output.bytes.len() + time.len() + 1);
        for line in output.bytes.split_inclusive(|byte| *byte == b'\n') {
            if !*within_line {
                stamped.extend_from_slice(time.as_bytes());
                stamped.extend_from_slice(b" ");
            }
            stamped.extend_from_slice(line);
            *within_line = !line.ends_with(b"\n");
        }
        stamped.freeze()
    }
}

/// One reading of a container. Counters count since its start.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatsView {
    /// RFC 3339
    at: String,
    /// CPU time, nanoseconds
    cpu_ns: u64,
    /// CPU time of the whole host, nanoseconds
    host_cpu_ns: u64,
    /// CPUs that are on
    online_cpus: u32,
    /// Nanoseconds it was throttled
    throttled_ns: u64,
    /// Memory without inactive page cache
    memory_bytes: u64,
    /// The limit in effect
    memory_limit_bytes: u64,
    /// Processes and threads
    pids: u64,
    /// Read from block devices
    block_read_bytes: u64,
    /// Written to block devices
    block_write_bytes: u64,
    /// Received on all interfaces
    received_bytes: u64,
    /// Sent on all interfaces
    sent_bytes: u64,
}

impl From<&Sample> for StatsView {
    fn from(sample: &Sample) -> Self {
        Self {
            at: times::text(sample.at_ns),
            cpu_ns: sample.cpu_ns,
            host_cpu_ns: sample.host_cpu_ns,
            online_cpus: sample.online_cpus,
            throttled_ns: sample.throttled_ns,
            memory_bytes: sample.memory_bytes.saturating_sub(sample.memory_inactive_file_bytes),
            memory_limit_bytes: sample.memory_limit_bytes,
            pids: sample.pids,
            block_read_bytes: sample.block_read_bytes,
            block_write_bytes: sample.block_write_bytes,
            received_bytes: sample.networks.iter().map(|network| network.received_bytes).sum(),
            sent_bytes: sample.networks.iter().map(|network| network.sent_bytes).sum(),
        }
    }
}

/// One point of a chart: rates over the ten seconds before it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PointView {
    /// RFC 3339
    at: String,
    /// Hundredths of one CPU
    cpu_percent: f64,
    /// Memory without inactive page cache
    memory_bytes: u64,
    /// Bytes per second
    received_per_second: f64,
    /// Bytes per second
    sent_per_second: f64,
    /// Processes and threads
    pids: u64,
}

impl From<&Point> for PointView {
    fn from(point: &Point) -> Self {
        Self {
            at: times::text(point.at_ns),
            cpu_percent: point.cpu_percent,
            memory_bytes: point.memory_bytes,
            received_per_second: point.received_per_second,
            sent_per_second: point.sent_per_second,
            pids: point.pids,
        }
    }
}

/// What it uses now
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 200, description = "One reading", body = StatsView), Problems))]
#[get("/containers/{id}/stats")]
pub async fn stats(app: Data<App>, known: Known, id: Path<String>) -> Answer<Json<StatsView>> {
    let target = app.policy().container(&known.0, &id)?;
    Ok(Json(StatsView::from(&*containers::sample(&app, &target).await?)))
}

/// What it used in the last ten minutes, in steps of ten seconds
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id")),
    responses((status = 200, description = "Points, oldest first", body = [PointView]), Problems))]
#[get("/containers/{id}/stats/history")]
pub async fn history(app: Data<App>, known: Known, id: Path<String>) -> Answer<Json<Vec<PointView>>> {
    let target = app.policy().container(&known.0, &id)?;
    Ok(Json(containers::history(&app, &target)?.iter().map(PointView::from).collect()))
}

/// Processes as `ps` shows them.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopView {
    /// `UID`, `PID`, …
    titles: Vec<String>,
    /// One row each, as many cells as titles
    processes: Vec<Vec<String>>,
}

/// How to show them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopQuery {
    /// Arguments of ps(1); `-ef` when it is not given
    arguments: Option<String>,
}

/// Its processes
#[utoipa::path(tag = "containers", params(("id" = String, Path, description = "Name, id or beginning of an id"), TopQuery),
    responses((status = 200, description = "The processes", body = TopView), Problems))]
#[get("/containers/{id}/top")]
pub async fn top(app: Data<App>, known: Known, id: Path<String>, query: Query<TopQuery>) -> Answer<Json<TopView>> {
    let target = app.policy().container(&known.0, &id)?;
    let top = containers::top(&app, target, query.arguments.as_deref().unwrap_or("-ef")).await?;
    Ok(Json(TopView { titles: top.titles, processes: top.processes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stands_at_the_beginning_of_each_line_of_each_stream() {
        let mut stamper = Stamper::default();
        let mut stamp = |stream, text: &'static str| {
            let output = Output { stream, at_ns: 0, bytes: Bytes::from_static(text.as_bytes()) };
            String::from_utf8(stamper.stamp(&output).to_vec()).unwrap()
        };
        let time = "1970-01-01T00:00:00Z";
        assert_eq!(stamp(StandardStream::Stdout, "a\nb"), format!("{time} a\n{time} b"));
        assert_eq!(stamp(StandardStream::Stderr, "x\n"), format!("{time} x\n"));
        assert_eq!(stamp(StandardStream::Stdout, "c\n\n"), format!("c\n{time} \n"));
    }
}
