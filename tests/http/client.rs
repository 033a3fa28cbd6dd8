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
}

impl Call {
    /// A request of tenant `acme`, without a key.
    pub(crate) fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
            .header("x-tenant", "acme")
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

    /// Sends the request and leaves the answer to come. Dropping the socket is how a client goes.
    pub(crate) async fn start(&self, address: SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        let mut message = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let length = self.body.len().to_string();
        let own = [("host", "test"), ("connection", "close"), ("content-length", &length)];
        let own = own.map(|(name, value)| (name, value.as_bytes().to_vec()));
        for (name, value) in own.iter().chain(&self.headers) {
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(value);
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&self.body);
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
}

impl Reply {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
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
    let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut reply = Reply { status, headers, body: bytes[end + 4..].to_vec() };
    if reply.header("transfer-encoding") == Some("chunked") {
        reply.body = join_chunks(&reply.body)?;
    } else if let Some(length) = reply.header("content-length") {
        (reply.body.len() == length.parse::<usize>().expect("a length")).then_some(())?;
    }
    Some(reply)
}

/// The content of a chunked body. `None`: its end is missing.
fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
