//! A client that sends what it is told, and nothing else.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use oncegate_rig::PATIENCE;
use oncegate_rig::resp::Framing;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    framing: Framing,
    ready: Vec<Vec<u8>>,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it accepts");
        // A test that waits for ever says nothing.
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, framing: Framing::replies(), ready: Vec::new() }
    }

    /// Sends one request.
    pub(crate) fn send(&mut self, words: &[&str]) {
        self.stream.write_all(&request(words)).expect("it is open");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it is open");
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> io::Result<String> {
        let mut buffer = [0; 4096];
        while self.ready.is_empty() {
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.ready = self.framing.push(&buffer[..length]).expect("the Redis protocol");
        }
        Ok(String::from_utf8(self.ready.remove(0)).expect("text"))
    }

    /// Sends one request, and waits for its reply.
    pub(crate) fn ask(&mut self, words: &[&str]) -> io::Result<String> {
        self.send(words);
        self.reply()
    }

    /// How its connection ended: the next thing that it reads is that.
    pub(crate) fn end(&mut self) -> io::ErrorKind {
        match self.reply() {
            Ok(reply) => panic!("a reply: {reply}"),
            Err(error) => error.kind(),
        }
    }

    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// A request as clients send it.
pub(crate) fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}
