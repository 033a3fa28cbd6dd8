//! The store of a fleet, and how its hosts reach it.

use oncegate_rig::{Cluster, Fsync, Options, Proxy, Sentinels, Server, Shape};

/// What the hosts share.
#[derive(Debug)]
pub(crate) enum Store {
    /// One server, and a way to it for each host.
    One(Box<Server>, Vec<Proxy>),
    Sentinels(Box<Sentinels>),
    Cluster(Box<Cluster>),
}

impl Store {
    /// One server for so many hosts. If it `keeps`, what it has acknowledged outlasts its process.
    pub(crate) fn one(keeps: bool, hosts: usize, seed: u64) -> Self {
        let server = Server::with(options(keeps)).expect("a server starts");
        let proxy = |host| Proxy::seeded(server.address(), seed + host as u64).expect("a proxy");
        let proxies = (0..hosts).map(proxy).collect();
        Self::One(Box::new(server), proxies)
    }

    pub(crate) fn sentinels() -> Self {
        Self::Sentinels(Box::new(Sentinels::start().expect("they start")))
    }

    /// Three masters that keep what they have acknowledged.
    pub(crate) fn cluster() -> Self {
        let shape = Shape { options: options(true), ..Shape::default() };
        Self::Cluster(Box::new(Cluster::with(shape).expect("it starts")))
    }

    /// What a host is told of it.
    pub(crate) fn words(&self, host: usize) -> String {
        match self {
            Self::One(_, proxies) => format!("url={}", proxies[host].url()),
            Self::Sentinels(all) => {
                let urls = all.urls().join(",");
                format!("url=redis://primary sentinels={},{urls}", all.name())
            }
            Self::Cluster(cluster) => {
                let urls = cluster.urls();
                format!("url={} cluster={}", urls[0], urls[1..].join(","))
            }
        }
    }

    /// Waits until it is as it was in the beginning.
    pub(crate) fn settle(&self) {
        if let Self::Sentinels(all) = self {
            all.settle().expect("servers and Sentinels find together");
        }
    }

    /// The way of a host, where there is one for each.
    pub(crate) fn proxy(&self, host: usize) -> Option<&Proxy> {
        match self {
            Self::One(_, proxies) => Some(&proxies[host]),
            Self::Sentinels(_) | Self::Cluster(_) => None,
        }
    }
}

fn options(keeps: bool) -> Options {
    if keeps { Options::new().append_only(Fsync::Always) } else { Options::new() }
}
