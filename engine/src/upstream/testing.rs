//! A registry for tests that keeps what it is given and misbehaves as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::digest::Digest;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What is answered instead of what would be right.
#[derive(Debug, Clone)]
pub enum Reply {
    Full(u16, Vec<(String, String)>, Vec<u8>),
    /// So many bytes of what would be right, then the connection ends.
    Cut(usize),
    /// So many bytes of what would be right, then nothing.
    Stall(usize),
    /// One byte after another.
    Drip,
}

type Script = Box<dyn Fn(&Seen, usize) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct State {
    /// By `repository/digest`.
    blobs: HashMap<String, Vec<u8>>,
    /// By `repository/name`.
    manifests: HashMap<String, (String, Vec<u8>)>,
    uploads: HashMap<String, Vec<u8>>,
    seen: Vec<Seen>,
}

/// A registry on a port of its own; ends with the test.
pub struct FakeRegistry {
    pub port: u16,
    state: Arc<Mutex<State>>,
    work: tokio::task::JoinHandle<()>,
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl FakeRegistry {
    pub async fn start() -> Self {
        Self::scripted(|_, _| None).await
    }

    /// `script` sees each request and how many like it came before.
    pub async fn scripted(script: impl Fn(&Seen, usize) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let script: Arc<Script> = Arc::new(Box::new(script));
        let shared = state.clone();
        let work = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone(), script.clone()));
            }
        });
        Self { port, state, work }
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.state.lock().unwrap().blobs.insert(format!("{repository}/{digest}"), bytes.to_vec());
        digest
    }

    /// Under its digest and a tag.
    pub fn manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut state = self.state.lock().unwrap();
        for name in [tag.to_owned(), digest.to_string()] {
            state.manifests.insert(format!("{repository}/{name}"), (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }

    pub fn manifest_bytes(&self, repository: &str, name: &str) -> Vec<u8> {
        self.state.lock().unwrap().manifests[&format!("{repository}/{name}")].1.clone()
    }

    /// Requests that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How many requests of a method had a path with this in it.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|seen| seen.method == method && seen.path.contains(part)).count()
    }

    pub fn forget_seen(&self) {
        self.state.lock().unwrap().seen.clear();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, script: Arc<Script>) {
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await {
        let before = {
            let mut state = state.lock().unwrap();
            let like = |other: &&Seen| other.method == seen.method && other.path == seen.path;
            let before = state.seen.iter().filter(like).count();
            state.seen.push(seen.clone());
            before
        };
        let told = script(&seen, before);
        let (status, headers, body) = match &told {
            Some(Reply::Full(status, headers, body)) => (*status, headers.clone(), body.clone()),
            _ => answer(&mut state.lock().unwrap(), &seen),
        };
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head += "\r\n";
        let body = if seen.method == "HEAD" { Vec::new() } else { body };
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        match told {
            Some(Reply::Cut(most)) => {
                let _ = stream.write_all(&body[..most.min(body.len())]).await;
                return;
            }
            Some(Reply::Stall(most)) => {
                let _ = stream.write_all(&body[..most.min(body.len())]).await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Some(Reply::Drip) => {
                for byte in body {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            _ => {
                if stream.write_all(&body).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Seen { method, path, headers, body })
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// What is right.
fn answer(state: &mut State, seen: &Seen) -> Answer {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let Some(rest) = path.strip_prefix("/v2/") else { return (404, vec![], vec![]) };
    let missing =
        |code: &str| (404, vec![], json!({"errors": [{"code": code, "message": "none"}]}).to_string().into_bytes());
    if rest.is_empty() {
        return (200, vec![], vec![]);
    }
    if let Some((repository, name)) = rest.split_once("/manifests/") {
        let key = format!("{repository}/{name}");
        if seen.method == "PUT" {
            let media_type = seen.headers.get("content-type").cloned().unwrap_or_default();
            let digest = Digest::of(&seen.body).to_string();
            state.manifests.insert(format!("{repository}/{digest}"), (media_type.clone(), seen.body.clone()));
            state.manifests.insert(key, (media_type, seen.body.clone()));
            return (201, vec![], vec![]);
        }
        return match state.manifests.get(&key) {
            Some((media_type, bytes)) => {
                let headers = vec![
                    ("content-type".to_owned(), media_type.clone()),
                    ("docker-content-digest".to_owned(), Digest::of(bytes).to_string()),
                ];
                (200, headers, bytes.clone())
            }
            None => missing("MANIFEST_UNKNOWN"),
        };
    }
    if let Some((repository, name)) = rest.split_once("/blobs/uploads/") {
        return upload(state, seen, repository, name, query);
    }
    if let Some((repository, digest)) = rest.split_once("/blobs/") {
        return match state.blobs.get(&format!("{repository}/{digest}")) {
            Some(bytes) => part(seen, bytes),
            None => missing("BLOB_UNKNOWN"),
        };
    }
    missing("NAME_UNKNOWN")
}

fn part(seen: &Seen, bytes: &[u8]) -> Answer {
    let range = seen.headers.get("range").and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match range {
        Some(from) if from < bytes.len() => {
            let told = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            (206, vec![("content-range".to_owned(), told)], bytes[from..].to_vec())
        }
        _ => (200, vec![], bytes.to_vec()),
    }
}

fn upload(state: &mut State, seen: &Seen, repository: &str, name: &str, query: &str) -> Answer {
    let get = |key: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/")).next()
    };
    let place = |name: &str| vec![("location".to_owned(), format!("/v2/{repository}/blobs/uploads/{name}"))];
    match seen.method.as_str() {
        "POST" => {
            if let (Some(digest), Some(from)) = (get("mount"), get("from"))
                && let Some(bytes) = state.blobs.get(&format!("{from}/{digest}")).cloned()
            {
                state.blobs.insert(format!("{repository}/{digest}"), bytes);
                return (201, vec![], vec![]);
            }
            let name = format!("u{}", state.uploads.len() + 1);
            state.uploads.insert(name.clone(), Vec::new());
            (202, place(&name), vec![])
        }
        "PATCH" => {
            state.uploads.entry(name.to_owned()).or_default().extend_from_slice(&seen.body);
            (202, place(name), vec![])
        }
        "GET" => {
            let length = state.uploads.get(name).map_or(0, Vec::len);
            let mut headers = place(name);
            headers.push(("range".to_owned(), format!("0-{}", length.saturating_sub(1))));
            (204, headers, vec![])
        }
        "PUT" => {
            let mut bytes = state.uploads.remove(name).unwrap_or_default();
            bytes.extend_from_slice(&seen.body);
            let digest = Digest::of(&bytes).to_string();
            if get("digest") != Some(digest.clone()) {
                return (400, vec![], json!({"errors": [{"code": "DIGEST_INVALID"}]}).to_string().into_bytes());
            }
            state.blobs.insert(format!("{repository}/{digest}"), bytes);
            (201, vec![], vec![])
        }
        _ => (204, vec![], vec![]),
    }
}
