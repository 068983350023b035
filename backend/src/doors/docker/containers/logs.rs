//! `GET /containers/{id}/logs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header;
use sampan_engine::containers::{LogQuery, Output, StandardStream};
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::extract::{Params, flag};
use crate::doors::docker::frames::Framing;
use crate::doors::docker::times;
use crate::doors::docker::version::Version;
use crate::policy::action::{Logs, View};
use crate::service;

/// Which part, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogsQuery {
    #[serde(deserialize_with = "flag")]
    follow: bool,
    #[serde(deserialize_with = "flag")]
    stdout: bool,
    #[serde(deserialize_with = "flag")]
    stderr: bool,
    #[serde(deserialize_with = "flag")]
    timestamps: bool,
    #[serde(deserialize_with = "flag")]
    details: bool,
    since: String,
    until: String,
    tail: String,
}

impl LogsQuery {
    fn read(&self) -> Result<LogQuery, DockerError> {
        if !self.stdout && !self.stderr {
            return Err(DockerError::invalid("Bad parameters: you must choose at least one stream"));
        }
        Ok(LogQuery {
            stdout: self.stdout,
            stderr: self.stderr,
            since_ns: times::parse_unix(&self.since, "since")?,
            until_ns: times::parse_unix(&self.until, "until")?,
            // `all`, nothing and whatever is no number are "all", as with dockerd.
            tail: self.tail.parse().ok(),
            follow: self.follow,
        })
    }
}

/// `GET /containers/{id}/logs`: what it wrote. Spec: Docker Engine API, `ContainerLogs`; frames as `attach`.
pub async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    version: Version,
    Path(id): Path<String>,
    Params(query): Params<LogsQuery>,
) -> Result<Response, DockerError> {
    let wanted = query.read()?;
    let seen = app.policy().container::<View>(&caller, &id)?;
    let framing = Framing::of(service::containers::inspect(&app, &seen)?.config.tty);
    let target = app.policy().container::<Logs>(&caller, &id)?;
    let output = service::containers::logs(&app, target, wanted).await?;
    let mut writer = LogWriter::new(framing, query.timestamps, query.details);
    // An error after the head went out can only end the stream.
    let body = Body::from_stream(output.map(move |piece| piece.map(|piece| writer.write(&piece))));
    Ok(([(header::CONTENT_TYPE, framing.content_type(version))], body).into_response())
}

/// Puts pieces into frames, and a head before each line where one is wanted.
struct LogWriter {
    framing: Framing,
    timestamps: bool,
    details: bool,
    /// Of stdout and stderr: the next byte begins a line.
    fresh: [bool; 2],
}

impl LogWriter {
    fn new(framing: Framing, timestamps: bool, details: bool) -> Self {
        Self { framing, timestamps, details, fresh: [true; 2] }
    }

    fn write(&mut self, piece: &Output) -> Bytes {
        if !self.timestamps && !self.details {
            return self.framing.frame(piece.stream, b"", &piece.bytes);
        }
        let head = self.head(piece.at_ns);
        let fresh = &mut self.fresh[usize::from(piece.stream == StandardStream::Stderr)];
        let mut out = BytesMut::with_capacity(piece.bytes.len() + 64);
        for line in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
            let head = if *fresh { head.as_bytes() } else { b"" };
            out.extend_from_slice(&self.framing.frame(piece.stream, head, line));
            *fresh = line.ends_with(b"\n");
        }
        out.freeze()
    }

    /// Time, and the place of details: attributes that a log option would add, of which there are none here.
    fn head(&self, at_ns: i64) -> String {
        let time = if self.timestamps { format!("{} ", times::rfc3339_fixed(at_ns)) } else { String::new() };
        if self.details { format!("{time} ") } else { time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: StandardStream, text: &'static str) -> Output {
        Output { stream, at_ns: 1_000_000_000, bytes: Bytes::from_static(text.as_bytes()) }
    }

    #[test]
    fn each_line_gets_its_time_once() {
        let mut writer = LogWriter::new(Framing::Raw, true, false);
        assert_eq!(
            writer.write(&piece(StandardStream::Stdout, "a\nb")),
            "1970-01-01T00:00:01.000000000Z a\n1970-01-01T00:00:01.000000000Z b"
        );
        assert_eq!(writer.write(&piece(StandardStream::Stdout, "c\n")), "c\n");
        assert_eq!(writer.write(&piece(StandardStream::Stdout, "d\n")), "1970-01-01T00:00:01.000000000Z d\n");
    }

    #[test]
    fn the_two_streams_have_their_own_lines() {
        let mut writer = LogWriter::new(Framing::Multiplexed, true, false);
        writer.write(&piece(StandardStream::Stdout, "half"));
        let framed = writer.write(&piece(StandardStream::Stderr, "e\n"));
        assert_eq!(&framed[..8], b"\x02\0\0\0\0\0\0\x21");
        assert_eq!(&framed[8..], b"1970-01-01T00:00:01.000000000Z e\n");
    }

    #[test]
    fn queries_are_read_as_dockerd_reads_them() {
        let read = |query: LogsQuery| query.read().map_err(|error| error.message);
        assert_eq!(read(LogsQuery::default()), Err("Bad parameters: you must choose at least one stream".to_owned()));
        let both = || LogsQuery { stdout: true, stderr: true, ..LogsQuery::default() };
        assert_eq!(read(LogsQuery { tail: "all".into(), ..both() }).map(|query| query.tail), Ok(None));
        assert_eq!(read(LogsQuery { tail: "5".into(), ..both() }).map(|query| query.tail), Ok(Some(5)));
        assert_eq!(read(LogsQuery { tail: "-1".into(), ..both() }).map(|query| query.tail), Ok(None));
        assert!(read(LogsQuery { since: "soon".into(), ..both() }).is_err());
    }
}
