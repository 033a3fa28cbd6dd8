//! How a server is started.

use std::path::Path;
use std::sync::Arc;

use crate::Certificates;
use crate::sentinels::CALM_MS;

/// When a server writes its log of changes to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before it answers: what was answered is there after a power cut.
    Always,
    /// Once a second.
    EverySecond,
}

/// How a server is started. The default writes nothing to a disk and has no users.
#[derive(Clone, Debug, Default)]
pub struct Options {
    append_only: Option<Fsync>,
    users: Vec<String>,
    lines: Vec<String>,
    pub(crate) cluster: bool,
    pub(crate) sentinel: bool,
    pub(crate) tls: Option<Tls>,
}

/// How a server speaks TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    certificates: Arc<Certificates>,
    clients: Clients,
}

/// Whether the clients of a server that speaks TLS show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// They need none.
    Anonymous,
    /// They must have one of the same authority.
    Certified,
}

/// The user as whom the rig speaks, where there are users.
const OWN_USER: &str = "user rig on >of-the-rig ~* &* +@all";
pub(crate) const OWN_USER_QUERY: &str = "?user=rig&pass=of-the-rig";
pub(crate) const OWN_CREDENTIALS: [&str; 2] = ["rig", "of-the-rig"];

impl Options {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a log of changes on the disk: what a restart finds.
    #[must_use]
    pub const fn append_only(mut self, fsync: Fsync) -> Self {
        self.append_only = Some(fsync);
        self
    }

    /// A line of the configuration, such as `maxmemory 64mb`. It comes after those of the rig.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// A user, as the configuration has it after the word `user`: `app on >secret ~og:* +@all`.
    /// As soon as there is one, the user `default` is off, unless it is given.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.users.push(user.into());
        self
    }

    /// Only TLS on its port.
    #[must_use]
    pub fn tls(mut self, certificates: &Arc<Certificates>, clients: Clients) -> Self {
        self.tls = Some(Tls { certificates: Arc::clone(certificates), clients });
        self
    }

    /// A node of a cluster; `lines` come before those that were given.
    pub(crate) fn clustered(mut self, lines: &[&str]) -> Self {
        self.cluster = true;
        self.lines.splice(0..0, lines.iter().map(|line| (*line).to_owned()));
        self.replicating()
    }

    /// A server that may have to follow another one of the same options.
    pub(crate) fn replicating(mut self) -> Self {
        if self.has_users() {
            let [user, password] = OWN_CREDENTIALS;
            self.lines.push(format!("masteruser {user}"));
            self.lines.push(format!("masterauth {password}"));
        }
        // A replica that joins later is served at once.
        self.lines.push("repl-diskless-sync-delay 0".to_owned());
        self
    }

    /// A Sentinel that watches a server with these options.
    pub(crate) fn sentinel_of(&self, name: &str, port: u16) -> Self {
        let mut lines = vec![
            format!("sentinel monitor {name} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {name} {CALM_MS}"),
            format!("sentinel failover-timeout {name} 3000"),
        ];
        if self.has_users() {
            let [user, password] = OWN_CREDENTIALS;
            lines.push(format!("sentinel auth-user {name} {user}"));
            lines.push(format!("sentinel auth-pass {name} {password}"));
        }
        Self { sentinel: true, lines, ..Self::new() }
    }

    pub(crate) const fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// The file of configuration.
    pub(crate) fn render(&self, port: u16, bus_port: u16, folder: &Path) -> String {
        let folder = folder.display();
        let mut text = format!(
            "bind 127.0.0.1\ndaemonize no\ndir \"{folder}\"\nlogfile \"{folder}/log\"\n\
             unixsocket \"{folder}/s\"\nunixsocketperm 600\n"
        );
        text.push_str(&match &self.tls {
            None => format!("port {port}\n"),
            Some(tls) => tls.render(port),
        });
        if !self.sentinel {
            text.push_str("save \"\"\n");
            text.push_str(match self.append_only {
                None => "appendonly no\n",
                Some(Fsync::Always) => "appendonly yes\nappendfsync always\n",
                Some(Fsync::EverySecond) => "appendonly yes\nappendfsync everysec\n",
            });
        }
        if self.cluster {
            let lines = format!("cluster-enabled yes\ncluster-port {bus_port}\n");
            text.push_str(&lines);
        }
        if self.has_users() {
            if !self.users.iter().any(|user| user.starts_with("default ")) {
                text.push_str("user default off\n");
            }
            for user in &self.users {
                text.push_str(&format!("user {user}\n"));
            }
            text.push_str(OWN_USER);
            text.push('\n');
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Tls {
    fn render(&self, port: u16) -> String {
        let files = &self.certificates;
        format!(
            "port 0\ntls-port {port}\ntls-cert-file \"{}\"\ntls-key-file \"{}\"\n\
             tls-ca-cert-file \"{}\"\ntls-auth-clients {}\n",
            files.server().display(),
            files.server_key().display(),
            files.authority().display(),
            match self.clients {
                Clients::Certified => "yes",
                Clients::Anonymous => "no",
            },
        )
    }
}
