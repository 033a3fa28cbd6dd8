//! TLS: whom a server has to convince, and who the client says that it is.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, TlsCertificates};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Stream, Timed};

pub(super) type Sealed = StreamOwned<ClientConnection, Timed>;

/// How a server is known, and what it is shown. Made once: reading the system's authorities takes
/// longer than a connection.
#[derive(Clone)]
pub(in super::super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Without a root of its own: by the authorities that the system trusts.
    pub(in super::super) fn new(given: Option<&TlsCertificates>) -> Result<Self, &'static str> {
        let mut roots = RootCertStore::empty();
        match given.and_then(|given| given.root_cert.as_deref()) {
            Some(pem) => {
                for certificate in certificates(pem).ok_or("tls_root: certificates in PEM")? {
                    roots.add(certificate).map_err(|_| "tls_root: certificates of an authority")?;
                }
            }
            // One that cannot be read leaves the others.
            None => {
                _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| "tls: no version of it")?
            .with_root_certificates(roots);
        let config = match given.and_then(|given| given.client_tls.as_ref()) {
            Some(client) => {
                let chain =
                    certificates(&client.client_cert).ok_or("tls_client: a certificate in PEM")?;
                let key = PrivateKeyDer::from_pem_slice(&client.client_key)
                    .map_err(|_| "tls_client: a key in PEM")?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| "tls_client: a key of the certificate")?
            }
            None => config.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// Connects, and has the server show who it is.
    pub(in super::super) fn connect(
        &self,
        addr: &ConnectionAddr,
        deadline: Duration,
    ) -> io::Result<Stream> {
        let ConnectionAddr::TcpTls { host, .. } = addr else {
            return Stream::clear(addr, deadline);
        };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let client = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let Stream::Clear(timed) = Stream::clear(addr, deadline)? else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let mut sealed = StreamOwned::new(client, timed);
        while sealed.conn.is_handshaking() {
            sealed.conn.complete_io(&mut sealed.sock)?;
        }
        Ok(Stream::Sealed(Box::new(sealed)))
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
