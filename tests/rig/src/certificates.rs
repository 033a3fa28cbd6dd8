//! Certificates of an authority that nobody knows.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{Error, Folder};

/// An authority, and what it has signed for a server and for a client, made when they are needed:
/// no key lies in the tree. The files are gone with this value.
///
/// The server is `localhost` and `127.0.0.1`.
///
/// ```no_run
/// use std::sync::Arc;
/// use oncegate_rig::{Certificates, Clients, Options, Server};
///
/// let certificates = Arc::new(Certificates::new()?);
/// let options = Options::new().tls(&certificates, Clients::Certified).user("app on >pw ~* +@all");
/// let server = Server::with(options)?;
/// println!("{} trusts {}", server.url(), certificates.authority().display());
/// # Ok::<(), oncegate_rig::Error>(())
/// ```
#[derive(Debug)]
pub struct Certificates {
    folder: Folder,
}

impl Certificates {
    /// New ones.
    ///
    /// # Errors
    ///
    /// They cannot be made or written.
    pub fn new() -> Result<Self, Error> {
        let folder = Folder::new()?;
        let made = make(folder.path());
        made.map(|()| Self { folder }).map_err(|error| Error::of("certificates", &error))
    }

    /// The authority's certificate, in PEM as everything here.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The server's key.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.folder.path().join("server-key.pem")
    }

    /// The client's certificate.
    #[must_use]
    pub fn client(&self) -> PathBuf {
        self.folder.path().join("client.pem")
    }

    /// The client's key.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.folder.path().join("client-key.pem")
    }
}

fn make(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    let key = KeyPair::generate()?;
    fs::write(folder.join("authority.pem"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = (ExtendedKeyUsagePurpose::ServerAuth, names.to_vec());
    let client = (ExtendedKeyUsagePurpose::ClientAuth, vec!["client".to_owned()]);
    for (who, (usage, names)) in [("server", server), ("client", client)] {
        let mut wanted = CertificateParams::new(names)?;
        wanted.extended_key_usages = vec![usage];
        wanted.distinguished_name.push(DnType::CommonName, format!("{who} of a test"));
        let key = KeyPair::generate()?;
        fs::write(folder.join(format!("{who}.pem")), wanted.signed_by(&key, &issuer)?.pem())?;
        fs::write(folder.join(format!("{who}-key.pem")), key.serialize_pem())?;
    }
    Ok(())
}
