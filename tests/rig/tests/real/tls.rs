//! A server that speaks TLS and nothing else.

use std::fs;
use std::sync::Arc;

use oncegate_rig::{Certificates, Clients, Options, PATIENCE, Proxy, Server, present};
use redis::{ClientTlsConfig, RedisResult, TlsCertificates};

use crate::client::Client;

fn read(path: std::path::PathBuf) -> Vec<u8> {
    fs::read(path).expect("a file of the certificates")
}

/// The answer to a PING over TLS, from a client that knows `authority`, and has the certificate of
/// `own` if there is one.
fn ping(url: &str, authority: &Certificates, own: Option<&Certificates>) -> RedisResult<String> {
    let client_tls = own.map(|own| ClientTlsConfig {
        client_cert: read(own.client()),
        client_key: read(own.client_key()),
    });
    let root_cert = Some(read(authority.authority()));
    let client = redis::Client::build_with_tls(url, TlsCertificates { client_tls, root_cert })?;
    redis::cmd("PING").query(&mut client.get_connection_with_timeout(PATIENCE)?)
}

/// Goal: a server with TLS answers who knows its authority, and nobody who does not or who speaks
/// without TLS; the rig reaches it all the same, and so does a proxy. Method: each of them.
#[test]
fn only_tls_gets_an_answer() {
    if !present("TLS") {
        return;
    }
    let [ours, other] = [(); 2].map(|()| Arc::new(Certificates::new().expect("made")));
    let options = Options::new().tls(&ours, Clients::Anonymous);
    let server = Server::with(options).expect("it starts");
    assert!(server.url().starts_with("rediss://"));
    assert_eq!(ping(&server.url(), &ours, None).expect("trusted"), "PONG");
    let localhost = format!("rediss://localhost:{}/", server.port());
    assert_eq!(ping(&localhost, &ours, None).expect("trusted"), "PONG");
    ping(&server.url(), &other, None).expect_err("another authority");
    assert!(Client::to(server.address()).ask(&["PING"]).is_err());
    server.flush_all().expect("the rig has its own way");
    let proxy = Proxy::to(server.address()).expect("it starts");
    let through = format!("rediss://{}/", proxy.address());
    assert_eq!(ping(&through, &ours, None).expect("trusted"), "PONG");
    assert_eq!(proxy.counts().requests, 0);
}

/// Goal: where clients must show a certificate, only one of the authority is taken, and users are
/// asked for beside it. Method: none, another authority's, ours; a password.
#[test]
fn certified_clients_alone_get_in() {
    if !present("TLS") {
        return;
    }
    let [ours, other] = [(); 2].map(|()| Arc::new(Certificates::new().expect("made")));
    let options = Options::new().tls(&ours, Clients::Certified).user("app on >secret ~* +ping");
    let mut server = Server::with(options).expect("it starts");
    let url = format!("rediss://app:secret@{}/", server.address());
    ping(&url, &ours, None).expect_err("no certificate");
    ping(&url, &ours, Some(&other)).expect_err("another authority's");
    assert_eq!(ping(&url, &ours, Some(&ours)).expect("ours"), "PONG");
    ping(&server.url(), &ours, Some(&ours)).expect_err("no user");
    server.restart().expect("it starts again");
    assert_eq!(ping(&url, &ours, Some(&ours)).expect("ours"), "PONG");
}
