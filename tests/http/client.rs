//! A client of HTTP/1.1 over a plain socket: one that can leave in the middle.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request that may be sent as often as needed.
#[derive(Clone)]
pub(crate) struct Call {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Call {
    /// A request of tenant `acme`, without a key.
    pub(crate) fn new(method: &'static str, target: &str) -> Self {
        let (target, headers, body) = (target.to_owned(), Vec::new(), Vec::new());
        Self { method, target, headers, body, chunked: false }.header("x-tenant", "acme")
    }

    /// A charge under a key.
    pub(crate) fn charge(key: &str) -> Self {
        Self::new("POST", "/charges").header("idempotency-key", key).json(r#"{"amount": 100}"#)
    }

    /// Sets a header, in the place of one with the same name.
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Adds a header beside one with the same name.
    pub(crate) fn another(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    pub(crate) fn json(self, document: &str) -> Self {
        self.header("content-type", "application/json").body(document)
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Sends the body in two chunks, so that its length is known at its end only.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends the request and leaves the answer to come. Dropping the socket is how a client goes.
    pub(crate) async fn start(&self, address: SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        let mut message = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let (length, body) = if self.chunked {
            (("transfer-encoding", "chunked".to_owned()), split(&self.body))
        } else {
            (("content-length", self.body.len().to_string()), self.body.clone())
        };
        let own = [("host", "test"), ("connection", "close"), (length.0, &length.1)];
        let own = own.map(|(name, value)| (name, value.as_bytes().to_vec()));
        for (name, value) in own.iter().chain(&self.headers) {
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(value);
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&body);
        // A server that refuses a long body may close before it has read all of it.
        let _ = socket.write_all(&message).await;
        socket
    }

    /// Sends the request and reads its answer. `None`: the connection ended without one.
    pub(crate) async fn send(&self, address: SocketAddr) -> Option<Reply> {
        let reply = read(self.start(address).await).await?;
        let keys = self.headers.iter().filter(|(name, _)| *name == "idempotency-key");
        if reply.header("content-type") == Some("application/problem+json") {
            for (_, key) in keys.filter(|(_, key)| !key.is_empty()) {
                let quoted = reply.body.windows(key.len()).any(|part| part == key.as_slice());
                assert!(!quoted, "the problem {} holds the client's key", reply.status);
            }
        }
        Some(reply)
    }
}

/// An answer, as the client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Reply {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first trailer of that name.
    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        let found = self.trailers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// Status and code of a problem; the code is empty in every other answer.
    pub(crate) fn problem(&self) -> (u16, &str) {
        let is_problem = self.header("content-type") == Some("application/problem+json");
        let code = self.text().split("\"code\":\"").nth(1).filter(|_| is_problem);
        (self.status, code.and_then(|rest| rest.split('"').next()).unwrap_or(""))
    }
}

/// Reads an answer until the server closes the connection. `None`: it closed too early.
pub(crate) async fn read(mut socket: TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A reset tells no more than what arrived before it.
    let _ = socket.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = text(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let (headers, body) = (fields(lines), bytes[end + 4..].to_vec());
    let mut reply = Reply { status, headers, body, trailers: Vec::new() };
    if reply.header("transfer-encoding") == Some("chunked") {
        let (body, trailers) = join_chunks(&reply.body)?;
        reply.trailers = fields(text(trailers).split("\r\n"));
        reply.body = body;
    } else if let Some(length) = reply.header("content-length") {
        (reply.body.len() == length.parse::<usize>().expect("a length")).then_some(())?;
    }
    Some(reply)
}

/// The bytes of a head; those outside of ASCII as Latin-1.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// A body in two chunks.
fn split(body: &[u8]) -> Vec<u8> {
    let (front, back) = body.split_at(body.len() / 2);
    let mut chunks = Vec::new();
    for chunk in [front, back].into_iter().filter(|chunk| !chunk.is_empty()) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

/// The content of a chunked body, and what follows it. `None`: its end is missing.
fn join_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some((body, rest));
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
