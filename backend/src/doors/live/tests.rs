//! Who gets a websocket, who keeps it, and what a client may not do with it: by real connections to a real server.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::accounts::{NewSession, NewToken};
use crate::auth::{Role, Scopes, session};
use crate::doors::Patience;
use crate::doors::http::{Rendered, Shared, let_go_of_the_stuck, site};
use crate::testing::{CONTAINER, Instance, TEAM};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(10);
/// All that is waited for is short, so that the tests are; only a silent client has the time of a real one.
const HASTY: Patience = Patience {
    slow: Duration::from_millis(500),
    ping: Duration::from_millis(100),
    silent: Duration::from_secs(65),
    allowed: Duration::from_millis(50),
    body: Duration::from_millis(500),
};

/// What a client may leave untaken.
const STUCK: Duration = Duration::from_millis(700);

/// An instance at a port of its own.
struct Site {
    instance: Instance,
    address: SocketAddr,
    server: ServerHandle,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(HASTY).await
    }

    async fn start_with(patience: Patience) -> Self {
        let instance = Instance::new().await;
        let shared = Shared::new(instance.app.clone(), &Rendered::new().unwrap(), patience);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let_go_of_the_stuck(&listener, STUCK).unwrap();
        let server = HttpServer::new(move || site(shared.clone())).workers(1).disable_signals().listen(listener);
        let server = server.unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { instance, address, server: handle }
    }

    /// Asks for a websocket with these headers.
    async fn open(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        Ok(tokio_tungstenite::connect_async(request).await?.0)
    }

    /// The status with which a websocket is refused; 101: it is open.
    async fn status(&self, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        match self.open(path, headers).await {
            Ok(_) => 101,
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(other) => panic!("{path}: {other}"),
        }
    }

    /// As a browser does: the ticket in the address, and the page's origin.
    async fn status_by_ticket(&self, path: &str, ticket: &str) -> u16 {
        self.status(&format!("{path}?ticket={ticket}"), &[("origin", &self.origin())]).await
    }

    async fn open_by_token(&self, path: &str, token: &str) -> Socket {
        self.open(path, &[("authorization", &format!("Bearer {token}"))]).await.unwrap()
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `POST /live/tickets` with a token.
    async fn ticket(&self, user: &str) -> String {
        self.new_ticket(&format!("authorization: Bearer {}\r\n", self.instance.token(user))).await
    }

    async fn new_ticket(&self, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST /live/tickets HTTP/1.1\r\nhost: {}\r\n{headers}", self.address);
        stream.write_all(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (_, ticket) = answer.split_once(r#"{"ticket":""#).unwrap();
        ticket.trim_end_matches(r#""}"#).to_owned()
    }

    async fn session(&self, user: &str) -> NewSession {
        let id = self.user_id(user).await;
        self.instance.app.accounts.begin_session(id, "192.0.2.1", "test").await.unwrap()
    }

    async fn session_ticket(&self, session: &NewSession) -> String {
        let (cookie, csrf) = (session.cookie.expose(), session.csrf.expose());
        let own = format!("cookie: {}={cookie}\r\nx-csrf-token: {csrf}\r\n", session::COOKIE);
        self.new_ticket(&format!("{own}origin: {}\r\n", self.origin())).await
    }

    async fn open_by_session(&self, session: &NewSession) -> Socket {
        let ticket = self.session_ticket(session).await;
        self.open(&format!("/live/events?ticket={ticket}"), &[("origin", &self.origin())]).await.unwrap()
    }

    async fn user_id(&self, user: &str) -> i64 {
        self.instance.app.accounts.user_named(user).await.unwrap().id
    }

    async fn team_id(&self) -> i64 {
        self.instance.app.accounts.team_named(TEAM).await.unwrap().id
    }

    async fn token_id(&self, user: &str) -> i64 {
        self.instance.app.accounts.tokens(self.user_id(user).await).await.unwrap()[0].id
    }

    /// What becomes of a websocket that `user` opened by token when `revoke` is done.
    async fn revoked<F: Future>(&self, user: &str, revoke: impl FnOnce() -> F) -> String {
        let mut socket = self.open_by_token("/live/events", self.instance.token(user)).await;
        assert_stays(&mut socket).await;
        revoke().await;
        close_of(&mut socket).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The future of the stop need not be awaited: asking is enough.
        drop(self.server.stop(false));
    }
}

/// It answers now, and after all patience that there is.
async fn assert_stays(socket: &mut Socket) {
    let until = Instant::now() + HASTY.allowed * 4;
    while let Ok(message) = tokio::time::timeout_at(until.into(), socket.next()).await {
        assert!(matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))), "{message:?}");
    }
    socket.send(Message::Ping("there?".into())).await.unwrap();
    while socket.next().await.unwrap().unwrap() != Message::Pong("there?".into()) {}
}

/// What its close says; a websocket that stays open fails the test.
async fn close_of(socket: &mut Socket) -> String {
    let until = Instant::now() + LONG;
    loop {
        match tokio::time::timeout_at(until.into(), socket.next()).await.expect("it stays open") {
            Some(Ok(Message::Close(Some(close)))) => return close.reason.as_str().to_owned(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The handshake by hand, for a client that then does as it likes.
async fn raw(site: &Site, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = format!(
        "GET /live/events HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nauthorization: Bearer {}\r\n\r\n",
        site.instance.token(user)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Reads until the server ends the connection; gives the time that this took.
async fn ended(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut said = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut said)).await.expect("the connection stays open");
    begun.elapsed()
}

#[actix_web::test]
async fn a_ticket_opens_one_websocket_and_only_for_a_page_of_ours() {
    let site = Site::start().await;
    let (ticket, origin) = (site.ticket("viewer").await, site.origin());
    let path = format!("/live/events?ticket={ticket}");
    // A page elsewhere neither gets in nor uses the ticket up, nor does one that hides where it is.
    for origin in ["http://evil.test", "null", &format!("{origin}.evil.test"), &format!("{origin}0")] {
        assert_eq!(site.status(&path, &[("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(site.status(&path, &[]).await, 403);
    assert_eq!(site.status(&path, &[("origin", &origin), ("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(site.status(&path, &[("origin", &origin), ("sec-fetch-site", "same-origin")]).await, 101);
    assert_eq!(site.status_by_ticket("/live/events", &ticket).await, 401);
    assert_eq!(site.status_by_ticket("/live/events", "made-up").await, 401);
}

#[actix_web::test]
async fn a_token_needs_no_origin_and_a_cookie_is_not_enough() {
    let site = Site::start().await;
    let bearer = format!("Bearer {}", site.instance.token("viewer"));
    assert_eq!(site.status("/live/events", &[("authorization", &bearer)]).await, 101);
    let foreign = [("authorization", bearer.as_str()), ("origin", "http://evil.test")];
    assert_eq!(site.status("/live/events", &foreign).await, 403);
    assert_eq!(site.status("/live/events", &[("authorization", "Bearer spn_unknown")]).await, 401);

    let session = site.session("viewer").await;
    let cookie = format!("{}={}", session::COOKIE, session.cookie.expose());
    assert_eq!(site.status("/live/events", &[("cookie", &cookie), ("origin", &site.origin())]).await, 401);
    assert_eq!(site.status("/live/events", &[]).await, 401);
}

#[actix_web::test]
async fn a_ticket_carries_no_more_than_its_owners_rights() {
    let site = Site::start().await;
    for name in ["logs", "stats", "console"] {
        let path = format!("/live/containers/{CONTAINER}/{name}");
        let stranger = site.ticket("stranger").await;
        assert_eq!(site.status_by_ticket(&path, &stranger).await, 404, "{name}");
    }
    let console = format!("/live/containers/{CONTAINER}/console");
    let viewer = site.ticket("viewer").await;
    assert_eq!(site.status_by_ticket(&console, &viewer).await, 403);
    // The developer is let in, and hears that the container does not run.
    let developer = site.ticket("developer").await;
    assert_eq!(site.status_by_ticket(&console, &developer).await, 409);
}

#[actix_web::test]
async fn a_ticket_is_void_when_its_owners_rights_are() {
    let site = Site::start().await;
    let accounts = &site.instance.app.accounts;
    let session = site.session("viewer").await;
    let of_session = site.session_ticket(&session).await;
    accounts.end_session(session.cookie.expose()).await.unwrap();
    assert_eq!(site.status_by_ticket("/live/events", &of_session).await, 401);

    let of_token = site.ticket("developer").await;
    accounts.remove_token(site.token_id("developer").await).await.unwrap();
    assert_eq!(site.status_by_ticket("/live/events", &of_token).await, 401);

    let of_member = site.ticket("owner").await;
    accounts.set_member(site.team_id().await, site.user_id("owner").await, Role::Viewer).await.unwrap();
    assert_eq!(site.status_by_ticket("/live/events", &of_member).await, 401);
}

#[actix_web::test]
async fn an_open_websocket_is_closed_when_its_token_or_its_owners_rights_go() {
    let site = Site::start().await;
    let (accounts, team) = (&site.instance.app.accounts, site.team_id().await);
    let (viewer, developer, owner) =
        (site.user_id("viewer").await, site.user_id("developer").await, site.user_id("owner").await);
    let token = site.token_id("stranger").await;
    let mut untouched = site.open_by_token("/live/events", site.instance.token("administrator")).await;

    let told = "your session or token ended, or your rights changed";
    assert_eq!(site.revoked("stranger", || accounts.remove_token(token)).await, told);
    assert_eq!(site.revoked("viewer", || accounts.remove_member(team, viewer)).await, told);
    assert_eq!(site.revoked("developer", || accounts.set_member(team, developer, Role::Viewer)).await, told);
    assert_eq!(site.revoked("owner", || accounts.change_user(owner, None, Some(true))).await, told);
    assert_stays(&mut untouched).await;
}

#[actix_web::test]
async fn an_open_websocket_is_closed_when_its_session_ends_and_not_when_it_looks_elsewhere() {
    let site = Site::start().await;
    let accounts = &site.instance.app.accounts;
    let told = "your session or token ended, or your rights changed";
    let id = site.user_id("administrator").await;
    let (one, other) = (site.session("administrator").await, site.session("administrator").await);
    let (mut first, mut second) = (site.open_by_session(&one).await, site.open_by_session(&other).await);

    accounts.switch_team(one.cookie.expose(), id, TEAM).await.unwrap();
    assert_stays(&mut first).await;
    accounts.end_session(one.cookie.expose()).await.unwrap();
    assert_eq!(close_of(&mut first).await, told);
    assert_stays(&mut second).await;
    accounts.set_password(id, "another hash").await.unwrap();
    assert_eq!(close_of(&mut second).await, told);
}

#[actix_web::test]
async fn an_expired_token_closes_what_it_opened() {
    let site = Site::start().await;
    let in_a_second = crate::clock::now_ns() + 1_000_000_000;
    let token = NewToken {
        user_id: site.user_id("viewer").await,
        team_id: site.team_id().await,
        name: "short",
        scopes: Scopes::ALL,
        expires_at: Some(in_a_second),
    };
    let issued = site.instance.app.accounts.create_token(token).await.unwrap();
    let mut socket = site.open_by_token("/live/events", issued.token.expose()).await;
    close_of(&mut socket).await;
    assert!(crate::clock::now_ns() >= in_a_second);
}

#[actix_web::test]
async fn frames_against_the_protocol_end_their_connection_and_no_other() {
    let site = Site::start().await;
    let mut neighbour = site.open_by_token("/live/events", site.instance.token("viewer")).await;
    let header = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    let broken: [(&str, Vec<u8>); 7] = [
        ("not masked", vec![0x81, 0x02, b'h', b'i']),
        ("a kind that does not exist", vec![0x83, 0x80, 0, 0, 0, 0]),
        ("reserved bits", vec![0xf2, 0x80, 0, 0, 0, 0]),
        ("a control frame in pieces", vec![0x09, 0x80, 0, 0, 0, 0]),
        ("a control frame that is too long", [&[0x89, 0xfe, 0, 200, 0, 0, 0, 0][..], &[0; 200]].concat()),
        ("a byte more than is taken", [header(65_537), vec![0; 65_537]].concat()),
        ("a length that no memory has", header(u64::MAX >> 1)),
    ];
    let ends = broken.map(|(what, bytes)| {
        let site = &site;
        async move {
            let mut stream = raw(site, "viewer").await;
            // The server may end it before it has taken all.
            let _ = stream.write_all(&bytes).await;
            let took = ended(stream).await;
            assert!(took < Duration::from_secs(3), "{what}: {took:?}");
        }
    });
    futures_util::future::join_all(ends).await;
    assert_stays(&mut neighbour).await;
}

#[actix_web::test]
async fn a_client_that_answers_no_ping_is_let_go_and_one_that_does_stays() {
    let silence = Duration::from_millis(600);
    let site = Site::start_with(Patience { silent: silence, ..HASTY }).await;
    let mut lively = site.open_by_token("/live/events", site.instance.token("viewer")).await;
    let silent = raw(&site, "viewer").await;
    let mut silent_ends = std::pin::pin!(ended(silent));
    let took = loop {
        tokio::select! {
            took = &mut silent_ends => break took,
            // Reading is what answers pings.
            message = lively.next() => assert!(matches!(message, Some(Ok(Message::Ping(_)))), "{message:?}"),
        }
    };
    assert!(took >= silence - HASTY.ping, "{took:?}");
    assert_stays(&mut lively).await;
}

/// Whether the kernel has the server's end of a connection (/proc/net/tcp: addresses with their ports in hexadecimal).
fn has_connection(server: SocketAddr, client: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    table.lines().any(|line| {
        let mut words = line.split_whitespace();
        let ends = (words.nth(1), words.next());
        matches!(ends, (Some(local), Some(remote)) if local.ends_with(&port(server)) && remote.ends_with(&port(client)))
    })
}

#[actix_web::test]
async fn a_client_that_takes_none_of_its_answer_is_let_go() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let own = stream.local_addr().unwrap();
    // More than all buffers between take, without end.
    let asked = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    stream.write_all(asked.as_bytes()).await.unwrap();
    tokio::time::sleep(STUCK / 2).await;
    assert!(has_connection(site.address, own));
    let until = Instant::now() + LONG;
    while has_connection(site.address, own) {
        assert!(Instant::now() < until, "it is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[actix_web::test]
async fn a_form_that_comes_byte_by_byte_is_not_waited_for() {
    let site = Site::start().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n";
    stream.write_all(format!("POST /login HTTP/1.1\r\nhost: x\r\n{form}\r\n").as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let drip = async {
        while writing.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let begun = Instant::now();
    tokio::select! {
        _ = reading.read_to_end(&mut answer) => {}
        () = drip => {}
        () = tokio::time::sleep(LONG) => panic!("it is waited for"),
    }
    assert!(begun.elapsed() >= HASTY.body, "{}", String::from_utf8_lossy(&answer));
}

#[actix_web::test]
async fn a_blob_may_take_longer_than_a_form() {
    let site = Site::start().await;
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("developer:{}", site.instance.token("developer")),
    );
    let path = format!("/v2/{}/blobs/uploads/{}", crate::testing::REPOSITORY, crate::testing::UPLOAD);
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: test\r\nauthorization: Basic {basic}\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in b"slow" {
        tokio::time::sleep(HASTY.body / 3).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    site.server.stop(false).await;
}

/// The next text frame.
async fn text(socket: &mut Socket) -> serde_json::Value {
    let until = Instant::now() + LONG;
    loop {
        match tokio::time::timeout_at(until.into(), socket.next()).await.expect("nothing comes") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn whoever_looks_is_told_how_far_the_team_s_operations_are_and_of_no_other_team_s() {
    use sampan_engine::digest::Digest;
    use sampan_engine::images::{LayerStep, PullEvent};

    let site = Site::start().await;
    let (team, operations) = (site.team_id().await, &site.instance.app.operations);
    let other_team = site.instance.app.accounts.team_named(crate::testing::OTHER_TEAM).await.unwrap().id;
    let ended = operations.begin(team, "pull", "before:1".to_owned()).unwrap();
    ended.end(crate::operations::State::Done, Vec::new());
    let running = operations.begin(team, "pull", "app:1".to_owned()).unwrap();
    let foreign = operations.begin(other_team, "pull", "theirs:1".to_owned()).unwrap();
    let digest = Digest::of(b"layer");
    let step = |current| PullEvent::Layer { digest, step: LayerStep::Downloading { current, total: 1000 } };

    let mut socket = site.open_by_token("/live/operations", site.instance.token("viewer")).await;
    let first = text(&mut socket).await;
    assert_eq!((&first["reference"], &first["state"]), (&"app:1".into(), &"running".into()));
    foreign.pulling(step(1));
    running.pulling(step(400));
    let second = text(&mut socket).await;
    assert_eq!((&second["id"], &second["layers"][0]["current_bytes"]), (&running.id.into(), &400.into()));
    // Many steps in a moment are one frame, and it has the last of them.
    (401..=1000).for_each(|current| running.pulling(step(current)));
    running.end(crate::operations::State::Failed("the registry is gone".to_owned()), Vec::new());
    let third = text(&mut socket).await;
    assert_eq!((&third["layers"][0]["current_bytes"], &third["state"]), (&1000.into(), &"failed".into()));
    assert_eq!(third["error"], "the registry is gone");
    foreign.end(crate::operations::State::Done, Vec::new());
    assert_stays(&mut socket).await;
    // Who comes now and is of no team of theirs hears nothing.
    let mut stranger = site.open_by_token("/live/operations", site.instance.token("stranger")).await;
    assert_stays(&mut stranger).await;
}
