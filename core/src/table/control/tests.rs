//! The transition table, walked without threads.

use super::*;

fn at(state: State, fence: u64) -> Snapshot {
    let fence = Fence::new(fence).expect("small");
    Snapshot(0).with_state(state).with_holder(fence, 7)
}

fn all_steps(fence: u64) -> Vec<Step> {
    let fence = Fence::new(fence).expect("small");
    let mut steps = vec![
        Step::Claim { fence, owner: 3 },
        Step::Present,
        Step::Vacate,
        Step::Finish,
        Step::Take { fence, owner: 3 },
        Step::Write { writer: 9 },
        Step::Announce,
        Step::Seize { fence, owner: 3 },
        Step::Disown,
    ];
    steps.extend(State::ALL.map(Step::End));
    steps.extend(State::ALL.map(Step::EndWritten));
    steps
}

/// The table of the module documentation, written a second time as data.
fn legal(step: Step, from: State) -> Option<State> {
    use State as S;
    match (step, from) {
        (
            Step::Claim { .. },
            S::Vacant | S::Running | S::Waiting | S::Succeeded | S::Failed | S::Unknown,
        ) => Some(S::Claimed),
        (Step::Present, S::Claimed) => Some(S::Inserting),
        (Step::Vacate, S::Claimed | S::Inserting) => Some(S::Vacant),
        (Step::Finish, S::Inserting) => Some(S::Running),
        (Step::Take { .. }, S::Running | S::Waiting) => Some(S::Running),
        (Step::End(to), S::Running) => {
            matches!(to, S::Succeeded | S::Failed | S::Waiting | S::Unknown).then_some(to)
        }
        (Step::End(to), S::Unknown) => {
            matches!(to, S::Succeeded | S::Failed | S::Waiting).then_some(to)
        }
        (Step::Write { .. } | Step::Announce, S::Running) => Some(from),
        (Step::Announce, S::Waiting) | (Step::Write { .. }, S::Unknown) => Some(from),
        (Step::Seize { .. }, S::Claimed | S::Inserting) => Some(S::Claimed),
        _ => None,
    }
}

/// Goal: every legal edge leads where the table says, and no illegal one leads anywhere.
/// Method: all states times all steps, with a counter that is high enough.
#[test]
fn every_edge_is_in_the_table() {
    let mut edges = 0;
    for from in State::ALL {
        for step in all_steps(9) {
            let next = at(from, 5).after(step);
            assert_eq!(next.map(|next| next.state()), legal(step, from), "{step:?} from {from:?}");
            edges += usize::from(next.is_some());
        }
    }
    assert_eq!(edges, 6 + 1 + 2 + 1 + 2 + 4 + 3 + 2 + 2 + 2, "the number of legal edges");
}

/// Goal: fencing counters only grow. Method: claims and takeovers with the same, a lower and a
/// higher counter.
#[test]
fn a_counter_that_does_not_grow_is_refused() {
    for fence in [0, 4, 5] {
        let fence = Fence::new(fence).expect("small");
        let claim = Step::Claim { fence, owner: 0 };
        let take = Step::Take { fence, owner: 0 };
        assert_eq!(at(State::Vacant, 5).after(claim), None);
        let seize = Step::Seize { fence, owner: 0 };
        assert_eq!(at(State::Running, 5).after(take), None);
        assert_eq!(at(State::Claimed, 5).after(seize), None);
    }
}

/// Goal: steps change only what they should. Method: compare counter, owner, `W` and writer
/// around each legal edge.
#[test]
fn each_step_keeps_what_is_not_its_own() {
    let marks = [(false, 0), (false, 5), (true, 0), (true, 5)];
    for (from, step) in
        State::ALL.into_iter().flat_map(|s| all_steps(9).into_iter().map(move |t| (s, t)))
    {
        for (waiters, writing) in marks {
            let before = at(from, 5).with_waiters(waiters).with_writer(writing);
            let Some(after) = before.after(step) else { continue };
            let takes = matches!(step, Step::Claim { .. } | Step::Take { .. } | Step::Seize { .. });
            assert_eq!(after.fence().get(), if takes { 9 } else { 5 }, "{step:?}");
            assert_eq!(after.owner(), if takes { 3 } else { 7 }, "{step:?}");
            let waits = match step {
                Step::Announce => true,
                Step::Claim { .. } | Step::EndWritten(_) => false,
                // Whoever ends an attempt wakes all, unless the next attempt is to come.
                Step::End(to) if from == State::Running => waiters && to == State::Waiting,
                _ => waiters,
            };
            assert_eq!(after.waiters(), waits, "{step:?} from {from:?}");
            let writer = match step {
                Step::Write { .. } => 9,
                Step::EndWritten(_) | Step::Disown => 0,
                _ => writing,
            };
            assert_eq!(after.writer(), writer, "{step:?} from {from:?}");
        }
    }
}

/// Goal: one writer at a time, which alone ends what it wrote (rule 6). Method: its edges.
#[test]
fn one_writer_at_a_time() {
    let writer = |state| at(state, 5).with_writer(5);
    let write = Step::Write { writer: 9 };
    for state in [State::Running, State::Unknown] {
        assert_eq!(writer(state).after(write), None, "a second writer of {state:?}");
        let ended = writer(state).after(Step::EndWritten(State::Succeeded)).expect("the writer");
        assert_eq!((ended.state(), ended.writing()), (State::Succeeded, false));
        assert_eq!(at(state, 5).after(Step::EndWritten(State::Succeeded)), None, "no writer");
        let other = writer(state).after(Step::End(State::Failed)).expect("a helper");
        assert!(other.writing(), "a helper does not speak for the writer");
    }
    assert_eq!(writer(State::Running).after(Step::EndWritten(State::Waiting)), None);
    for state in State::ALL {
        assert_eq!(writer(state).after(Step::Disown), Some(at(state, 5)), "a dead writer");
    }
}

/// Goal: the word holds every field at its largest. Method: put together and take apart.
#[test]
fn words_pack_and_unpack() {
    for (state, waiters, writing) in State::ALL
        .into_iter()
        .flat_map(|state| [(state, false, 255), (state, true, 0), (state, true, 7)])
    {
        for (owner, fence) in [(0, 0), (1, 1), (0xff, Fence::MAX), (0xff, 0), (0, Fence::MAX)] {
            let fence = Fence::new(fence).expect("within");
            let word = Snapshot(0).with_waiters(waiters).with_writer(writing);
            let word = word.with_holder(fence, owner).with_state(state);
            let parts = (word.state(), word.waiters(), word.writer(), word.owner(), word.fence());
            assert_eq!(parts, (state, waiters, writing, owner, fence));
        }
    }
    assert_eq!(Snapshot(0).state(), State::Vacant, "a fresh region is vacant");
}

/// Goal: the low bits of a counter name its attempt, and no counter is skipped needlessly.
/// Method: all starting points modulo four, all attempts, and a recorded number that lags.
#[test]
fn counters_carry_their_attempt() {
    for start in 0..12 {
        for attempt in 1..9 {
            let from = Fence::new(start).expect("small");
            let next = from.next_for(attempt).expect("small");
            assert!(next > from && next.get() <= start + 4);
            for lag in 0..4_u32.min(attempt) {
                assert_eq!(next.attempt(attempt - lag), attempt);
            }
        }
    }
    assert_eq!(Fence::new(Fence::MAX).and_then(|last| last.next_for(1)), None, "no wrap");
}

/// Goal: the same record is the same state of the same attempt, and a writer makes no other word
/// of it. Method: each bit of the word changed in turn, around several words.
#[test]
fn each_bit_says_what_it_says() {
    for before in [at(State::Running, 0), at(State::Vacant, Fence::MAX), Snapshot(!0)] {
        assert!(before.is_same_record(before) && !before.differs_in_writer(before));
        for bit in 0..64 {
            let other = Snapshot(before.0 ^ 1 << bit);
            // Between counter and state: owner, writer and `W`.
            assert_eq!(before.is_same_record(other), (44..61).contains(&bit), "bit {bit}");
            assert_eq!(before.differs_in_writer(other), (52..60).contains(&bit), "bit {bit}");
        }
        let both = Snapshot(before.0 ^ (WRITER_MASK | WAITERS_BIT));
        assert!(!before.differs_in_writer(both));
    }
}

/// What became of the word `now`, which its caller believes to be `from`.
fn made<T>(now: Snapshot, step: impl FnOnce(ControlWord<'_>) -> T) -> (T, Snapshot) {
    let word = AtomicU64::new(now.0);
    let control = ControlWord::new(&word);
    let made = step(control);
    (made, control.load())
}

/// Goal: a step loses to whoever was faster, and tells what it found. Method: the word as it was
/// seen, and the word with each other mark, counter and state.
#[test]
fn a_step_compares_the_whole_word() {
    let seen = at(State::Running, 5);
    let end = Step::End(State::Succeeded);
    let ended = at(State::Succeeded, 5);
    assert_eq!(made(seen, |word| word.advance(seen, end)), (Ok(ended), ended));
    for now in
        [seen.with_waiters(true), seen.with_writer(5), at(State::Running, 6), at(State::Unknown, 5)]
    {
        assert_eq!(made(now, |word| word.advance(seen, end)), (Err(now), now));
    }
    let writing = seen.with_writer(5);
    let write = Step::Write { writer: 9 };
    assert_eq!(made(writing, |word| word.advance(writing, write)), (Err(writing), writing));
}

/// Goal: an end goes past a writer, and past nothing else (rule 6). Method: the word as it was
/// seen, with the writer's mark set or cleared since, and with everything else.
#[test]
fn an_end_goes_past_a_writer() {
    let end = Step::End(State::Failed);
    for waits in [false, true] {
        let seen = at(State::Running, 5).with_waiters(waits);
        let writing = seen.with_writer(5);
        for (from, now) in [(seen, seen), (seen, writing), (writing, seen), (writing, writing)] {
            let ended = at(State::Failed, 5).with_writer(now.writer());
            let result = made(now, |word| word.advance_past_writers(from, end));
            assert_eq!(result, (Ok(ended), ended));
        }
        let both = writing.with_waiters(!waits);
        for now in [both, seen.with_waiters(!waits), at(State::Running, 6)] {
            let result = made(now, |word| word.advance_past_writers(seen, end));
            assert_eq!(result, (Err(now), now));
        }
    }
}

/// Goal: a claimer, and whoever helps an insertion, goes past the writer of an earlier attempt,
/// and makes no step of another record. Method: the mark set and cleared meanwhile; a record that
/// has moved on.
#[test]
fn an_insertion_goes_past_a_writer() {
    for (state, step, next) in [
        (State::Claimed, Step::Present, State::Inserting),
        (State::Inserting, Step::Finish, State::Running),
        (State::Inserting, Step::Vacate, State::Vacant),
    ] {
        let plain = at(state, 5);
        let writing = plain.with_writer(5);
        for (from, now) in [(plain, plain), (writing, writing), (writing, plain)] {
            let after = at(next, 5).with_writer(now.writer());
            let result = (Some(after), after);
            assert_eq!(made(now, |word| word.advance_for(from, step)), result);
            assert_eq!(made(now, |word| word.advance_claimed(from, step)), result);
        }
        let moved_on = at(next, 5);
        for (from, now) in [(plain, moved_on), (plain, at(state, 6)), (writing, moved_on)] {
            assert_eq!(made(now, |word| word.advance_for(from, step)), (None, now));
        }
        assert_eq!(made(moved_on, |w| w.advance_claimed(writing, step)), (None, moved_on));
    }
}

/// Goal: who is done writing clears that and nothing else. Method: every bit set, and none.
#[test]
fn done_writing_clears_the_writer() {
    for (before, after) in [(!0, !WRITER_MASK), (WRITER_MASK, 0), (0, 0)] {
        let (_, now) = made(Snapshot(before), |word| word.done_writing());
        assert_eq!(now, Snapshot(after));
    }
}

/// Goal: the states are told apart in debug text. Method: one word with everything.
#[test]
fn debug_text_names_the_fields() {
    let word = at(State::Running, 5).with_waiters(true);
    let text = "Snapshot { state: Running, waiters: true, writer: 0, owner: 7, fence: 5 }";
    assert_eq!(format!("{word:?}"), text);
}
