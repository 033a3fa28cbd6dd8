//! Link: the way from an engine to its tier.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::super::life::Life;
use super::news::News;
use super::parcel::Parcel;
use super::porter::Porter;
use super::standing::Standing;
use crate::error::{Error, ErrorCode};
use crate::fork::PerProcess;
use crate::retry::JitterSource;
use crate::sync::Ordering;
use crate::sync::plain::{AtomicBool, AtomicU64, Mutex};
use crate::table::Table;
use crate::tier::{
    Breaker, Claim, Claimed, Ended, Ending, Fared, FenceClock, Holder, LetterReason, Renewal,
    Renewed, Sighting, TableId, Tier, TierConflict, TierError, TierErrorKind, TierKey, TierOptions,
};

/// An engine's part in a fleet.
pub(in super::super) struct Fleet {
    pub(super) tier: Arc<dyn Tier>,
    pub(super) id: TableId,
    pub(super) options: TierOptions,
    pub(super) table: Table,
    pub(super) life: Life,
    pub(super) news: Arc<News>,
    pub(super) counts: Counts,
    pub(super) porter: PerProcess<Porter>,
    /// What one process knows of the store.
    pub(super) standing: PerProcess<Mutex<Standing>>,
    watched: PerProcess<AtomicBool>,
    /// Whether the tier has a log of dead letters.
    pub(super) keeps_letters: bool,
    breaker: Breaker,
    jitter: JitterSource,
    /// The highest fencing token that this engine has seen of any record.
    highest: AtomicU64,
    /// The longest lease that it has asked for, or would ask for by default, in milliseconds.
    pub(super) longest_ms: AtomicU64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Gap {
    /// It may have been carried out.
    Unknown,
    /// It was not; the tier may be asked again after so long.
    Unavailable(Duration),
    /// The tier may have forgotten records; nothing new is run for so long.
    Quarantined(Duration),
    /// The tier takes the end of the attempt after so long: its record waits to be retried.
    PutOff(Duration),
    /// The tier has not heard of how an attempt of the same record ended here.
    Untold,
    /// The tier may not be used.
    Unsafe(TierError),
}

/// What is counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) granted: AtomicU64,
    pub(super) imported: AtomicU64,
    pub(super) elsewhere: AtomicU64,
    pub(super) waited: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) local_only: AtomicU64,
    pub(super) delivered_late: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) undelivered_lost: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) sessions_lost: AtomicU64,
    pub(super) adopted: AtomicU64,
    pub(super) letters_logged: AtomicU64,
    pub(super) letters_lost: AtomicU64,
}

/// What an engine and its tier have done, in this process.
///
/// ```
/// use oncegate::Engine;
/// let engine = Engine::builder().capacity(1_000).build()?;
/// assert!(engine.tier_stats()?.is_none()); // it has no tier
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierStats {
    /// Claims that were granted.
    pub granted: u64,
    /// Outcomes of other hosts that were stored here.
    pub imported: u64,
    /// Requests that another host ran, or waits to run.
    pub elsewhere: u64,
    /// Requests that waited for another host.
    pub waited: u64,
    /// Requests that were refused for want of an answer.
    pub refused: u64,
    /// Attempts that the local table alone admitted.
    pub local_only: u64,
    /// Calls of which nobody knows whether they were carried out.
    pub unknown: u64,
    /// Calls that were not answered, or not carried out.
    pub unanswered: u64,
    /// Ends of attempts that wait to be told.
    pub undelivered: u64,
    /// Those that were told later.
    pub delivered_late: u64,
    /// Those that were lost for want of room.
    pub undelivered_lost: u64,
    /// Attempts that ran here, and that the tier contradicts.
    pub conflicts: u64,
    /// How often the tier may have forgotten what it had acknowledged.
    pub sessions_lost: u64,
    /// Records that were retried on a host which is there no more, and were taken in here.
    pub adopted: u64,
    /// Dead letters and conflicts that the log of the fleet was told of, where the tier has one.
    pub letters_logged: u64,
    /// Those that wait to be told.
    pub letters_waiting: u64,
    /// Those that it is not told of, for want of room.
    pub letters_lost: u64,
    /// Whether the breaker refuses calls.
    pub breaker_open: bool,
}

impl Fleet {
    pub(in super::super) fn new(
        tier: Arc<dyn Tier>,
        options: TierOptions,
        (table, life): (Table, Life),
        id: TableId,
        lease_ms: u64,
    ) -> Result<Self, Error> {
        Ok(Self {
            keeps_letters: tier.keeps_letters(),
            tier,
            id,
            table,
            life,
            news: Arc::default(),
            counts: Counts::default(),
            porter: PerProcess::new(Porter::default()),
            standing: PerProcess::new(Mutex::default()),
            watched: PerProcess::new(AtomicBool::new(false)),
            breaker: Breaker::new(options.latency_objective),
            jitter: JitterSource::new()?,
            highest: AtomicU64::new(0),
            // Others run under leases that this engine never asked for.
            longest_ms: AtomicU64::new(lease_ms),
            options,
        })
    }

    /// The time on the engine's clock.
    pub(super) fn now(&self) -> Duration {
        self.life.now()
    }

    /// This process's porter.
    pub(super) fn porter(&self) -> &Porter {
        self.porter.get(Porter::default)
    }

    /// In a forked child: what belongs to the parent is let go of.
    pub(in super::super) fn forked(&self) {
        self.tier.forked();
    }

    /// Who holds the attempt of the table's counter.
    pub(super) fn holder(&self, counter: u64) -> Holder {
        Holder { table: self.id, counter }
    }

    /// The longest time of a part of `lease` that is asked for at once.
    pub(super) fn slice_of(&self, lease: Duration) -> Duration {
        self.options.lease_slice.map_or(lease, |slice| slice.min(lease))
    }

    /// Asks the tier for an attempt; `claim` needs no session yet.
    pub(super) fn claim(&self, claim: &mut Claim) -> Result<Claimed, Gap> {
        let mut claims = [*claim];
        let claimed = self.claim_all(&mut claims).pop();
        *claim = claims[0];
        claimed.unwrap_or(Err(Gap::Unknown))
    }

    /// Asks the tier for several attempts in one go.
    pub(super) fn claim_all(&self, claims: &mut [Claim]) -> Vec<Result<Claimed, Gap>> {
        self.claim_told(claims, true)
    }

    /// The same, but for records whose ends it has to be told of first. `waits`: also while another
    /// thread tells it of them.
    pub(super) fn claim_told(
        &self,
        claims: &mut [Claim],
        waits: bool,
    ) -> Vec<Result<Claimed, Gap>> {
        if self.porter().untold() == 0 {
            return self.ask_for(claims);
        }
        let told: Vec<bool> = claims.iter().map(|one| self.is_told(&one.key, waits)).collect();
        let open = claims.iter().zip(&told).filter(|(_, told)| **told);
        let mut open: Vec<Claim> = open.map(|(claim, _)| *claim).collect();
        let mut replies = self.ask_for(&mut open).into_iter();
        let reply = |told| if told { replies.next() } else { Some(Err(Gap::Untold)) };
        told.into_iter().map(reply).map(|it| it.unwrap_or(Err(Gap::Unknown))).collect()
    }

    /// Asks for attempts whatever is untold: for whoever tells it.
    pub(super) fn ask_for(&self, claims: &mut [Claim]) -> Vec<Result<Claimed, Gap>> {
        let mut answers: Vec<Option<Result<Claimed, Gap>>> = Vec::new();
        answers.resize_with(claims.len(), || None);
        for _ in 0..SESSIONS {
            let open: Vec<usize> = (0..claims.len()).filter(|i| answers[*i].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let asked = self.now();
            let session = self.breaker.admit(asked).map_err(Gap::Unavailable);
            let session =
                session.and_then(|()| self.join().inspect_err(|gap| self.note_gap(gap, asked)));
            let session = match session {
                Ok(session) => session,
                Err(gap) => {
                    open.iter().for_each(|i| answers[*i] = Some(Err(gap.again())));
                    break;
                }
            };
            let batch: Vec<Claim> = open
                .iter()
                .map(|i| {
                    let claim = &mut claims[*i];
                    // Relaxed: what it orders is ordered by the tier.
                    claim.above = self.highest.load(Ordering::Relaxed);
                    claim.session = session;
                    let lease_ms = u64::try_from(claim.lease.as_millis()).unwrap_or(u64::MAX);
                    self.longest_ms.fetch_max(lease_ms, Ordering::Relaxed);
                    *claim
                })
                .collect();
            let replies = if let [claim] = &batch[..] {
                vec![self.tier.claim(claim, self.options.deadline)]
            } else {
                self.tier.claim_all(&batch, self.options.deadline)
            };
            self.note(replies.iter().map(|reply| reply.as_ref().err()), asked);
            for (i, reply) in open.into_iter().zip(replies) {
                answers[i] = match reply {
                    Ok(claimed) => Some(Ok(self.seen(claimed))),
                    Err(error) if error.kind() == TierErrorKind::SessionOver => {
                        self.part(session);
                        None
                    }
                    Err(error) => Some(Err(Gap::of(error))),
                };
            }
        }
        let unavailable = || Err(Gap::Unavailable(AGAIN));
        answers.into_iter().map(|answer| answer.unwrap_or_else(unavailable)).collect()
    }

    /// Tells the tier how attempts ended that it has granted, in one go.
    pub(super) fn end_granted(&self, endings: &[Ending<'_>]) -> Vec<Result<Ended, Gap>> {
        let asked = self.now();
        if endings.is_empty() {
            return Vec::new();
        }
        if let Err(rest) = self.breaker.admit(asked) {
            return endings.iter().map(|_| Err(Gap::Unavailable(rest))).collect();
        }
        let replies = if let [ending] = endings {
            vec![self.tier.end(ending, self.options.deadline)]
        } else {
            self.tier.end_all(endings, self.options.deadline)
        };
        self.note(replies.iter().map(|reply| reply.as_ref().err()), asked);
        replies.into_iter().map(|reply| reply.map_err(Gap::of)).collect()
    }

    /// Asks the tier for more time.
    pub(super) fn renew_all(&self, renewals: &[Renewal]) -> Vec<Result<Renewed, Gap>> {
        let asked = self.now();
        if let Err(rest) = self.breaker.admit(asked) {
            return renewals.iter().map(|_| Err(Gap::Unavailable(rest))).collect();
        }
        let replies = self.tier.renew_all(renewals, self.options.deadline);
        self.note(replies.iter().map(|reply| reply.as_ref().err()), asked);
        replies.into_iter().map(|reply| reply.map_err(Gap::of)).collect()
    }

    /// Asks the tier something that changes nothing, or that has no batch.
    pub(super) fn ask<T>(
        &self,
        ask: impl FnOnce(&dyn Tier, Duration) -> Result<T, TierError>,
    ) -> Result<T, Gap> {
        let asked = self.now();
        self.breaker.admit(asked).map_err(Gap::Unavailable)?;
        let reply = ask(&*self.tier, self.options.deadline);
        self.note([reply.as_ref().err()].into_iter(), asked);
        reply.map_err(Gap::of)
    }

    /// What the tier knows of a record, once it has heard how that ended here.
    pub(super) fn read(&self, key: TierKey, waits: bool) -> Result<Option<Sighting>, Gap> {
        if !self.is_told(&key, waits) {
            return Err(Gap::Untold);
        }
        self.ask(|tier, within| tier.read(key, within))
    }

    /// Has the tier tell this process of what others do.
    pub(super) fn watch_now(&self) {
        let news: Arc<News> = Arc::clone(&self.news);
        let watching = self.tier.watch(self.id, news).is_ok();
        // Relaxed: a tier that is asked twice tells twice.
        self.watched.get(|| AtomicBool::new(false)).store(watching, Ordering::Relaxed);
    }

    /// Whether the tier tells this process of what others do.
    pub(super) fn is_watched(&self) -> bool {
        // Relaxed: as in `watch_now`.
        self.watched.get(|| AtomicBool::new(false)).load(Ordering::Relaxed)
    }

    /// The token of an attempt that the table admits alone: above every one that is known here, and
    /// those that the tier gives later are above it.
    pub(super) fn own_fence(&self) -> u64 {
        let unix_ms = crate::clock::unix_ms(self.life.time().wall_ms());
        let next = |last| FenceClock::next(unix_ms, last);
        // Relaxed, both: each update takes a value of its own.
        let last = self
            .highest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .unwrap_or_else(|same| same);
        next(last)
    }

    fn seen(&self, claimed: Claimed) -> Claimed {
        if let Claimed::Granted(grant) = &claimed {
            // Relaxed: it only grows.
            self.highest.fetch_max(grant.fence, Ordering::Relaxed);
        }
        claimed
    }

    fn note<'a>(&self, errors: impl Iterator<Item = Option<&'a TierError>>, asked: Duration) {
        let (now, mut fared) = (self.now(), Fared::Well);
        for error in errors.flatten() {
            if error.kind() != TierErrorKind::SessionOver {
                Counts::add(&self.counts.unanswered);
                fared = Fared::Badly;
            }
            if error.kind() == TierErrorKind::Unknown {
                Counts::add(&self.counts.unknown);
            }
        }
        self.fared(fared, asked, now);
    }

    fn note_gap(&self, gap: &Gap, asked: Duration) {
        let now = self.now();
        let fared = if matches!(gap, Gap::Quarantined(_)) { Fared::Well } else { Fared::Badly };
        self.fared(fared, asked, now);
    }

    fn fared(&self, fared: Fared, asked: Duration, now: Duration) {
        if self.breaker.note(fared, now.saturating_sub(asked), now, &self.jitter) {
            self.tell_at_once();
        }
    }

    /// Whether nobody asks the tier anything just now.
    pub(super) fn is_let_alone(&self) -> bool {
        self.breaker.is_open()
    }

    /// What ran here is contradicted by the tier.
    pub(super) fn report_conflict(&self, parcel: &Parcel) {
        Counts::add(&self.counts.conflicts);
        self.keep_letter(parcel, LetterReason::Conflict, None);
        if let Some(tell) = &self.options.on_conflict {
            let conflict = TierConflict { key: parcel.key, fence: parcel.fence };
            // Reported where it panicked: what else is told is not to be lost with it.
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&conflict)));
        }
    }

    pub(in super::super) fn stats(&self) -> TierStats {
        // Relaxed: a counter orders nothing.
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        TierStats {
            granted: of(&counts.granted),
            imported: of(&counts.imported),
            elsewhere: of(&counts.elsewhere),
            waited: of(&counts.waited),
            refused: of(&counts.refused),
            local_only: of(&counts.local_only),
            unknown: of(&counts.unknown),
            unanswered: of(&counts.unanswered),
            undelivered: self.porter().undelivered(),
            delivered_late: of(&counts.delivered_late),
            undelivered_lost: of(&counts.undelivered_lost),
            conflicts: of(&counts.conflicts),
            sessions_lost: of(&counts.sessions_lost),
            adopted: of(&counts.adopted),
            letters_logged: of(&counts.letters_logged),
            letters_waiting: self.porter().letters.count(),
            letters_lost: of(&counts.letters_lost),
            breaker_open: self.breaker.is_open(),
        }
    }
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64) {
        // Relaxed: a counter orders nothing.
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Gap {
    pub(super) fn of(error: TierError) -> Self {
        match error.kind() {
            TierErrorKind::Unknown => Self::Unknown,
            TierErrorKind::Unsafe => Self::Unsafe(error),
            TierErrorKind::Unavailable | TierErrorKind::SessionOver => Self::Unavailable(AGAIN),
        }
    }

    pub(super) fn again(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Unavailable(rest) => Self::Unavailable(*rest),
            Self::Quarantined(rest) => Self::Quarantined(*rest),
            Self::PutOff(rest) => Self::PutOff(*rest),
            Self::Untold => Self::Untold,
            Self::Unsafe(error) => Self::Unsafe(error.clone()),
        }
    }

    /// The error of a request that is refused for it.
    pub(super) fn error(&self) -> Error {
        let code = ErrorCode::TierUnavailable;
        let (found, limit, after) = match self {
            Self::Unsafe(error) => {
                return Error::new(ErrorCode::TierUnsafe, "tier", error.what().to_owned(), "");
            }
            Self::Unknown => ("no answer", "an answer within the deadline", AGAIN),
            Self::Unavailable(after) => ("no connection", "a store that answers", *after),
            Self::PutOff(rest) => ("a record that waits", "one that is due", *rest),
            Self::Untold => ("an end that is untold", "a store that knows of it", AGAIN),
            Self::Quarantined(rest) => ("records that may be forgotten", "a quarantine", *rest),
        };
        Error::new(code, "tier", found, limit).with_retry_after(after)
    }
}

/// The key of the record with this fingerprint.
pub(in super::super) fn key_of(fingerprint: [u64; 4]) -> TierKey {
    let mut bytes = [0; TierKey::BYTES];
    let [a, b, c, d] = fingerprint;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for (place, word) in words.iter_mut().zip([a, b, c]) {
        *place = word.to_le_bytes();
    }
    // The half of the last word that a slot stores.
    rest.copy_from_slice(&((d >> 32) as u32).to_le_bytes());
    TierKey::from_bytes(bytes)
}

/// How often a claim is asked in a session that turned out to be over.
const SESSIONS: usize = 3;
/// When a tier that could not be reached may be asked again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
