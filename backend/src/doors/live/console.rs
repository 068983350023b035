//! A program in a container with a terminal in a browser, or with plain streams.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, get, rt};
use actix_ws::Message;
use futures_util::StreamExt;
use sampan_engine::containers::{Attached, ExecConfig, StdinWriter};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::time::{Duration, timeout};
use utoipa::IntoParams;

use super::socket::{self, End, Frame, Socket};
use crate::app::App;
use crate::auth::Caller;
use crate::doors::api::{Known, Problem, Problems};
use crate::service::execs;

/// A shell of most images, when no program is named.
const SHELL: &str = "/bin/sh";
/// A program that takes no input for so long loses its console.
const STUCK: Duration = Duration::from_secs(30);

/// Which program.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConsoleQuery {
    /// Program and arguments, split at spaces; `/bin/sh` when it is not given
    command: Option<String>,
    /// `name|uid[:group|gid]`; the container's when it is not given
    user: Option<String>,
    /// Absolute path; the container's when it is not given
    working_directory: Option<String>,
    /// A terminal; true when it is not given
    tty: Option<bool>,
    /// Lines of the terminal
    rows: Option<u16>,
    /// Columns of the terminal
    columns: Option<u16>,
    /// From `POST /live/tickets`
    #[serde(rename = "ticket")]
    _ticket: Option<String>,
}

/// What a text frame of a client says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    /// The terminal has another size.
    Resize { rows: u16, columns: u16 },
    /// There is no more input.
    EndOfInput {},
}

/// Websocket: a program in a running container. Binary frames are its input and output; text frames of the client are
/// `{"resize": {"rows": 24, "columns": 80}}` and `{"end_of_input": {}}`; the close says how it ended
#[utoipa::path(tag = "live", params(("id" = String, Path, description = "Name, id or beginning of an id"), ConsoleQuery),
    responses((status = 101, description = "The websocket is open"), Problems))]
#[get("/containers/{id}/console")]
pub async fn console(
    app: Data<App>,
    known: Known,
    id: Path<String>,
    query: Query<ConsoleQuery>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let tty = query.tty.unwrap_or(true);
    let config = ExecConfig {
        command: query.command.as_deref().unwrap_or(SHELL).split_whitespace().map(str::to_owned).collect(),
        user: query.user.filter(|user| !user.is_empty()),
        working_directory: query.working_directory.map(Into::into),
        environment: if tty { vec!["TERM=xterm-256color".to_owned()] } else { Vec::new() },
        tty,
        stdin: true,
        stdout: true,
        stderr: true,
        ..ExecConfig::default()
    };
    if config.command.is_empty() {
        return Err(Problem::invalid("command is empty: name a program"));
    }
    let exec_id = execs::create(&app, app.policy().new_exec(&known.0, &id, config)?).await?;
    let size = query.rows.zip(query.columns).filter(|_| tty);
    let target = app.policy().exec(&known.0, &exec_id)?;
    // The handshake comes first, so that nothing is started for a request that is no websocket's.
    let (response, socket) = socket::open(&app, &known, &request, payload)?;
    let attached = match execs::start(&app, target, false, size).await {
        Ok(Some(attached)) => attached,
        Ok(None) => return Err(Problem::invalid("the program has no streams")),
        Err(error) => return Err(error.into()),
    };
    let console = Console { app, caller: known.0, exec_id, socket };
    rt::spawn(console.run(attached));
    Ok(response)
}

struct Console {
    app: Data<App>,
    caller: Caller,
    exec_id: String,
    socket: Socket,
}

impl Console {
    async fn run(mut self, attached: Attached) {
        let end = self.carry(attached).await;
        self.socket.close(end).await;
    }

    /// Carries bytes both ways until the program ends or the client leaves.
    async fn carry(&mut self, attached: Attached) -> End {
        let Attached { mut stdin, mut output, .. } = attached;
        loop {
            tokio::select! {
                piece = output.next() => match piece {
                    Some(Ok(piece)) => if !self.socket.send(Frame::Binary(piece.bytes)).await { return End::Client },
                    Some(Err(error)) => return End::Failed(error.to_string()),
                    None => return self.ended(),
                },
                said = self.socket.hear() => match said {
                    Err(end) => return end,
                    Ok(said) => if let Err(end) = self.said(said, &mut stdin).await { return end },
                },
            }
        }
    }

    async fn said(&mut self, said: Message, stdin: &mut Option<StdinWriter>) -> Result<(), End> {
        match said {
            Message::Binary(bytes) => match stdin {
                Some(writer) => match timeout(STUCK, writer.write_all(&bytes)).await {
                    Ok(Ok(())) => Ok(()),
                    // The program closed its input; it may go on and write.
                    Ok(Err(_)) => {
                        *stdin = None;
                        Ok(())
                    }
                    Err(_) => Err(End::Failed("the program takes no input".to_owned())),
                },
                None => Ok(()),
            },
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(Said::Resize { rows, columns }) => self.resize(rows, columns).await,
                Ok(Said::EndOfInput {}) => {
                    *stdin = None;
                    Ok(())
                }
                Err(_) => Err(End::Failed("a text frame must be a resize or the end of input".to_owned())),
            },
            _ => Err(End::Failed("only whole text and binary frames are understood".to_owned())),
        }
    }

    async fn resize(&self, rows: u16, columns: u16) -> Result<(), End> {
        let target =
            self.app.policy().exec(&self.caller, &self.exec_id).map_err(|error| End::Failed(error.to_string()))?;
        match execs::resize(&self.app, target, rows, columns).await {
            // One that has just ended has no terminal to resize: its end is told next.
            Err(error) if error.kind() == sampan_engine::Kind::Internal => Err(End::Failed(error.to_string())),
            _ => Ok(()),
        }
    }

    fn ended(&self) -> End {
        let target = self.app.policy().exec(&self.caller, &self.exec_id);
        let state = target.ok().and_then(|target| execs::inspect(&self.app, &target).ok());
        match state.and_then(|state| state.exit_code) {
            Some(code) => End::Done(format!("exit code {code}")),
            None => End::Done("ended".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_frame_is_a_resize_or_the_end_of_input() {
        let said = |text| serde_json::from_str::<Said>(text);
        assert_eq!(said(r#"{"resize":{"rows":24,"columns":80}}"#).unwrap(), Said::Resize { rows: 24, columns: 80 });
        assert_eq!(said(r#"{"end_of_input":{}}"#).unwrap(), Said::EndOfInput {});
        assert!(said(r#"{"resize":{"rows":24}}"#).is_err());
        assert!(said(r#"{"resize":{"rows":99999,"columns":80}}"#).is_err());
        assert!(said(r#"{"run":{}}"#).is_err());
    }
}
