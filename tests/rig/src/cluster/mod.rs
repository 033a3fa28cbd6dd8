//! Several servers that share the slots of one key space.

mod migration;

use redis::Value;

pub use self::migration::Migration;
use crate::{Error, Options, Proxy, Server, until};

/// How many slots there are.
pub const SLOTS: u16 = 16_384;

/// What a cluster is made of. The default is three masters without replicas.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Nodes that have slots, at least one; a cluster needs three to agree on a failure.
    pub masters: usize,
    /// How many replicas each of them has.
    pub replicas: usize,
    /// Whether clients are told the addresses of proxies, one in front of each node.
    pub proxied: bool,
    /// The options of each node.
    pub options: Options,
}

impl Default for Shape {
    fn default() -> Self {
        Self { masters: 3, replicas: 0, proxied: false, options: Options::new() }
    }
}

/// A Redis Cluster. Its first nodes are the masters of the beginning, in the order of their slots.
///
/// Nodes that are killed, paused and started again are those of [`node_mut`](Self::node_mut).
///
/// ```no_run
/// use oncegate_rig::Cluster;
///
/// let cluster = Cluster::start()?;
/// let slot = cluster.slot_of("key")?;
/// let migration = cluster.begin_move(slot, (cluster.owner_of(slot)? + 1) % 3)?;
/// // … clients are sent on with ASK for what has moved …
/// migration.move_keys(100)?;
/// migration.finish()?;
/// // … and from now on with MOVED.
/// # Ok::<(), oncegate_rig::Error>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    proxies: Vec<Proxy>,
}

/// Later lines win: a shape can ask for others.
const LINES: [&str; 2] = ["cluster-node-timeout 5000", "cluster-allow-replica-migration no"];

impl Cluster {
    /// Three masters.
    ///
    /// # Errors
    ///
    /// A node does not start, or they do not find together.
    pub fn start() -> Result<Self, Error> {
        Self::with(Shape::default())
    }

    /// A cluster of this shape. Every node says that it is well when this returns, which takes
    /// Redis two seconds at least.
    ///
    /// # Errors
    ///
    /// As with [`start`](Self::start).
    pub fn with(shape: Shape) -> Result<Self, Error> {
        let count = shape.masters * (1 + shape.replicas);
        let mut nodes = Vec::new();
        let mut proxies = Vec::new();
        for _ in 0..count {
            let mut server = Server::with(shape.options.clone().clustered(&LINES))?;
            if shape.proxied {
                let proxy = Proxy::to(server.address())?;
                server.announce(proxy.port())?;
                proxies.push(proxy);
            }
            nodes.push(server);
        }
        let cluster = Self { nodes, proxies };
        cluster.join(shape.masters)?;
        cluster.replicate(shape.masters)?;
        cluster.wait_until_well()?;
        Ok(cluster)
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// One node, to be killed or started again.
    ///
    /// # Panics
    ///
    /// There is no such node.
    pub fn node_mut(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index]
    }

    /// The proxies in front of the nodes, in the same order; none where the shape had none.
    #[must_use]
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// Where clients find the nodes: themselves, or their proxies.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.proxies.is_empty() {
            self.nodes.iter().map(Server::url).collect()
        } else {
            self.proxies.iter().map(Proxy::url).collect()
        }
    }

    /// The slot of a key.
    ///
    /// # Errors
    ///
    /// No node answers.
    pub fn slot_of(&self, key: &str) -> Result<u16, Error> {
        self.any()?.ask(&["CLUSTER", "KEYSLOT", key])
    }

    /// Which node has `slot`, as the first node that answers knows it.
    ///
    /// # Errors
    ///
    /// No node answers, or none has it.
    pub fn owner_of(&self, slot: u16) -> Result<usize, Error> {
        let owner = owner(self.any()?, slot)?;
        owner.and_then(|id| self.index_of(&id)).ok_or_else(|| Error::new("nobody has that slot"))
    }

    /// Moves a slot with its keys to another master, while clients may use it, and waits until all
    /// nodes that run know.
    ///
    /// # Errors
    ///
    /// As with [`begin_move`](Self::begin_move) and what follows it.
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<(), Error> {
        let migration = self.begin_move(slot, to)?;
        while migration.move_keys(100)? > 0 {}
        migration.finish()
    }

    /// Begins to move a slot: keys that have moved are asked for (`ASK`), the others are not.
    ///
    /// # Errors
    ///
    /// A node refuses: `to` is no master, or has the slot already.
    pub fn begin_move(&self, slot: u16, to: usize) -> Result<Migration<'_>, Error> {
        Migration::begin(self, slot, self.owner_of(slot)?, to)
    }

    /// Waits until every node that runs says that all slots are served, and knows the same nodes.
    ///
    /// # Errors
    ///
    /// They do not within [`PATIENCE`](crate::PATIENCE).
    pub fn wait_until_well(&self) -> Result<(), Error> {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        // Nodes speak among themselves; nobody can wait for that but by asking.
        until("the cluster is well", || {
            self.running()
                .all(|node| {
                    let info: Result<String, _> = node.ask(&["CLUSTER", "INFO"]);
                    info.is_ok_and(|info| {
                        info.contains("cluster_state:ok") && info.contains(&known)
                    })
                })
                .then_some(())
        })
    }

    fn running(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    fn any(&self) -> Result<&Server, Error> {
        self.running().next().ok_or_else(|| Error::new("no node runs"))
    }

    fn index_of(&self, id: &str) -> Option<usize> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find(|(_, node)| my_id(node).is_ok_and(|own| own == id)).map(|(index, _)| index)
    }

    /// Gives the masters their slots, and makes all nodes known to each other.
    fn join(&self, masters: usize) -> Result<(), Error> {
        let bound = |index: usize| usize::from(SLOTS) * index / masters;
        for (index, node) in self.nodes.iter().enumerate() {
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            if index < masters {
                let (first, last) = (bound(index), bound(index + 1) - 1);
                let range = [first.to_string(), last.to_string()];
                node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]])?;
            }
            // Each meets all before it: they need not hear of each other first.
            for other in &self.nodes[..index] {
                let (port, bus) = (other.port().to_string(), other.bus_port().to_string());
                node.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
            }
        }
        Ok(())
    }

    /// Makes replicas of the nodes after the masters, in turn.
    fn replicate(&self, masters: usize) -> Result<(), Error> {
        for (at, node) in self.nodes[masters..].iter().enumerate() {
            let master = my_id(&self.nodes[at % masters])?;
            // It does not know its master before it has met it.
            until("a node knows its master", || {
                node.ask::<()>(&["CLUSTER", "REPLICATE", &master]).ok()
            })?;
            until("a replica is in step", || {
                (node.info("master_link_status").ok()? == "up").then_some(())
            })?;
        }
        Ok(())
    }
}

/// A node's name in its cluster.
fn my_id(node: &Server) -> Result<String, Error> {
    node.ask(&["CLUSTER", "MYID"])
}

/// The name of the node that has `slot`, as `node` knows it.
fn owner(node: &Server, slot: u16) -> Result<Option<String>, Error> {
    let ranges: Vec<Vec<Value>> = node.ask(&["CLUSTER", "SLOTS"])?;
    for range in ranges {
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else {
            continue;
        };
        if (*first..=*last).contains(&i64::from(slot)) {
            let id = master.get(2).cloned().map(redis::from_redis_value::<String>);
            return id.transpose().map_err(|error| Error::of("CLUSTER SLOTS", &error));
        }
    }
    Ok(None)
}
