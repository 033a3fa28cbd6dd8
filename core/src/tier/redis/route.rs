//! Which server is responsible for a bucket: the one that there is, the one that Sentinels name,
//! or one of a Cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::fault::Fault;
use super::keys::{BUCKETS, slot};
use super::link::{Limits, Link};
use super::node::Endpoint;
use super::wire::pack;
use crate::clock::{Clock, PreciseClock};
use crate::sync::{Mutex, lock, park, try_lock};

/// How servers are found.
#[derive(Clone, Debug)]
pub(super) enum Place {
    One(Endpoint),
    Sentinel {
        /// As whom one speaks to the server; its address is what is looked for.
        server: Endpoint,
        name: String,
        sentinels: Vec<Endpoint>,
    },
    Cluster {
        seeds: Vec<Endpoint>,
    },
}

impl Place {
    /// How many buckets' keys one script may have: in a Cluster each bucket has a slot of its own.
    pub(super) fn keys_together(&self) -> usize {
        match self {
            Self::Cluster { .. } => 1,
            Self::One(_) | Self::Sentinel { .. } => BUCKETS,
        }
    }
}

/// Who is responsible for which bucket.
pub(super) struct Map {
    pub(super) links: Vec<Arc<Link>>,
    /// For each bucket, which of them; a number too high: none.
    of: [usize; BUCKETS],
}

impl Map {
    pub(super) fn link(&self, bucket: u8) -> Option<&Arc<Link>> {
        self.links.get(self.of[usize::from(bucket)])
    }
}

pub(super) struct Routes {
    place: Place,
    limits: Limits,
    map: Mutex<Option<Arc<Map>>>,
    /// Held by whoever looks for servers.
    looking: Mutex<()>,
}

impl Routes {
    pub(super) fn new(place: Place, limits: Limits) -> Self {
        Self { place, limits, map: Mutex::new(None), looking: Mutex::new(()) }
    }

    /// Who is responsible, as far as is known.
    pub(super) fn map(&self, deadline: Duration) -> Result<Arc<Map>, Fault> {
        let known = lock(&self.map).clone();
        match known {
            Some(map) if self.is_current(&map) => Ok(map),
            known => self.look(known.as_ref(), deadline),
        }
    }

    /// Where Sentinels name the server, they are asked before each first connection: one that comes
    /// back after a fail-over takes itself for the primary until they have told it.
    fn is_current(&self, map: &Map) -> bool {
        let named = matches!(self.place, Place::Sentinel { .. });
        !named || map.links.iter().all(|link| link.is_open())
    }

    /// An operation got no answer over a connection to `link`. Where Sentinels name the server,
    /// those that are idle are of no more use: it may be another one by the time they are used.
    pub(super) fn suspect(&self, link: &Link) {
        if matches!(self.place, Place::Sentinel { .. }) {
            link.drop_idle();
        }
    }

    /// Who is responsible now, since `old` was not.
    pub(super) fn look(
        &self,
        old: Option<&Arc<Map>>,
        deadline: Duration,
    ) -> Result<Arc<Map>, Fault> {
        loop {
            let looking = try_lock(&self.looking);
            let known = lock(&self.map).clone();
            if let Some(map) = &known
                && !old.is_some_and(|old| Arc::ptr_eq(old, map))
            {
                return Ok(Arc::clone(map));
            }
            if looking.is_some() {
                let links = known.as_ref().map(|map| map.links.as_slice()).unwrap_or_default();
                let found = Arc::new(self.find(links, deadline)?);
                *lock(&self.map) = Some(Arc::clone(&found));
                return Ok(found);
            }
            let left = deadline.saturating_sub(PreciseClock.now());
            if left.is_zero() {
                return Err(Fault::unsent("nobody knows yet who is responsible"));
            }
            park(Some(left.min(A_MOMENT)));
        }
    }

    fn find(&self, known: &[Arc<Link>], deadline: Duration) -> Result<Map, Fault> {
        match &self.place {
            Place::One(endpoint) => {
                Ok(Map { links: vec![self.link(known, endpoint)], of: [0; BUCKETS] })
            }
            Place::Sentinel { server, name, sentinels } => {
                let ask = pack(&[b"SENTINEL", b"get-master-addr-by-name", name.as_bytes()]);
                let (answer, _) = self.ask_any(sentinels, &ask, deadline)?;
                let (host, port) = address(&answer)
                    .ok_or_else(|| Fault::unsent("no Sentinel knows the master's name"))?;
                let endpoint = server.at(&host, port);
                Ok(Map { links: vec![self.link(known, &endpoint)], of: [0; BUCKETS] })
            }
            Place::Cluster { seeds } => {
                let nodes: Vec<Endpoint> =
                    known.iter().map(|link| link.endpoint.clone()).chain(seeds.clone()).collect();
                let ask = pack(&[b"CLUSTER", b"SLOTS"]);
                let (answer, by) = self.ask_any(&nodes, &ask, deadline)?;
                self.cluster(known, &by, &answer)
                    .ok_or_else(|| Fault::unsent("the server is no member of a Cluster"))
            }
        }
    }

    /// The link to `endpoint`, which keeps its connections if it is known.
    fn link(&self, known: &[Arc<Link>], endpoint: &Endpoint) -> Arc<Link> {
        known
            .iter()
            .find(|link| link.endpoint.info.addr() == endpoint.info.addr())
            .cloned()
            .unwrap_or_else(|| Arc::new(Link::new(endpoint.clone(), self.limits)))
    }

    /// The first answer of any of `nodes`, and whose it is.
    fn ask_any(
        &self,
        nodes: &[Endpoint],
        ask: &[u8],
        deadline: Duration,
    ) -> Result<(Value, Endpoint), Fault> {
        let mut last = Fault::unsent("no address to ask");
        for (at, node) in nodes.iter().enumerate() {
            // A node that does not answer leaves some of the time to the next.
            let left = deadline.saturating_sub(PreciseClock.now());
            let part = u32::try_from(nodes.len() - at).unwrap_or(u32::MAX).min(MOST_PARTS);
            let within = (left / part).min(self.limits.connect_within);
            let by = PreciseClock.now() + within;
            let answer = node.connect(within).and_then(|mut conn| conn.round(ask, 1, by));
            match answer.map(|mut replies| replies.pop()) {
                Ok(Some(Value::ServerError(error))) => last = Fault::answered(&error),
                Ok(Some(Value::Nil) | None) => last = Fault::unsent("no Sentinel knows the master"),
                Ok(Some(value)) => return Ok((value, node.clone())),
                Err(fault) => last = fault.unsent_yet(),
            }
        }
        Err(last)
    }

    /// Reads the answer to `CLUSTER SLOTS`: ranges, each with its master first.
    fn cluster(&self, known: &[Arc<Link>], by: &Endpoint, answer: &Value) -> Option<Map> {
        let Value::Array(ranges) = answer else { return None };
        let mut map = Map { links: Vec::new(), of: [usize::MAX; BUCKETS] };
        for range in ranges {
            let Value::Array(fields) = range else { return None };
            let [Value::Int(first), Value::Int(last), master, ..] = fields.as_slice() else {
                return None;
            };
            let range = u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?;
            let endpoint = match address(master)? {
                // A node that does not know its own name is the one that was asked.
                (host, _) if host.is_empty() => by.clone(),
                (host, port) => by.at(&host, port),
            };
            let known_here = map
                .links
                .iter()
                .position(|link: &Arc<Link>| link.endpoint.info.addr() == endpoint.info.addr());
            let index = known_here.unwrap_or_else(|| {
                map.links.push(self.link(known, &endpoint));
                map.links.len() - 1
            });
            for bucket in 0..=u8::MAX {
                if range.contains(&slot(bucket)) {
                    map.of[usize::from(bucket)] = index;
                }
            }
        }
        (!map.links.is_empty()).then_some(map)
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A host and a port, as text and number or both as text.
fn address(value: &Value) -> Option<(String, u16)> {
    let Value::Array(fields) = value else { return None };
    let (host, port) = (fields.first()?, fields.get(1)?);
    let host = match host {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    let port = match port {
        Value::Int(port) => u16::try_from(*port).ok()?,
        Value::BulkString(bytes) => str::from_utf8(bytes).ok()?.parse().ok()?,
        _ => return None,
    };
    Some((host, port))
}

/// How long one who does not look waits before it asks again whether somebody has found something.
const A_MOMENT: Duration = Duration::from_millis(2);
const MOST_PARTS: u32 = 4;
