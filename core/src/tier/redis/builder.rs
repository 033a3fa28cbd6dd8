//! Settings of the tier in Redis, checked once.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::codec::Codec;
use super::link::Limits;
use super::node::Endpoint;
use super::route::Place;
#[cfg(feature = "redis-tls")]
use super::stream::Tls;
use super::{Redis, keys};
use crate::sync::Ordering;
use crate::sync::plain::AtomicU64;
use crate::tier::{TierError, TierErrorKind};

/// What a tier in Redis is built with. Every setting has a default;
/// [`build`](Self::build) checks them all.
///
/// ```
/// use std::time::Duration;
/// use oncegate::tier::Redis;
///
/// let tier = Redis::builder("redis://127.0.0.1:6379")
///     .prefix("shop:")
///     .connections(4)
///     .connect_within(Duration::from_millis(500))
///     .build()?;
/// # drop(tier);
/// # Ok::<(), oncegate::tier::TierError>(())
/// ```
#[must_use = "a builder does nothing until it builds"]
#[derive(Clone)]
pub struct RedisBuilder {
    url: String,
    user: Option<(String, String)>,
    sentinels: Option<(String, Vec<String>)>,
    cluster: Option<Vec<String>>,
    resp3: bool,
    prefix: String,
    limits: Limits,
    outcome_limit: usize,
    compress_from: Option<usize>,
    key: Option<[u8; 32]>,
    retiring_key: Option<[u8; 32]>,
    allow_eviction: bool,
    letters: Option<usize>,
    #[cfg(feature = "redis-tls")]
    tls: Option<redis::TlsCertificates>,
}

impl RedisBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            user: None,
            sentinels: None,
            cluster: None,
            resp3: false,
            prefix: "oncegate:".to_owned(),
            limits: Limits {
                connections: 2,
                pipeline: 128,
                queue: 4_096,
                connect_within: Duration::from_secs(1),
                replicas: None,
            },
            outcome_limit: 64 << 10,
            compress_from: None,
            key: None,
            retiring_key: None,
            allow_eviction: false,
            letters: None,
            #[cfg(feature = "redis-tls")]
            tls: None,
        }
    }

    /// As whom one speaks to the server, instead of what the URL says: an ACL user and its
    /// password. `docs/redis.md` lists the rights that it needs.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://127.0.0.1").user("shop", "secret").build()?;
    /// assert!(!format!("{tier:?}").contains("secret"));
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// The server is the master that Sentinels know by `name`. The builder's URL says as whom one
    /// speaks to that server, and whether over TLS; its address is not used. `urls` are those of
    /// the Sentinels.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://shop:secret@master")
    ///     .sentinels("mymaster", &["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"])
    ///     .build()?;
    /// # drop(tier);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn sentinels(mut self, name: &str, urls: &[&str]) -> Self {
        let urls = urls.iter().map(|&url| url.to_owned()).collect();
        self.sentinels = Some((name.to_owned(), urls));
        self
    }

    /// The server is a node of a Cluster; `more` are the URLs of others, which are asked where the
    /// first one is not there. All nodes are spoken to as the builder's URL says.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://10.0.0.1:6379").cluster(&["redis://10.0.0.2:6379"]);
    /// # drop(tier.build()?);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn cluster(mut self, more: &[&str]) -> Self {
        self.cluster = Some(more.iter().map(|&url| url.to_owned()).collect());
        self
    }

    /// Whether connections speak RESP3. Default: RESP2; nothing here needs the newer one.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let tier = Redis::builder("redis://127.0.0.1").resp3(true).build()?;
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn resp3(mut self, resp3: bool) -> Self {
        self.resp3 = resp3;
        self
    }

    /// What the names of all keys and channels begin with: at most 64 bytes, without braces and
    /// what a shell or a pattern would read something into. Default: `oncegate:`.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// assert!(Redis::builder("redis://127.0.0.1").prefix("{a}").build().is_err());
    /// ```
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Connections to each server, from 1 to 64. Default: 2.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// assert!(Redis::builder("redis://127.0.0.1").connections(0).build().is_err());
    /// ```
    pub fn connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections;
        self
    }

    /// Operations that share a round trip under load, at most 4,096. Default: 128.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// assert!(Redis::builder("redis://127.0.0.1").pipeline(0).build().is_err());
    /// ```
    pub fn pipeline(mut self, operations: usize) -> Self {
        self.limits.pipeline = operations;
        self
    }

    /// Operations that may wait for a connection to a server; further ones fail at once. Default:
    /// 4,096.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let tier = Redis::builder("redis://127.0.0.1").queue(10_000).build()?;
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn queue(mut self, operations: usize) -> Self {
        self.limits.queue = operations;
        self
    }

    /// How long a connection may take to be made. Default: one second.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://127.0.0.1").connect_within(Duration::from_millis(200));
    /// # drop(tier.build()?);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn connect_within(mut self, time: Duration) -> Self {
        self.limits.connect_within = time;
        self
    }

    /// Has each grant and each end wait until so many replicas have it, for at most `time` in each
    /// round trip (`WAIT`). It narrows what a fail-over may lose, and does not close it: the
    /// replica that is promoted need not be one of them.
    ///
    /// Where too few have it in time, a claim is given back and answers
    /// [`TierErrorKind::Unavailable`]; an end answers [`TierErrorKind::Unknown`], and is done on
    /// the master.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::tier::Redis;
    /// let tier = Redis::builder("redis://127.0.0.1").wait_replicas(1, Duration::from_millis(50));
    /// # drop(tier.build()?);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn wait_replicas(mut self, replicas: usize, time: Duration) -> Self {
        self.limits.replicas = (replicas > 0).then_some((replicas, time));
        self
    }

    /// How large an outcome may be as it is stored, in bytes; duplicates of a larger one learn that
    /// its bytes are gone. At most 16 MiB. Default: 64 KiB.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// assert!(Redis::builder("redis://127.0.0.1").outcome_limit(17 << 20).build().is_err());
    /// ```
    pub fn outcome_limit(mut self, bytes: usize) -> Self {
        self.outcome_limit = bytes;
        self
    }

    /// Compresses outcomes of that many bytes and more (LZ4). Default: none is.
    ///
    /// How well something compresses tells of its content; where an attacker has a part in an
    /// outcome whose other part is secret, leave it off.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let tier = Redis::builder("redis://127.0.0.1").compress_from(1_024).build()?;
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.compress_from = Some(bytes);
        self
    }

    /// Encrypts outcomes with this key (XChaCha20-Poly1305), and stores, encrypted too, what
    /// another table's scheduler needs to run a record's next attempt. Default: outcomes lie in
    /// the store as they are, and that context is not stored.
    ///
    /// Whoever lacks the key learns that a request has finished, and never its outcome.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let key = [7; 32];
    /// let tier = Redis::builder("redis://127.0.0.1").encryption_key(key).build()?;
    /// # drop(tier);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn encryption_key(mut self, key: [u8; 32]) -> Self {
        self.key = Some(key);
        self
    }

    /// A key that outcomes are still read with, and no longer written.
    ///
    /// To rotate: give every engine the new key as the retiring one; when all have it, swap both;
    /// when the longest window is over, drop the old one.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let (new, old) = ([7; 32], [8; 32]);
    /// let tier = Redis::builder("redis://127.0.0.1").encryption_key(new).retiring_key(old);
    /// # drop(tier.build()?);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn retiring_key(mut self, key: [u8; 32]) -> Self {
        self.retiring_key = Some(key);
        self
    }

    /// Uses a server that may evict records although their time is not over. A request whose
    /// record was evicted **runs again**.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let tier = Redis::builder("redis://127.0.0.1").allow_eviction(true).build()?;
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn allow_eviction(mut self, allow: bool) -> Self {
        self.allow_eviction = allow;
        self
    }

    /// Mirrors dead letters to a stream, `<prefix>{dd}letters`, which keeps the last `entries`: 1
    /// to 1,000,000, and the same on all hosts. Each engine enters those that it buries, once each,
    /// and what it ran in conflict with another; redriving and discarding change nothing there.
    /// Default: there is no stream, and nothing is sent.
    ///
    /// An entry takes about 320 bytes and 7 µs of the server, and the engine's own thread tells it.
    /// It has nothing of the request in clear: `docs/redis.md` lists what it has.
    ///
    /// ```
    /// # use oncegate::tier::{Redis, Tier};
    /// let tier = Redis::builder("redis://127.0.0.1").dead_letters(10_000).build()?;
    /// assert!(tier.keeps_letters());
    /// assert!(Redis::builder("redis://127.0.0.1").dead_letters(0).build().is_err());
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn dead_letters(mut self, entries: usize) -> Self {
        self.letters = Some(entries);
        self
    }

    /// Checks the settings. Connects at the first use.
    ///
    /// # Errors
    ///
    /// [`TierErrorKind::Unsafe`]: a setting is out of its range, or a URL is none.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// assert!(Redis::builder("http://127.0.0.1").build().is_err());
    /// ```
    pub fn build(self) -> Result<Redis, TierError> {
        self.check()?;
        #[cfg(feature = "redis-tls")]
        self.check_tls()?;
        let place = self.place()?;
        let key = (self.key.as_ref(), self.retiring_key.as_ref());
        let codec = Codec::new(self.outcome_limit, self.compress_from, key.0, key.1);
        let channels = keys::channels(&self.prefix);
        let (prefix, limits, allow_eviction) = (self.prefix, self.limits, self.allow_eviction);
        let (letters, shift) = (self.letters, Shift::default());
        Ok(Redis::new(Settings {
            place,
            limits,
            prefix,
            channels,
            codec,
            allow_eviction,
            letters,
            shift,
        }))
    }

    fn check(&self) -> Result<(), TierError> {
        let odd = |c: char| !c.is_ascii_graphic() || "{}*?[]\\\"'".contains(c);
        let limits = &self.limits;
        let checks = [
            (self.prefix.len() > 64 || self.prefix.contains(odd), "prefix"),
            (!(1..=64).contains(&limits.connections), "connections: 1 to 64"),
            (!(1..=4_096).contains(&limits.pipeline), "pipeline: 1 to 4096"),
            (!(1..=1 << 20).contains(&limits.queue), "queue: 1 to 1048576"),
            (limits.connect_within.is_zero(), "connect_within: not zero"),
            (self.outcome_limit > 16 << 20, "outcome_limit: at most 16 MiB"),
            (
                self.letters.is_some_and(|most| !LETTERS.contains(&most)),
                "dead_letters: 1 to 1000000",
            ),
            (self.sentinels.is_some() && self.cluster.is_some(), "sentinels or cluster, not both"),
        ];
        match checks.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(setting(what)),
            None => Ok(()),
        }
    }

    fn place(&self) -> Result<Place, TierError> {
        let server = self.endpoint(&self.url, self.user.as_ref())?;
        if let Some((name, urls)) = &self.sentinels {
            let sentinels = urls.iter().map(|url| self.endpoint(url, None));
            let sentinels = sentinels.collect::<Result<Vec<_>, _>>();
            let sentinels = sentinels.map_err(|_| setting("sentinels: not URLs of Redis"))?;
            return Ok(Place::Sentinel { server, name: name.clone(), sentinels });
        }
        let Some(more) = &self.cluster else { return Ok(Place::One(server)) };
        if server.info.redis_settings().db() != 0 {
            return Err(setting("a Cluster has no databases but 0"));
        }
        let mut seeds = vec![server];
        for url in more {
            seeds.push(self.endpoint(url, self.user.as_ref())?);
        }
        Ok(Place::Cluster { seeds })
    }

    fn endpoint(&self, url: &str, user: Option<&(String, String)>) -> Result<Endpoint, TierError> {
        let info: ConnectionInfo =
            url.into_connection_info().map_err(|_| setting("url: not one of Redis"))?;
        let mut as_whom = info.redis_settings().clone().set_skip_set_lib_name();
        if let Some((name, password)) = user {
            as_whom = as_whom.set_username(name).set_password(password);
        }
        if self.resp3 {
            as_whom = as_whom.set_protocol(ProtocolVersion::RESP3);
        }
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        if tls && !cfg!(feature = "redis-tls") {
            return Err(setting("url: TLS needs the feature redis-tls"));
        }
        if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(setting("url: without #insecure; who the server is gets checked"));
        }
        // What is small is sent at once, whatever is on its way before it.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(Endpoint {
            info: info.set_redis_settings(as_whom).set_tcp_settings(tcp),
            #[cfg(feature = "redis-tls")]
            certificates: self.tls.clone().filter(|_| tls),
            #[cfg(feature = "redis-tls")]
            tls: tls.then(|| Tls::new(self.tls.as_ref())).transpose().map_err(setting)?,
        })
    }
}

/// TLS.
#[cfg(feature = "redis-tls")]
impl RedisBuilder {
    /// The certificate of the authority that the server's is checked with, in PEM, instead of those
    /// that the system trusts.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let pem = b"no certificate";
    /// let tier = Redis::builder("rediss://redis.internal:6380").tls_root(pem);
    /// # assert!(tier.build().is_err());
    /// ```
    pub fn tls_root(mut self, pem: &[u8]) -> Self {
        self.certificates().root_cert = Some(pem.to_vec());
        self
    }

    /// The certificate and the key, both in PEM, that show the server who connects.
    ///
    /// ```
    /// # use oncegate::tier::Redis;
    /// # let (certificate, key) = (b"no certificate", b"no key");
    /// let tier = Redis::builder("rediss://redis.internal:6380").tls_client(certificate, key);
    /// # assert!(tier.build().is_err());
    /// ```
    pub fn tls_client(mut self, certificate: &[u8], key: &[u8]) -> Self {
        let (client_cert, client_key) = (certificate.to_vec(), key.to_vec());
        let client = redis::ClientTlsConfig { client_cert, client_key };
        self.certificates().client_tls = Some(client);
        self
    }

    fn check_tls(&self) -> Result<(), TierError> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let others = self.cluster.iter().flatten();
        let others = others.chain(self.sentinels.iter().flat_map(|(_, urls)| urls));
        let is_tls = |url: &String| ["rediss:", "valkeys:"].iter().any(|it| url.starts_with(it));
        if !others.chain([&self.url]).any(is_tls) {
            // Whoever gives certificates means to use them.
            return Err(setting("url: rediss, where there are certificates"));
        }
        Tls::new(Some(tls)).map(drop).map_err(setting)
    }

    fn certificates(&mut self) -> &mut redis::TlsCertificates {
        self.tls.get_or_insert(redis::TlsCertificates { client_tls: None, root_cert: None })
    }
}

impl fmt::Debug for RedisBuilder {
    /// Neither URLs, which may hold passwords, nor keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .field("outcome_limit", &self.outcome_limit)
            .field("compress_from", &self.compress_from)
            .field("encrypts", &self.key.is_some())
            .field("allow_eviction", &self.allow_eviction)
            .field("dead_letters", &self.letters)
            .finish_non_exhaustive()
    }
}

/// How many dead letters a log may keep.
const LETTERS: std::ops::RangeInclusive<usize> = 1..=1_000_000;

fn setting(what: &'static str) -> TierError {
    TierError::new(TierErrorKind::Unsafe, what)
}

/// What was built.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) limits: Limits,
    pub(super) prefix: String,
    /// What channels begin with.
    pub(super) channels: Vec<u8>,
    pub(super) codec: Codec,
    pub(super) allow_eviction: bool,
    /// How many dead letters are kept, if any are.
    pub(super) letters: Option<usize>,
    pub(super) shift: Shift,
}

/// By how much the scripts' time is ahead of the server's. Nothing, outside of tests.
#[derive(Debug, Default)]
pub(super) struct Shift(AtomicU64);

impl Shift {
    pub(super) fn advance(&self, by: Duration) {
        // Relaxed: a test's own time, which orders nothing.
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn set_back(&self, by: Duration) {
        // Relaxed: as in `advance`. It wraps, as the numbers below nought do that it stands for.
        self.0.fetch_sub(by.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn ms(&self) -> i64 {
        // Relaxed: as in `advance`.
        self.0.load(Ordering::Relaxed).cast_signed()
    }
}
