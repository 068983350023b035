//! A plain client of the registry: what goes over the wire is what a test says.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::token;
use crate::server::Server;

/// Media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    /// Status and the code of the first error.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    authorization: Option<String>,
}

impl Client {
    /// Nobody.
    pub fn nobody(server: &Server) -> Self {
        Self { address: server.http(), authorization: None }
    }

    /// A user with a role in a team, by a token of theirs.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn user(server: &Server, user: &str, team: &str, role: &str) -> Self {
        let secret = token(server, user, team, role);
        Self::basic(server, user, &secret)
    }

    /// Somebody with a name and a secret.
    pub fn basic(server: &Server, name: &str, secret: &str) -> Self {
        let authorization = Some(format!("Basic {}", base64(format!("{name}:{secret}").as_bytes())));
        Self { address: server.http(), authorization }
    }

    /// Somebody with a registry token.
    pub fn bearer(server: &Server, token: &str) -> Self {
        Self { address: server.http(), authorization: Some(format!("Bearer {token}")) }
    }

    /// The registry token for a scope.
    ///
    /// # Panics
    /// When none is given.
    pub fn registry_token(&self, scope: &str) -> String {
        let answer = self.get(&format!("/v2/token?service=x&scope={scope}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// `GET`.
    ///
    /// # Panics
    /// When the connection fails, as all of these.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Any request, on a connection of its own.
    ///
    /// # Panics
    /// When the connection fails.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.begin(method, path, headers, Some(body.len()));
        // Who is refused early may not get rid of all of it.
        let _ = stream.write_all(body);
        read(&mut stream, method)
    }

    /// A request without a body to a server that may die meanwhile: why there is no answer, if there is none.
    ///
    /// # Errors
    /// What the connection says.
    pub fn try_send(&self, method: &str, path: &str) -> std::io::Result<Answer> {
        let mut stream = self.connect(method, path, &[], Some(0))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        answer(&bytes, method).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends the head of a request; `length`: of the body that follows, else it comes in chunks.
    ///
    /// # Panics
    /// When the connection fails.
    pub fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) -> TcpStream {
        self.connect(method, path, headers, length).unwrap()
    }

    fn connect(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: Option<usize>,
    ) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(authorization) = &self.authorization {
            head.push_str(&format!("authorization: {authorization}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("content-length: {length}\r\n\r\n")),
            None => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// Begins an upload and gives its address.
    ///
    /// # Panics
    /// When that is refused.
    pub fn begin_upload(&self, repository: &str) -> String {
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.header("location").unwrap().to_owned()
    }

    /// Pushes a blob and gives its digest.
    ///
    /// # Panics
    /// When that is refused.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    /// Pushes a manifest under a tag or its digest.
    pub fn push_manifest(&self, repository: &str, reference: &str, kind: &str, manifest: &[u8]) -> Answer {
        self.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), &[("content-type", kind)], manifest)
    }

    /// Pushes an image whose one layer is `layer`; gives the manifest.
    ///
    /// # Panics
    /// When that is refused.
    pub fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> Vec<u8> {
        self.push_blob(repository, b"{}");
        self.push_blob(repository, layer);
        let manifest = manifest(&[layer]).to_string().into_bytes();
        let answer = self.push_manifest(repository, tag, MANIFEST, &manifest);
        assert_eq!(answer.status, 201, "{answer:?}");
        manifest
    }
}

/// A manifest with the configuration `{}` and some layers.
pub fn manifest(layers: &[&[u8]]) -> Value {
    let layers: Vec<Value> =
        layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", b"{}");
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
}

/// What names some bytes in a manifest.
pub fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() })
}

/// The digest of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Reads an answer to its end.
///
/// # Panics
/// When it is none.
pub fn read(stream: &mut TcpStream, method: &str) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    answer(&bytes, method).unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)))
}

/// What an answer's bytes say; none when its head is not whole.
fn answer(bytes: &[u8], method: &str) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(pair).collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    assert!(method != "HEAD" || answer.body.is_empty(), "{answer:?} has a body");
    Some(answer)
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        whole.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 63;
            text.push(if place <= three.len() { char::from(DIGITS[digit as usize]) } else { '=' });
        }
    }
    text
}
