//! What a container uses, once a second.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::StreamExt;
use sampan_engine::stats::Sample;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::socket::{self, Frame};
use crate::app::App;
use crate::doors::api::{Known, Problem, Problems};
use crate::service::containers;

/// Nothing but the ticket.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// From `POST /live/tickets`
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// One reading. Counters count since the container's start.
#[derive(Debug, Serialize)]
struct Reading {
    at_ns: i64,
    /// Hundredths of one CPU since the reading before; 0 in the first one.
    cpu_percent: f64,
    memory_bytes: u64,
    memory_limit_bytes: u64,
    received_bytes: u64,
    sent_bytes: u64,
    block_read_bytes: u64,
    block_write_bytes: u64,
    pids: u64,
}

impl Reading {
    fn new(sample: &Sample, before: Option<&Sample>) -> Self {
        Self {
            at_ns: sample.at_ns,
            cpu_percent: before.map_or(0.0, |before| cpu_percent(sample, before)),
            memory_bytes: sample.memory_bytes.saturating_sub(sample.memory_inactive_file_bytes),
            memory_limit_bytes: sample.memory_limit_bytes,
            received_bytes: sample.networks.iter().map(|network| network.received_bytes).sum(),
            sent_bytes: sample.networks.iter().map(|network| network.sent_bytes).sum(),
            block_read_bytes: sample.block_read_bytes,
            block_write_bytes: sample.block_write_bytes,
            pids: sample.pids,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share in per cent")]
fn cpu_percent(sample: &Sample, before: &Sample) -> f64 {
    let passed = sample.at_ns - before.at_ns;
    let used = sample.cpu_ns.saturating_sub(before.cpu_ns);
    if passed > 0 { used as f64 / passed as f64 * 100.0 } else { 0.0 }
}

/// Websocket: what it uses, a text frame with a JSON object each second
#[utoipa::path(tag = "live", params(("id" = String, Path, description = "Name, id or beginning of an id"), StatsQuery),
    responses((status = 101, description = "The websocket is open"), Problems))]
#[get("/containers/{id}/stats")]
pub async fn stats(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    _query: Query<StatsQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let target = app.policy().container(&known.0, &id)?;
    let samples = containers::samples(&app, &target)?;
    let (response, socket) = socket::open(&app, &known, &request, payload)?;
    let frames = samples.scan(None::<Arc<Sample>>, |before, sample| {
        let reading = Reading::new(&sample, before.as_deref());
        *before = Some(sample);
        async move { Some(Ok(Frame::Text(serde_json::json!(reading).to_string()))) }
    });
    socket.follow(frames);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_cpu_is_between_two_readings() {
        let before = Sample { at_ns: 1_000_000_000, cpu_ns: 500, ..Sample::default() };
        let sample = Sample { at_ns: 2_000_000_000, cpu_ns: 500_000_500, ..Sample::default() };
        assert_eq!(Reading::new(&sample, Some(&before)).cpu_percent, 50.0);
        assert_eq!(Reading::new(&sample, None).cpu_percent, 0.0);
        assert_eq!(Reading::new(&sample, Some(&sample)).cpu_percent, 0.0);
    }
}
