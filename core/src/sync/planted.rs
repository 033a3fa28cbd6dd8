//! Planted bugs: what the tests are for must fail when it is broken.
//!
//! Each [`Bug`] is a deliberate defect in the shipped code, one expression long, that one private
//! cfg switches on for one run:
//!
//! - Under `oncegate_loom` and `oncegate_shuttle` a model's broken twin plants a bug in its own
//!   thread, and must fail.
//! - Under `oncegate_planted` the variable `ONCEGATE_PLANTED` names the bug of the whole process,
//!   and one named test must fail.
//!
//! Everywhere else [`Bug::is_planted`] is the constant `false` and the compiler removes the
//! branch. `docs/planted-bugs.md` says which test catches which bug; `make planted` proves it.

use super::Ordering;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A deliberate defect in the shipped code.
        #[cfg_attr(
            not(any(oncegate_loom, oncegate_shuttle)),
            allow(unreachable_pub, reason = "public to the models only")
        )]
        #[cfg_attr(
            not(feature = "tower"),
            allow(dead_code, reason = "some are planted in what the feature adds")
        )]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $doc])+ $name,)+
        }

        #[cfg(all(oncegate_planted, not(any(oncegate_loom, oncegate_shuttle))))]
        impl Bug {
            /// The bug of this name. A name that is none plants nothing, so that nothing fails.
            fn named(name: &str) -> Option<Self> {
                [$((stringify!($name), Self::$name),)+]
                    .into_iter()
                    .find_map(|(own, bug)| (own == name).then_some(bug))
            }
        }
    };
}

bugs! {
    /// A worker gets the next attempt of a record whose last one still runs.
    OverlapAllowed,
    /// What the engine kept of a record that has ended is never given up.
    EntryLeaks,
    /// A new record of a request goes on with what was kept of the one before.
    EarlierJournalAdopted,
    /// Whoever ends an attempt gives away the place of another one that runs.
    PlaceGivenAway,
    /// The journal of an attempt that has ended can still be changed by its holder.
    JournalUnsealed,
    /// An entry stays that was made for a lease which is lost.
    EntryNotWithdrawn,
    /// Of several scopes the one is served whose record was due first, however much it has.
    ScopesServedByDueTime,
    /// Whoever goes to sleep does not see that nobody may any more.
    StopUnseen,
    /// Whoever schedules an attempt wakes no worker.
    WorkersNotWoken,
    /// A change of which it is not said which record it was of is not looked at.
    UnnamedChangeMissed,
    /// Whoever schedules an attempt files it, though others may have changed it since.
    OwnFiledLate,
    /// Who looked at a record files what he read, though it was changed and filed since.
    StaleLookFiled,
    /// Unknown records that are asked about in vain keep all others from being asked about.
    DoubtsStarved,
    /// Of two who see to one lapse, the later one buries the record without its journal.
    LetterBuriedBare,
    /// A process that knows no policy of an operation decides a lapse by its own.
    LapseDecidedBlindly,
    /// A record whose attempts cannot be numbered any more waits for another one.
    AttemptsEndless,
    /// Whoever finds a record due takes it, whether somebody else has or not.
    TakenBlindly,
    /// A dead letter is redriven and discarded.
    LetterSettledTwice,
    /// Whoever finished a dead letter, and is late to say until when it stays, stops its redrive.
    WindowOverRedrive,
    /// Whoever carries out a redrive, and is late, changes the journal of the attempt after it.
    RedrivenLate,
    /// What a dead letter was redriven for is lost where it was looked at meanwhile.
    RedriveLeft,
    /// A record that waits, and whose deadline says that it has finished, waits for ever.
    RedriveUnhealed,
    /// A transition that does not end is told to nobody.
    StuckUnnoticed,
    /// A step that is finished runs again.
    StepForgotten,
    /// Steps take more room than they may.
    StepsUnbounded,
    /// Steps are undone in the order in which they were done.
    CompensatesInOrder,
    /// An attempt that has ended still counts against the limit of its operation.
    PermitLeaked,
    /// A record that is due and whose journal is lost is looked at again and again.
    LostJournalsFiled,
    /// A dead letter is on two pages.
    LettersListedTwice,
    /// A journal that cannot be read is not noticed from outside.
    LostJournalsUnnoticed,
    /// An entry that is being made counts as one that was left over.
    ClaimsMistaken,
    /// What is ready is made ready again whenever a neighbour changes.
    ReadyFiledAgain,
    /// What was filed for another time stays in the wheel until its first time comes.
    WheelUnswept,
    /// One call looks at all of the table that is owed.
    UpkeepAtOnce,
    /// A record that is retried takes the first of its entries, where another run has more room.
    EmptierRunIgnored,
    /// There are more dead letters than may be.
    LettersUnbounded,
    /// Which letters are the oldest is looked for with each that goes.
    OldestForgotten,
    /// A dead letter gives way to a new record.
    LettersEvicted,
    /// What is needed to run a record again is not kept.
    ContextForgotten,
    /// The insertion ignores that its arbitration was lost.
    ArbitrationIgnored,
    /// The tag is written after the arbitration.
    TagWrittenLate,
    /// Only the home set is searched.
    AlternateNotSearched,
    /// Completion stores the control word instead of comparing.
    CompleteIgnoresFence,
    /// A takeover does not close the deadline first.
    TakeoverWithoutFreeze,
    /// Eviction claims whatever it finds.
    EvictsRunning,
    /// Eviction trusts the ages that it read before somebody else evicted.
    EvictsByOldAge,
    /// The outcome's bytes are published without release.
    RelaxedOutcome,
    /// A chunk is recycled while somebody writes to it.
    RecyclesUnderWriter,
    /// A process appends to a chunk to which another one is writing.
    AppendsBesideOthers,
    /// Whoever ends an attempt writes over the outcome that a dead process has left beside it.
    LeftOutcomeOverwritten,
    /// A chunk is recycled in which a dead process has left the outcome of an attempt that it did
    /// not end.
    TornUnsettled,
    /// A chunk whose writers died is never used again.
    DeadWritersStay,
    /// A reader does not look again after copying.
    ReadsWithoutRevalidation,
    /// Whoever ends an attempt writes its inline outcome while somebody else does.
    InlineUnclaimed,
    /// A reader does not look at the record again after copying its inline outcome.
    InlineNotRechecked,
    /// A waiter goes to sleep without announcing itself.
    WaiterUnannounced,
    /// Whoever changes a record tells nobody who waits in another process.
    RingsNobody,
    /// A failing leader wakes nobody.
    HandOffLost,
    /// The sweep vacates without claiming.
    SweepWithoutClaim,
    /// What was over when it was met is cleared, though it was renewed since.
    ClearedUnchecked,
    /// Only records where there was none before count as new to those who tend.
    TendedByCreatedOnly,
    /// Whoever takes over an attempt tends as one who makes a record.
    TendedByTakeover,
    /// Who takes back an attempt that never ran wakes nobody who waits for it.
    TakenBackInSilence,
    /// Who takes back an attempt takes away whatever attempt runs by then.
    TakenBackBlindly,
    /// An engine with a tier runs what that gave no answer about.
    OutageAdmits,
    /// What the tier could not be told of an end it never hears.
    EndNotTold,
    /// After the tier may have forgotten records everything goes on.
    QuarantineSkipped,
    /// What another host runs stays here as if this one ran it.
    ElsewhereKept,
    /// A lease ends here when it ends in the tier.
    MarginForgotten,
    /// What the tier never granted takes the place of what it has.
    UngrantedOverrides,
    /// A tier that grants a second claim is used.
    SelfTestSkipped,
    /// An attempt that the tier gave no answer about is one of those that its policy allows.
    OutageCounts,
    /// The end of an attempt is known here before the tier has it.
    FencedEndKept,
    /// A lease that was lost here is renewed in the tier.
    LostLeaseRenewed,
    /// An expired record is believed after it was claimed.
    MatchNotRechecked,
    /// The winner of a takeover writes its lease without looking whose turn it is.
    LeaseWrittenLate,
    /// A stalled insertion keeps the fencing counter of its claim.
    CounterKept,
    /// An unknown record's due time is written whatever was decided.
    DueUnarbitrated,
    /// The window of a record is opened only after its end was said.
    WindowOpenedLate,
    /// A lapse that counts as failure ends what its holder gave up.
    LapseEndsUnknown,
    /// A lapse lets the next attempt run although its holder has left an outcome.
    LapseForgetsOutcome,
    /// What a dead process leased lasts until its deadline.
    DeathUnnoticed,
    /// A slot that a dead process claimed stays claimed.
    DeadClaimStays,
    /// What another process has charged and not inserted yet is taken for a dead one's.
    SettlesUnderWay,
    /// The entry of a scope with a quota by name is given to another scope.
    PinsAnothers,
    /// A quota is set while another call takes it back.
    SetsTogether,
    /// Two callers who look for the entry of one scope keep one each.
    TwoEntriesStay,
    /// A newcomer takes the lock of a burial for that of a living process.
    BurialUnnoticed,
    /// The entry of a dead process is given away with all that it leased.
    EntryNotCleared,
    /// A file that others may write to is shared all the same.
    AccessUnchecked,
    /// A region is opened with other options than it was made with.
    OptionsUnchecked,
    /// A region is opened with another secret than it was made with.
    SecretUnchecked,
    /// A machine that was started anew is not noticed.
    RebootUnnoticed,
    /// A dead process counts as writing to a slot for ever.
    DeadWriterStays,
    /// A lapse that counts as failure leaves the outcome to whoever comes.
    LapseUnarbitrated,
    /// The end of a rotation sweeps in turn with everybody else.
    RotationSweepsInTurn,
    /// A rotation does not tell the old key's home of an insertion.
    RotationSkipsOldHome,
    /// Who meets a pending insertion waits for its inserter.
    PendingNotHelped,
    /// The record refers to an outcome whose bytes are written afterwards.
    ReferredBeforeWritten,
    /// A late helper finishes whatever insertion it finds in the slot.
    HelperUnfenced,
    /// A waiter is handed the next attempt before the record says that this one has ended.
    WokenTooEarly,
    /// The lease lapses one millisecond before its deadline.
    DeadlineOffByOne,
    /// A lease that was found lapsed can still be renewed.
    RenewsAfterLapse,
    /// A renewal forgets what is to happen at the lapse.
    RenewalForgetsPolicy,
    /// A lapse that leaves the outcome unknown lets the next attempt run.
    LapsedUnknownRuns,
    /// A holder's token is taken without comparing its fencing counter.
    FenceNotCompared,
    /// The bytes of a lease token are taken whatever they say.
    TamperedTokenAccepted,
    /// The slot that a token names is not held against the size of the table.
    SlotUnchecked,
    /// Fencing counters follow the slot alone, and not the clock of the home.
    ClockForgotten,
    /// The epoch of fencing tokens does not come from wall time.
    EpochNotOfWallTime,
    /// The attempt number stays behind.
    AttemptNotRaised,
    /// The next attempt of a failed request may start at once.
    DueIgnored,
    /// A finished record is over as soon as it is finished.
    WindowIgnored,
    /// The short way to a replay does not look at the window.
    GlanceIgnoresWindow,
    /// A request whose outcome is gone runs again.
    GoneRunsAgain,
    /// A failure is stored as a success.
    FailureSucceeds,
    /// The last byte of an outcome is not replayed.
    OutcomeTailLost,
    /// Every result is final, whatever the policy says.
    PolicyIgnored,
    /// An unknown record may be evicted like a finished one.
    UnknownCountsAsFinished,
    /// The sweep clears attempts that run.
    SweepClearsRunning,
    /// The record that was used last is evicted first.
    EvictsNewest,
    /// A full table evicts although it is to refuse.
    RejectEvicts,
    /// A limit of live records by name reserves nothing.
    ReservationIgnored,
    /// Traffic that nobody vouches for evicts the records of others.
    GuestsEvict,
    /// A record that is gone still counts against its scope.
    QuotaNotReleased,
    /// A scope gets one live record more than its limit.
    QuotaOffByOne,
    /// A scope gets one record more at once than its burst.
    RateOffByOne,
    /// A failing leader wakes every waiter.
    HandsOffToAll,
    /// A waiter that leaves keeps the wake-up that was meant for one of them.
    WakeUpKept,
    /// A waiter is not told that what it waits for ends sooner.
    ShorterLeaseUnnoticed,
    /// A takeover forgets that somebody waits.
    TakeoverForgetsWaiters,
    /// A lease that is dropped resolves nothing.
    DropForgotten,
    /// A rotation forgets the records under the old secret.
    OldSecretForgotten,
    /// A forked child goes on with the parent's engine.
    ForkUnnoticed,
    /// The parts of an identity are hashed without their lengths.
    UnprefixedParts,
    /// The scope's name is left out of the identity.
    ScopeLeftOut,
    /// A key made from the payload is taken for one that a client gave.
    PayloadTakenForKey,
    /// The payload digest is not compared.
    PayloadNotCompared,
    /// The short way to a replay does not compare the payload digest.
    GlanceIgnoresPayload,
    /// A duplicate of a running request is answered without a look at its payload.
    RunningIgnoresPayload,
    /// A duplicate of a request whose lease has lapsed is told that it runs.
    RunningIgnoresLapse,
    /// The kind of payload is left out of its digest.
    PayloadKindLeftOut,
    /// Numbers are compared as doubles.
    NumbersRounded,
    /// A JSON object may have two members of one name.
    MembersMayRepeat,
    /// Keys that can be guessed are accepted.
    PredictableAccepted,
    /// A key may be one byte longer than its length field can say.
    KeyLimitOffByOne,
    /// The name of a metadata entry may be one byte longer than its length field can say.
    MetadataLimitOffByOne,
    /// An outcome may be one byte longer than the limit.
    OutcomeLimitOffByOne,
    /// Hashing an identity allocates.
    IdentityAllocates,
    /// Debug output shows the key.
    KeyShown,
    /// A response is replayed with the cookies that its first client got.
    CookieReplayed,
    /// An attempt that failed ends before its response has been read to the end.
    EndsBeforeItsBody,
    /// A response that comes after a takeover is sent all the same.
    LateResponseSent,
    /// A delay is cut at the ceiling before its jitter, and not after.
    CeilingExceeded,
    /// There is one attempt more than there may be.
    AttemptLimitOffByOne,
    /// An attempt is started that cannot end before the deadline.
    DeadlineIgnoresDuration,
    /// An attempt that is due is started, whether or not there is time left before its deadline.
    LateAttemptStarted,
    /// What attempts are expected to take is learnt from those that run, and from nothing else.
    RefusalsRepeat,
    /// A retried attempt whose lease is dropped comes again at once, whatever its policy says.
    DropUnpaid,
    /// A server's hint is followed without its limits.
    HintUnclamped,
    /// All sources of jitter begin with one seed, those of forked children too.
    JitterSeedShared,
    /// Full jitter draws from one half of its range.
    FullJitterNarrow,
    /// A timer that is due a whole turn later is filed in the lowest level all the same.
    CascadeOffByOne,
    /// A level of the wheel is forgotten when time jumps over several.
    CascadeSkipped,
    /// A timer fires a tick before it is due.
    FiresEarly,
    /// A handle cancels whatever timer has its id now.
    StaleHandleCancels,
    /// An advance of the wheel does not count its work.
    AdvanceUnbounded,
    /// A withdrawal whose attempt never started keeps what it took.
    BudgetLeakedOnPanic,
    /// A budget's word is stored instead of compared.
    BudgetOverdrawn,
    /// A slice of a ratio budget is marked by everybody who comes first.
    SliceBegunTwice,
    /// The beginning of a slice is seen before the deposits that came before it.
    MarkUnordered,
    /// Deposits count for ever.
    DepositNeverExpires,
    /// A retry that succeeds brings back twice what it cost.
    RefundTooMuch,
    /// Retries are allowed at the threshold, too.
    ThresholdOffByOne,
    /// The rate of retries is never raised again.
    AdaptiveNeverRelaxes,
    /// The rate of retries may sink for ever.
    AdaptiveUnbounded,
    /// A lane counts as drained up to wherever its submitter has come meanwhile.
    TimerLost,
    /// A submission is published without release.
    RelaxedSubmission,
    /// A timer fires without comparing whether it was cancelled.
    FiresAfterCancel,
    /// A driver that goes to sleep only reads what was submitted.
    WakeUpLost,
}

#[cfg(any(oncegate_loom, oncegate_shuttle))]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        /// Both model checkers run all threads of a model on one OS thread.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Plants this bug for the models that this OS thread runs from now on.
        pub fn plant(self) {
            PLANTED.with(|cell| cell.set(Some(self)));
        }

        /// Plants nothing from now on.
        pub fn clear() {
            PLANTED.with(|cell| cell.set(None));
        }

        pub(crate) fn is_planted(self) -> bool {
            PLANTED.with(Cell::get) == Some(self)
        }
    }
}

#[cfg(all(oncegate_planted, not(any(oncegate_loom, oncegate_shuttle))))]
mod switch {
    use super::Bug;
    use std::sync::OnceLock;

    impl Bug {
        /// Whether the environment named this bug when the process first came by one.
        pub(crate) fn is_planted(self) -> bool {
            static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
            let named = || Bug::named(&std::env::var("ONCEGATE_PLANTED").ok()?);
            *PLANTED.get_or_init(named) == Some(self)
        }
    }
}

#[cfg(not(any(oncegate_loom, oncegate_shuttle, oncegate_planted)))]
impl Bug {
    #[inline(always)]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

impl Bug {
    /// `ordering`, or no ordering at all where this bug is planted.
    #[inline(always)]
    pub(crate) fn weakens(self, ordering: Ordering) -> Ordering {
        // Relaxed on purpose: only where the bug is planted does anything come here.
        if self.is_planted() { Ordering::Relaxed } else { ordering }
    }
}
